//! The sources that would have been blocked or fenced while PortSentry only observed.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use ipnet::IpNet;
use jiff::Timestamp;
use portsentry_common::block::Proof;
use serde::{Deserialize, Serialize};

use super::{
    error::Error,
    select::{Selection, Sort, is_of, overlap},
};
use crate::{
    config::{Config, salvage_ignored},
    instant::Time,
    notation,
    policy::{State, enforcement::Prediction, networks::Networks},
    sink::evidence::{self, Seen},
};

/// Returns the state that a source with these packets would be in, if its last one was only reported.
pub(super) fn state(packets: &[Seen], prediction: Prediction) -> Option<State> {
    let last = packets.iter().rev().find(|seen| seen.verdict != "counted" && !is_too_little(seen));
    last.filter(|seen| is_reported(seen))?;
    packets.iter().filter(|seen| is_reported(seen)).map(|seen| predicted(seen, prediction)).min()
}

/// Whether the source of a packet was only reported, and would have been blocked or fenced.
fn is_reported(seen: &Seen) -> bool {
    seen.verdict == "report" && !is_too_little(seen)
}

/// Whether a packet completes a scan that only its report asks for.
fn is_too_little(seen: &Seen) -> bool {
    seen.scan.is_some_and(|scan| !scan.is_enough())
}

/// Returns the predicted treatment of the source of a reported packet. A blocked source comes first in the order of
/// states.
fn predicted(seen: &Seen, prediction: Prediction) -> State {
    if seen.scan.is_some() {
        return State::Fenced;
    }
    prediction.of_probe(seen.protocol == "TCP", Proof::named(&seen.proof).unwrap_or(Proof::None))
}

/// Maximum number of ports of one source.
const PORTS: usize = 32;

/// A source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Would {
    /// The host or network.
    #[serde(with = "notation")]
    pub address: IpNet,
    /// Whether it would have been blocked or fenced.
    pub state: State,
    /// Time of its first recorded packet.
    pub first: Time,
    /// Time of its last recorded packet.
    pub last: Time,
    /// Its lowest ports with their protocols, such as `23/TCP`.
    pub ports: Vec<String>,
    /// Number of all its recorded ports.
    #[serde(default)]
    pub port_count: usize,
    /// Kind of its last probe.
    pub kind: String,
    /// Number of recorded packets.
    pub packets: usize,
}

impl Would {
    /// Returns the first ports by name, at most `most`, and the number of all others.
    #[must_use]
    pub fn named_ports(&self, most: usize) -> String {
        let named = self.ports.get(..most).unwrap_or(&self.ports);
        let shown = named.join(", ");
        match self.port_count.saturating_sub(named.len()) {
            0 => shown,
            more => format!("{shown} and {more} more"),
        }
    }
}

/// Selected sources.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WouldBe {
    /// The sources, in order.
    pub sources: Vec<Would>,
    /// Number of further selected sources, beyond the limit.
    pub left_out: usize,
}

/// Returns the selected sources of `EVIDENCE_FILE`, at most `most`, without those that the ignore file names meanwhile.
pub fn read(config: &Config, selection: &Selection, most: usize) -> Result<WouldBe, Error> {
    let Some(path) = &config.evidence_file else {
        return Err(Error::Other("EVIDENCE_FILE is not set, so that nothing was recorded".into()));
    };
    // Other commands report the file's errors.
    let (ignored, _) = salvage_ignored(&config.ignore_file);
    let ignored: Networks<()> = ignored.into_iter().map(|network| (network, ())).collect();
    let packets = evidence::packets(path)?;
    let packets = packets.into_iter().filter(|seen| ignored.find(seen.source).is_none());
    Ok(select(packets, Prediction::new(config), selection, most))
}

fn select(
    packets: impl IntoIterator<Item = Seen>,
    prediction: Prediction,
    selection: &Selection,
    most: usize,
) -> WouldBe {
    let mut sources: BTreeMap<IpNet, Observed> = BTreeMap::new();
    // Packets of sources that were blocked or fenced indeed.
    let decided = ["block", "fence"];
    for seen in packets.into_iter().filter(|seen| !decided.contains(&seen.verdict.as_str())) {
        let Ok(time) = seen.time.parse::<Timestamp>() else { continue };
        sources.entry(seen.network()).or_default().add(seen, Time(time.into()), prediction);
    }
    let would = sources.into_iter().filter_map(|(address, observed)| observed.would(address));
    let mut sources: Vec<Would> = would.filter(|would| is_chosen(would, selection)).collect();
    match selection.sort {
        Sort::Since | Sort::Until => sources.sort_by_key(|would| (would.first, would.address)),
        Sort::Hits | Sort::Dropped => sources.sort_by_key(|would| (Reverse(would.packets), would.address)),
        Sort::Address => sources.sort_by_key(|would| would.address),
    }
    let limit = selection.limit.unwrap_or(usize::MAX).min(most);
    let left_out = sources.len().saturating_sub(limit);
    sources.truncate(limit);
    WouldBe { sources, left_out }
}

