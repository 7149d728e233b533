//! Findings on the fleet: the companion, its servers and its certificate, and the other gateways' clocks.

use std::time::SystemTime;

use super::finding::Finding;
use crate::{
    inspect::fleet::{Fleet, Peer, Report, Way, certificate_problem},
    policy::peers::millis_of,
};

const ABOUT: &str = "fleet";
/// Difference of clocks in milliseconds that is reported.
const CLOCK: u64 = 2000;

/// Returns the findings.
pub(super) fn findings(fleet: &Fleet) -> Vec<Finding> {
    if !fleet.companion || (fleet.report.is_none() && fleet.ways.is_empty()) {
        return vec![Finding::warning(
            ABOUT,
            "no companion is connected to SHARE_SOCKET: nothing is shared",
            "systemctl enable --now portsentry-share; its journal says why it ends",
        )];
    }
    let end = fleet.report.as_ref().and_then(|report| report.certificate);
    let problem = end.and_then(|end| certificate_problem(end, millis_of(SystemTime::now())));
    let certificate =
        problem.map(|it| Finding::warning(ABOUT, it, "`portsentry share init` makes a new one (fleet.md)"));
    let servers = fleet.report.as_ref().map(servers);
    let ways = fleet.ways.iter().map(way);
    servers.into_iter().chain(ways).chain(certificate).chain(fleet.peers.iter().filter_map(peer)).collect()
}

fn way(Way { name, state, problem }: &Way) -> Finding {
    match problem {
        None => Finding::ok(ABOUT, format!("{name}: {state}")),
        Some(problem) => Finding::warning(
            ABOUT,
            format!("{name}: {problem}"),
            "the journal of portsentry-share has more; blocks stay in force here",
        ),
    }
}

fn servers(report: &Report) -> Finding {
    let all = report.servers.len();
    let connected = report.servers.iter().filter(|server| server.connected).count();
    let what = format!("connected to {connected} of {all} servers");
    match connected {
        0 => Finding::warning(ABOUT, what, "the journal of portsentry-share says why; blocks stay in force"),
        1 => Finding::warning(ABOUT, what, "if that server fails, words are late: two are used"),
        _ => Finding::ok(ABOUT, what),
    }
}

fn peer(peer: &Peer) -> Option<Finding> {
    let name = &peer.gateway;
    if let Some(by) = &peer.held {
        return Some(Finding::warning(
            ABOUT,
            format!("gateway {name} is held ({by}): its words are ignored"),
            format!("`portsentry peers release {name}`, if it is sound"),
        ));
    }
    (peer.clock.unsigned_abs() > CLOCK).then(|| {
        Finding::warning(
            ABOUT,
            format!("the clock of gateway {name} differs by {} s", peer.clock.unsigned_abs() / 1000),
            "set both clocks by NTP; until then ends are converted",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{
        doctor::finding::Level,
        fleet::tests::{fleet, way},
    };

    fn warnings(fleet: &Fleet) -> Vec<String> {
        let findings = findings(fleet).into_iter();
        findings.filter(|finding| finding.level == Level::Warning).map(|finding| finding.what).collect()
    }

    #[test]
    fn a_fleet_with_two_connections_is_sound() {
        assert_eq!(warnings(&fleet(2)), [""; 0]);
        assert_eq!(warnings(&fleet(1)), ["connected to 1 of 3 servers"]);
        let alone = Fleet { companion: false, ..fleet(2) };
        assert_eq!(warnings(&alone), ["no companion is connected to SHARE_SOCKET: nothing is shared"]);
    }

    #[test]
    fn a_way_that_fails_is_reported_and_the_fleet_needs_no_servers() {
        let ways = vec![way(None), way(Some("address in use"))];
        assert_eq!(warnings(&Fleet { report: None, ways, ..fleet(2) }), ["feed: address in use"]);
    }

    #[test]
    fn held_gateways_clocks_and_the_end_of_the_certificate_are_reported() {
        let mut fleet = fleet(2);
        fleet.peers[0].held = Some("rate".into());
        fleet.peers[1].clock = -300_000;
        if let Some(report) = &mut fleet.report {
            report.certificate = Some(millis_of(SystemTime::now()) + 11 * 43_200_000);
        }
        assert_eq!(
            warnings(&fleet),
            [
                "the certificate ends within 6 days",
                "gateway gw2 is held (rate): its words are ignored",
                "the clock of gateway gw3 differs by 300 s"
            ]
        );
    }
}
