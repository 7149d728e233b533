//! `portsentry why` names every gateway of a fleet that blocks an address.

use portsentry_tests::lab::{Companion, Lab};
use serde_json::json;

#[test]
fn why_names_every_gateway_that_blocks_an_address() {
    let lab = Lab::new();
    let setup = lab.portsentry("-stcp").in_fleet("gw2,gw3,gw4=log");
    let daemon = setup.start();
    let mut companion = Companion::join(&setup.share_socket());
    let source = "198.51.100.7".parse().expect("an address");
    // Of two blocks that end at the same time the later one is in force.
    for gateway in ["gw2", "gw3", "gw4"] {
        companion.block(gateway, &[source]);
    }
    let claims = || setup.say(&format!("why --json {source}")).json()["claims"].clone();
    daemon.wait_until("all have said so", || claims().as_array().is_some_and(|claims| claims.len() == 3));
    let mut standings: Vec<_> = (0..3).map(|number| claims()[number]["standing"].clone()).collect();
    assert_eq!(standings.pop(), Some(json!("ignored")), "gw4 is only recorded");
    standings.sort_by_key(ToString::to_string);
    assert_eq!(standings, ["covered", "in force"]);
    let claim = &claims()[0];
    assert_eq!(
        [
            &claim["gateway"],
            &claim["network"],
            &claim["proof"],
            &claim["port"],
            &claim["protocol"],
            &claim["kind"]
        ],
        [&json!("gw2"), &json!(source), &json!("cookie"), &json!(23), &json!("TCP"), &json!("connect")]
    );
    let text = setup.say(&format!("why --utc {source}")).out;
    for gateway in ["gw2", "gw3", "gw4"] {
        let line =
            text.lines().find(|line| line.starts_with(&format!("claim     gateway {gateway}, since ")));
        let line = line.unwrap_or_else(|| panic!("{gateway} isn't in\n{text}"));
        assert!(line.contains(": completed handshake, port 23/TCP, connect ("), "{line}");
    }
    companion.lift("gw3", source);
    daemon.wait_until("it is lifted", || daemon.blocked().is_empty());
    assert_eq!(claims()[0]["standing"], "lifted");
    assert_eq!(setup.say("why --json 198.51.100.8").json()["claims"], json!(null));
}