fn is_chosen(would: &Would, selection: &Selection) -> bool {
    selection.state.is_none_or(|state| would.state == state)
        && selection.kind.as_ref().is_none_or(|kind| is_of(Some(&would.kind), kind))
        && selection.network.is_none_or(|network| overlap(network, would.address))
}

/// The packets of one source so far.
#[derive(Default)]
struct Observed {
    /// The strongest treatment predicted; `None` while it has not reached the trigger.
    state: Option<State>,
    span: Option<(Time, Time)>,
    ports: BTreeSet<(u16, String)>,
    kind: String,
    packets: usize,
}

impl Observed {
    fn add(&mut self, seen: Seen, time: Time, prediction: Prediction) {
        if is_reported(&seen) {
            let state = predicted(&seen, prediction);
            self.state = Some(self.state.map_or(state, |before| before.min(state)));
        }
        let (first, last) = self.span.unwrap_or((time, time));
        if time >= last {
            self.kind = seen.kind;
        }
        self.span = Some((first.min(time), last.max(time)));
        self.ports.insert((seen.port, seen.protocol));
        self.packets += 1;
    }

    fn would(self, address: IpNet) -> Option<Would> {
        let (first, last) = self.span?;
        let ports = self.ports.iter().take(PORTS).map(|(port, protocol)| format!("{port}/{protocol}"));
        Some(Would {
            address,
            state: self.state?,
            first,
            last,
            ports: ports.collect(),
            port_count: self.ports.len(),
            kind: self.kind,
            packets: self.packets,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Scan, Sighting, sample_scan, sample_sighting, scan::Score};
    use portsentry_common::decide::Verdict;

    #[test]
    fn a_reported_scan_would_have_been_fenced_if_that_was_enough() {
        let scan = sample_scan();
        let of = |scan| {
            let seen =
                Seen::from(&Sighting { verdict: Verdict::Report, scan: Some(scan), ..sample_sighting() });
            state(&[seen], Prediction::new(&Config { block_unproven: true, ..Config::default() }))
        };
        assert_eq!(of(scan), Some(State::Fenced));
        assert_eq!(of(Scan { pairs: 5, ..scan }), None);
        assert_eq!(of(Scan { score: Score(1379), ..scan }), None);
        assert_eq!(of(Scan { is_peer: true, ..scan }), None);
    }

    #[test]
    fn reported_sources_would_have_been_fenced_or_blocked() {
        let probe = |last: u8, port, verdict, proof, second| {
            let time = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(second);
            let source = [192, 0, 2, last].into();
            Seen::from(&Sighting { time, source, port, verdict, proof, ..sample_sighting() })
        };
        let packets = [
            probe(1, 23, Verdict::Counted, Proof::None, 10),
            probe(1, 22, Verdict::Report, Proof::None, 20),
            probe(2, 80, Verdict::Report, Proof::None, 30),
            probe(2, 80, Verdict::Report, Proof::Cookie, 40),
            probe(3, 81, Verdict::Counted, Proof::None, 50),
            probe(1, 22, Verdict::Fence, Proof::None, 60),
            probe(4, 22, Verdict::Block, Proof::None, 70),
        ];
        let (config, _) = Config::parse("PROOF_TRAPS=\"1\"", "test").unwrap();
        let of = |selection: &Selection| select(packets.clone(), Prediction::new(&config), selection, 9);
        let all = of(&Selection::default());
        let shown: Vec<_> = all
            .sources
            .iter()
            .map(|would| (would.address.to_string(), would.state, would.ports.join(" "), would.packets))
            .collect();
        assert_eq!(
            shown,
            [
                ("192.0.2.1/32".into(), State::Fenced, "22/TCP 23/TCP".into(), 2),
                ("192.0.2.2/32".into(), State::Blocked, "80/TCP".into(), 2)
            ]
        );
        let limited = of(&Selection { limit: Some(1), sort: Sort::Address, ..Selection::default() });
        assert_eq!((limited.sources.len(), limited.left_out), (1, 1));
        let state_of = |last: u8| {
            let own = packets.iter().filter(|seen| seen.source == std::net::IpAddr::from([192, 0, 2, last]));
            state(&own.cloned().collect::<Vec<_>>(), Prediction::new(&config))
        };
        // The last packet of the first one fenced it indeed.
        assert_eq!([1, 2, 3, 4].map(state_of), [None, Some(State::Blocked), None, None]);
        let blocked = of(&Selection { state: Some(State::Blocked), ..Selection::default() });
        assert_eq!(blocked.sources[0].address.to_string(), "192.0.2.2/32");
    }
}
