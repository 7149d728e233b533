//! Sends packets through a veth pair to a host that drops or receives them. The host runs portsentry, nftables or
//! nothing.
//!
//! The sender is a kernel program, so that it doesn't limit the rate. Frames arrive as from a driver, before a
//! socket buffer exists.

mod guard;
mod pair;

use anyhow::{Context, Result, ensure};

use self::{guard::Guard, pair::Pair};
use crate::{
    paths::paths,
    rate::{Measurement, in_turns},
    report::Report,
    sender::Sender,
};

/// The traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Traffic {
    /// From random blocked sources.
    Blocked,
    /// UDP to a service.
    Honest,
}

/// Measures all packet filters in turns.
pub(crate) fn rates(blocked: u32, rounds: u32, report: &mut Report) -> Result<()> {
    let mut hosts = Vec::new();
    for guard in Guard::ALL {
        let pair = Pair::new()?;
        match guard.set_up(&pair, blocked) {
            Ok(standing) => hosts.push((guard, pair, standing)),
            Err(error) => report.missing.push(format!("{} on a veth pair: {error:#}", guard.name())),
        }
    }
    let path = paths().into_iter().find(|path| path.name == "UDP to a service, IPv4").context("a path")?;
    let frame = path.packet.frame(0);
    let mut measurements: Vec<Measurement<'_>> = Vec::new();
    for traffic in [Traffic::Blocked, Traffic::Honest] {
        for (guard, pair, _) in &hosts {
            let drops = traffic == Traffic::Blocked && *guard != Guard::None;
            let does = if traffic == Traffic::Blocked { "from blocked sources" } else { "honest UDP" };
            let sources = (traffic == Traffic::Blocked).then_some(blocked);
            let sender = Sender::new(&pair.sender, frame.clone(), sources)?;
            let measure = move || measure(pair, &sender, drops);
            measurements.push((format!("{does}: {}", guard.name()), Box::new(measure)));
        }
    }
    report.veth = in_turns(measurements, rounds)?;
    Ok(())
}

/// Packets in a run.
const FRAMES: u32 = 200_000;

/// Returns the packets per second that the host received. Fails unless the service received nearly all of them, or
/// nearly none. The margin is for frames still in flight, and for impossible sources that the stack rejects.
fn measure(pair: &Pair, sender: &Sender<'_>, drops: bool) -> Result<f64> {
    let before = (pair.received()?, pair.delivered()?);
    let took = sender.send(FRAMES)?;
    let (received, delivered) = (pair.received()? - before.0, pair.delivered()? - before.1);
    let share = delivered / received;
    ensure!(if drops { share < 0.02 } else { share > 0.85 }, "{delivered} of {received} reached the service");
    Ok(received / took)
}
