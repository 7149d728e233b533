//! The figures of a run.

use std::{fs, path::Path};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::{
    curve::Curve,
    figures::{Classic, Load, Span},
    rate::Rate,
    run::Run,
    turns::Cost,
};

/// Results of a run. Parts are empty that were not requested or could not be measured.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub(crate) struct Report {
    pub(crate) run: Run,
    /// Cost of a packet above a program that returns at once.
    pub(crate) costs: Vec<Cost>,
    /// The same for growing numbers of blocked sources.
    pub(crate) by_blocked: Vec<Curve>,
    /// The same for growing values of other quantities.
    pub(crate) by_others: Vec<Curve>,
    /// Packets per second that are received and processed, without a wire.
    pub(crate) live: Vec<Rate>,
    /// SYNs per second from spoofed sources that are received and dropped.
    #[serde(default)]
    pub(crate) floods: Vec<Rate>,
    /// Packets per second through a veth pair.
    pub(crate) veth: Vec<Rate>,
    /// Packets per second through a gateway.
    #[serde(default)]
    pub(crate) forwarded: Vec<Rate>,
    /// Bytes per second of honest traffic during a flood.
    #[serde(default)]
    pub(crate) beside: Vec<Rate>,
    /// Times for loading and taking over many sources.
    #[serde(default)]
    pub(crate) scale: Vec<Span>,
    /// CPU time of the daemon under visits to its traps.
    #[serde(default)]
    pub(crate) visits: Vec<Load>,
    /// Comparison with PortSentry 1.2.
    pub(crate) classic: Vec<Classic>,
    /// Parts that could not be measured, and the reasons.
    pub(crate) missing: Vec<String>,
}

impl Report {
    pub(crate) fn new(run: Run) -> Self {
        Self {
            run,
            costs: Vec::new(),
            by_blocked: Vec::new(),
            by_others: Vec::new(),
            live: Vec::new(),
            floods: Vec::new(),
            veth: Vec::new(),
            forwarded: Vec::new(),
            beside: Vec::new(),
            scale: Vec::new(),
            visits: Vec::new(),
            classic: Vec::new(),
            missing: Vec::new(),
        }
    }

    /// Reads a report.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
        serde_json::from_str(&text).with_context(|| path.display().to_string())
    }

    /// Writes it.
    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self)? + "\n";
        fs::write(path, text).with_context(|| path.display().to_string())
    }

    /// Returns the cost of this packet.
    pub(crate) fn cost(&self, name: &str) -> Option<&Cost> {
        self.costs.iter().find(|cost| cost.name == name)
    }
}
