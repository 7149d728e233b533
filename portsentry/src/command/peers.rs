//! `portsentry peers` and `portsentry allow`: the other gateways of a fleet, and the fleet's allow list.

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{
    looked, observed, options, show,
    table::{self, Align},
    zone::Zone,
};
use crate::{
    cli::{Allow, Cli, Peers},
    control::{PeerAction, Request},
    exit::Exit,
    inspect::fleet::{Fleet, Peer},
};

/// Lists the gateways, or judges one.
pub(super) fn run(cli: &Cli, peers: &Peers) -> Exit {
    let Some(action) = &peers.action else {
        return match ask::<Fleet>(cli, &Request::Peers {}) {
            Ok(fleet) if peers.json => show::print(&observed::json(&fleet)),
            Ok(fleet) => show::print(&render(&fleet, &Zone::new(peers.utc))),
            Err(exit) => exit,
        };
    };
    let (gateway, action) = action.parts();
    let done = match action {
        PeerAction::Hold => "held: its words are ignored, its blocks suspended",
        PeerAction::Release => "no longer held",
        PeerAction::Forget => "forgotten",
    };
    match ask::<Value>(cli, &Request::Peer { gateway: gateway.to_owned(), action }) {
        Ok(answer) if peers.json => show::print(&observed::json(&answer)),
        Ok(answer) => {
            let changed = &answer["changed"];
            show::print(&format!("{gateway}: {done}; {changed} blocks and fences changed\n"))
        }
        Err(exit) => exit,
    }
}

/// Exempts networks in the fleet, or no longer.
pub(super) fn allow(cli: &Cli, allow: &Allow) -> Exit {
    let request = Request::Allow { networks: allow.networks.clone(), remove: allow.remove };
    match ask::<Value>(cli, &request) {
        Ok(answer) if allow.json => show::print(&observed::json(&answer)),
        Ok(answer) => {
            let names = answer["changed"].as_array().into_iter().flatten().filter_map(|name| name.as_str());
            let done = if allow.remove { "no longer exempt in the fleet" } else { "exempt in the fleet" };
            let lines: Vec<String> = names.map(|name| format!("{name}: {done}\n")).collect();
            show::print(&lines.concat())
        }
        Err(exit) => exit,
    }
}

/// Asks the daemon. Prints the reason if it doesn't answer or refuses.
fn ask<T: DeserializeOwned>(cli: &Cli, request: &Request) -> Result<T, Exit> {
    let failed = |problem: String| {
        eprintln!("portsentry: {problem}");
        Exit::Failure
    };
    let Some(socket) = options::config(cli).control_socket else {
        return Err(failed("CONTROL_SOCKET is off".into()));
    };
    match looked::patiently(&socket, request) {
        Some(Ok(answer)) => serde_json::from_value(answer).map_err(|error| failed(error.to_string())),
        Some(Err(refusal)) => {
            refusal.details.iter().for_each(|line| eprintln!("portsentry: {}", table::plain(line)));
            Err(failed(looked::refused(&socket, &refusal)))
        }
        None => Err(failed(format!("no daemon answers at {}", socket.display()))),
    }
}

fn render(fleet: &Fleet, zone: &Zone) -> String {
    use Align::{Left, Right};
    let companion = match (fleet.shares, fleet.companion) {
        (false, _) => "SHARE_SOCKET is off",
        (true, false) => "no companion is connected to SHARE_SOCKET",
        (true, true) => "its companion is connected",
    };
    let mut text = format!("this is gateway {}; {companion}\n", fleet.gateway);
    if !fleet.allowed.is_empty() {
        text = text + "exempt in the fleet: " + &fleet.allowed.join(", ") + "\n";
    }
    if fleet.peers.is_empty() {
        return text + "no other gateway has said anything\n";
    }
    let heard = zone.heading("HEARD");
    let columns = [
        ("GATEWAY", Left),
        ("TRUST", Left),
        ("STATE", Left),
        ("BLOCKS", Right),
        ("IN FORCE", Right),
        ("REFUSED", Right),
        ("CLOCK", Right),
        (heard.as_str(), Left),
    ];
    let row = |peer: &Peer| {
        [
            peer.gateway.clone(),
            peer.trust.clone().unwrap_or_else(|| "none".into()),
            peer.held.as_ref().map_or_else(|| "heard".into(), |by| format!("held ({by})")),
            peer.blocks.to_string(),
            peer.in_force.to_string(),
            peer.refused.values().sum::<u64>().to_string(),
            ahead(peer.clock),
            peer.heard.map_or_else(|| "-".into(), |heard| zone.show(heard.0)),
        ]
    };
    text + &table::render(columns, &fleet.peers.iter().map(row).collect::<Vec<_>>())
}

/// Returns the seconds by which a gateway's clock is ahead of this host's.
fn ahead(behind: i64) -> String {
    let sign = if behind > 0 { "-" } else { "+" };
    let tenths = behind.unsigned_abs() / 100;
    format!("{sign}{}.{} s", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gateways_are_listed_with_their_state() {
        let peer = |gateway: &str, held: Option<&str>| Peer {
            gateway: gateway.into(),
            trust: Some("block".into()),
            held: held.map(Into::into),
            blocks: 7,
            in_force: 5,
            heard: None,
            clock: -2500,
            accepted: 9,
            refused: [("rate".to_owned(), 2), ("address".to_owned(), 1)].into(),
        };
        let peers = vec![peer("gw2", None), peer("gw3", Some("rate"))];
        let fleet = Fleet {
            gateway: "gw1".into(),
            shares: true,
            companion: true,
            report: None,
            ways: Vec::new(),
            peers,
            allowed: vec!["192.0.2.0/24".into()],
        };
        let text = render(&fleet, &Zone::utc());
        for expected in
            ["this is gateway gw1; its companion is connected", "exempt in the fleet: 192.0.2.0/24"]
        {
            assert!(text.contains(expected), "{text}");
        }
        let rows: Vec<Vec<&str>> =
            text.lines().skip(3).map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(rows[0], ["gw2", "block", "heard", "7", "5", "3", "+2.5", "s", "-"]);
        assert_eq!(rows[1][2..4], ["held", "(rate)"]);
        let alone = Fleet { shares: false, peers: Vec::new(), allowed: Vec::new(), ..fleet };
        assert!(
            render(&alone, &Zone::utc())
                .contains("SHARE_SOCKET is off\nno other gateway has said anything\n")
        );
    }
}
