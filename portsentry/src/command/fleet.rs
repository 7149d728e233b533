//! The fleet, as the running daemon knows it, for `status` and `doctor`.

use std::time::Duration;

use crate::{
    config::Config,
    control::{Request, client},
    inspect::fleet::Fleet,
};

/// Maximum time for the daemon's answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// Asks the daemon. Returns `None` if this gateway is in no fleet, or no daemon answers.
pub(super) fn ask(config: &Config) -> Option<Fleet> {
    config.share_socket.as_ref()?;
    let answer = client::ask_within(config.control_socket.as_deref()?, &Request::Peers {}, PATIENCE)?;
    serde_json::from_value(answer.ok()?).ok()
}

/// Returns the state in a few words.
pub(super) fn summary(fleet: &Fleet) -> String {
    let name = &fleet.gateway;
    if !fleet.companion || (fleet.report.is_none() && fleet.ways.is_empty()) {
        return format!("gateway {name}, without a companion: nothing is shared");
    }
    let servers = fleet.report.as_ref().map(|report| {
        let connected = report.servers.iter().filter(|server| server.connected).count();
        format!(", connected to {connected} of {} servers", report.servers.len())
    });
    let ways = fleet.ways.iter().map(|way| match &way.problem {
        Some(_) => format!(", {}: FAILS", way.name),
        None => format!(", {}: {}", way.name, way.state),
    });
    let in_force: usize = fleet.peers.iter().map(|peer| peer.in_force).sum();
    format!(
        "gateway {name}{}; {in_force} blocks of {} others in force",
        servers.into_iter().chain(ways).collect::<String>(),
        fleet.peers.len()
    )
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::inspect::fleet::{Peer, Report, Server, Way};

    /// Returns a fleet of two other gateways and three servers, of which this many are connected.
    pub(in crate::command) fn fleet(connected: usize) -> Fleet {
        let servers =
            (0..3).map(|index| Server { name: format!("nats{index}:4222"), connected: index < connected });
        let peer = |name: &str| Peer {
            gateway: name.into(),
            trust: Some("block".into()),
            held: None,
            blocks: 7,
            in_force: 5,
            heard: None,
            clock: 0,
            accepted: 9,
            refused: [].into(),
        };
        Fleet {
            gateway: "gw1".into(),
            shares: true,
            companion: true,
            report: Some(Report { servers: servers.collect(), certificate: None, waiting: 0 }),
            peers: vec![peer("gw2"), peer("gw3")],
            ways: Vec::new(),
            allowed: Vec::new(),
        }
    }

    /// Returns a way with this problem.
    pub(in crate::command) fn way(problem: Option<&str>) -> Way {
        Way { name: "feed".into(), state: "3 blocks".into(), problem: problem.map(Into::into) }
    }

    #[test]
    fn the_state_in_a_few_words() {
        for (fleet, expected) in [
            (fleet(2), "gateway gw1, connected to 2 of 3 servers; 10 blocks of 2 others in force"),
            (Fleet { companion: false, ..fleet(2) }, "gateway gw1, without a companion: nothing is shared"),
            (
                Fleet { report: None, ways: vec![way(None), way(Some("refused"))], ..fleet(2) },
                "gateway gw1, feed: 3 blocks, feed: FAILS; 10 blocks of 2 others in force",
            ),
        ] {
            assert_eq!(summary(&fleet), expected);
        }
    }
}
