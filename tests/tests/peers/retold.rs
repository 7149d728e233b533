//! What the daemon has its companion say again, and tells it as a whole.

use std::{collections::BTreeSet, fs, net::IpAddr};

use portsentry_tests::lab::{Companion, Family, Lab, companion::now};
use serde_json::json;

use super::{HOUR, lifts, sources, wait_for_blocked, wait_for_free};

#[test]
fn any_number_of_lifts_is_told() {
    const LIFTS: u32 = 40_000;
    let lab = Lab::new();
    let setup = lab.portsentry("-stcp").in_fleet("*");
    let all: BTreeSet<IpAddr> = sources(LIFTS).into_iter().collect();
    let at = now() - HOUR;
    let lines: Vec<String> = (at..).zip(&all).map(|(at, source)| format!("lift {source} {at}\n")).collect();
    fs::write(format!("{}.peers", setup.setting("BLOCKED_FILE")), lines.concat()).expect("the peers' file");
    let _daemon = setup.start();
    let companion = Companion::join(&setup.share_socket());
    let told = lifts(&companion);
    let told: BTreeSet<IpAddr> = told
        .into_iter()
        .flat_map(|some| serde_json::from_value::<Vec<IpAddr>>(some).expect("addresses"))
        .collect();
    assert_eq!(told.len(), all.len());
    assert_eq!(told, all);
}

#[test]
fn the_words_of_a_released_gateway_are_read_again() {
    let lab = Lab::new();
    let setup = lab.portsentry("-stcp").in_fleet("*");
    let daemon = setup.start();
    let mut companion = Companion::join(&setup.share_socket());
    let [before, meanwhile] = [Family::V4, Family::V6].map(|family| lab.source(family));
    companion.block("gw2", &[before]);
    wait_for_blocked(&daemon, before);
    assert_eq!(setup.say("peers hold gw2").code, 0);
    wait_for_free(&daemon, before);
    companion.block("gw2", &[meanwhile]);
    let last = IpAddr::from([198, 51, 100, 253]);
    companion.block("gw3", &[last]);
    wait_for_blocked(&daemon, last);
    assert_eq!(setup.say("peers release gw2").code, 0);
    wait_for_blocked(&daemon, before);
    assert!(!daemon.blocked().contains(&meanwhile), "it was ignored");
    let refused = companion.hear_until("refused");
    assert_eq!(
        (&refused["gateway"], &refused["state"]),
        (&json!("gw2"), &json!(true)),
        "so it is to be said again"
    );
}
