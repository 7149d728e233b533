//! Packets per second, measured in turns.

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::turns::quantile;

/// A rate.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub(crate) struct Rate {
    pub(crate) name: String,
    /// Median of all rounds.
    pub(crate) packets_per_second: f64,
    /// Maximum of all rounds, which shows the undisturbed machine.
    pub(crate) best: f64,
}

/// A function that measures one rate, once.
pub(crate) type Measurement<'a> = (String, Box<dyn FnMut() -> Result<f64> + 'a>);

/// Measures each rate in `rounds` rounds, in turns.
pub(crate) fn in_turns(mut measurements: Vec<Measurement<'_>>, rounds: u32) -> Result<Vec<Rate>> {
    let mut rates = vec![Vec::new(); measurements.len()];
    for _ in 0..rounds {
        for ((name, measure), rates) in measurements.iter_mut().zip(&mut rates) {
            rates.push(measure().with_context(|| name.clone())?);
        }
    }
    let rate = |((name, _), rates): (Measurement<'_>, Vec<f64>)| Rate {
        name,
        packets_per_second: quantile(rates.iter().copied(), 2),
        best: quantile(rates.iter().copied(), 4),
    };
    Ok(measurements.into_iter().zip(rates).map(rate).collect())
}
