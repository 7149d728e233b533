//! A fleet: companions of three gateways and three real servers, through every failure between them. The daemons are the
//! test's own, but for the last test.

use std::{
    net::{IpAddr, Ipv4Addr},
    thread,
    time::{Duration, Instant},
};

use portsentry_tests::lab::{Family, Fleet, Lab, fleet::Gateway};
use serde_json::{Value, json};

/// Number of words in a measurement.
const WORDS: u8 = 20;
/// Interval between them.
const INTERVAL: Duration = Duration::from_millis(10);

fn sources(network: u8, count: u8) -> Vec<IpAddr> {
    (0..count).map(|last| Ipv4Addr::new(203, 0, network, last).into()).collect()
}

/// Has a gateway block sources one after another. Calls `midway` after half of them. Returns the moments.
fn block(gateway: &Gateway<'_>, network: u8, midway: impl Fn()) -> Vec<(IpAddr, Instant)> {
    let told = sources(network, WORDS).into_iter().enumerate().map(|(number, source)| {
        if number == usize::from(WORDS) / 2 {
            midway();
        }
        thread::sleep(INTERVAL);
        (source, gateway.block(source))
    });
    told.collect()
}

/// Waits until all gateways hear each other.
fn ready(gateways: &[Gateway<'_>]) {
    gateways.iter().for_each(|gateway| gateway.wait_until_ready(2));
    for gateway in gateways {
        for other in gateways.iter().filter(|other| other.name() != gateway.name()) {
            gateway.wait_for_beat(other.name());
        }
    }
}

/// Waits until each gateway's words are at the others. Returns the longest time.
fn longest(gateways: &[Gateway<'_>], speaker: &str, told: &[(IpAddr, Instant)]) -> Duration {
    let others = gateways.iter().filter(|gateway| gateway.name() != speaker);
    others.map(|other| other.longest(speaker, told)).max().expect("another gateway")
}

#[test]
fn news_arrive_while_servers_die() {
    let fleet = Fleet::new(&["gw1", "gw2", "gw3"]);
    let gateways = [0, 1, 2].map(|index| fleet.gateway(index));
    ready(&gateways);
    for (network, gateway) in (1..).zip(&gateways) {
        let told = block(gateway, network, || {});
        println!("all is well: {:?}", longest(&gateways, gateway.name(), &told));
    }
    let leader = fleet.leader("gw1");
    let told = block(&gateways[0], 11, || fleet.kill_server(leader));
    println!("the state's leader dies: {:?}", longest(&gateways, "gw1", &told));
    let second = (leader + 1) % 3;
    let told = block(&gateways[0], 12, || fleet.kill_server(second));
    println!("only one server lives: {:?}", longest(&gateways, "gw1", &told));
    let told = block(&gateways[0], 13, || {});
    println!("without a quorum: {:?}", longest(&gateways, "gw1", &told));
    fleet.start_server(leader);
    fleet.start_server(second);
    ready(&gateways);
    // A daemon that begins anew hears from the state what the servers' quorum has missed.
    gateways[2].restart_daemon();
    for network in [1, 11, 12, 13] {
        gateways[2].wait_for_all("gw1", &sources(network, WORDS));
    }
    gateways[2].wait_for_all("gw2", &sources(2, WORDS));
}

#[test]
fn a_gateway_that_was_cut_off_is_whole_soon_and_a_server_without_routes_loses_nothing() {
    let fleet = Fleet::new(&["gw1", "gw2", "gw3"]);
    let gateways = [0, 1, 2].map(|index| fleet.gateway(index));
    ready(&gateways);
    for server in 0..3 {
        fleet.isolate(server, true);
        let told = block(&gateways[0], 20 + u8::try_from(server).expect("few servers"), || {});
        println!("server {server} has no routes: {:?}", longest(&gateways, "gw1", &told));
        fleet.isolate(server, false);
    }
    fleet.wire("g1", true);
    gateways[1].wait_until_ready(0);
    block(&gateways[0], 30, || {});
    block(&gateways[1], 31, || {});
    gateways[2].wait_for_all("gw1", &sources(30, WORDS));
    let mended = Instant::now();
    fleet.wire("g1", false);
    gateways[1].wait_for_all("gw1", &sources(30, WORDS));
    println!("whole {:?} after it was mended", mended.elapsed());
    for other in [&gateways[0], &gateways[2]] {
        other.wait_for_all("gw2", &sources(31, WORDS));
    }
    println!("the others {:?} after it was mended", mended.elapsed());
}

#[test]
fn a_server_that_lags_behind_hides_no_words_of_the_state() {
    let fleet = Fleet::new(&["gw1", "gw2"]);
    // Words that come together are no news.
    fleet.configure(0, "NEWS_RATE=\"1\"\n");
    let gateways = [0, 1].map(|index| fleet.gateway(index));
    gateways.iter().for_each(|gateway| gateway.wait_until_ready(2));
    gateways[1].wait_for_beat("gw1");
    // It still answers for its part, and a gateway asks either of its two servers.
    let connected =
        |index: usize| gateways[1].heard(|words| words.report["servers"][index]["connected"] == true);
    let leader = fleet.leader("gw1");
    let server = (0..3).find(|index| *index != leader && connected(*index)).expect("one of two servers");
    fleet.isolate(server, true);
    for network in 90..96 {
        gateways[0].block_all(&sources(network, WORDS));
        gateways[1].wait_for_all("gw1", &sources(network, WORDS));
    }
}

#[test]
fn every_process_may_be_killed_at_any_moment() {
    let fleet = Fleet::new(&["gw1", "gw2", "gw3"]);
    let mut gateways = [0, 1, 2].map(|index| fleet.gateway(index));
    ready(&gateways);
    // What daemons blocked before their companions ran is heard, too.
    gateways[0].block_silently(&sources(40, 200));
    for round in 0..6_u8 {
        let victim = fastrand::usize(0..3);
        match round % 3 {
            0 => {
                fleet.kill_server(victim);
                block(&gateways[1], 50 + round, || {});
                fleet.start_server(victim);
            }
            1 => {
                gateways[victim].kill();
                block(&gateways[1], 50 + round, || {});
                gateways[victim].start();
            }
            _ => block(&gateways[1], 50 + round, || gateways[victim].restart_daemon()).truncate(0),
        }
    }
    gateways.iter().for_each(Gateway::restart_daemon);
    let begun = Instant::now();
    for other in [&gateways[0], &gateways[2]] {
        for network in 50..56 {
            other.wait_for_all("gw2", &sources(network, WORDS));
        }
    }
    for other in &gateways[1..] {
        other.wait_for_all("gw1", &sources(40, 200));
    }
    println!("the states agree after {:?}", begun.elapsed());
}

#[test]
fn lifts_and_exemptions_are_heard_and_stay_in_the_state() {
    let fleet = Fleet::new(&["gw1", "gw2"]);
    let gateways = [0, 1].map(|index| fleet.gateway(index));
    ready(&gateways);
    let source = sources(60, 1)[0];
    gateways[0].block(source);
    gateways[1].wait_for("gw1", source);
    gateways[1].tell(json!({"word": "lift", "addresses": [source], "at": 1_000}));
    gateways[1].tell(json!({"word": "allow", "network": "203.0.60.0/24", "at": 1_001, "allowed": true}));
    let said = |is_state: bool| {
        gateways[0].wait_until("both words are heard", |words| words.others.len() == 2);
        let mut words = gateways[0].heard(|words| words.others.clone());
        words.sort_by_key(|word| word["at"].as_u64());
        let texts: Vec<Value> = words
            .iter()
            .map(|word| {
                json!([
                    word["word"],
                    word["gateway"],
                    word["at"],
                    word["state"].as_bool().unwrap_or_default()
                ])
            })
            .collect();
        assert_eq!(texts, [json!(["lift", "gw2", 1000, is_state]), json!(["allow", "gw2", 1001, is_state])]);
    };
    said(false);
    gateways[0].restart_daemon();
    said(true);
}

#[test]
fn a_captured_gateway_speaks_only_for_itself() {
    let fleet = Fleet::new(&["gw1", "gw2", "gw3"]);
    let gateways = [0, 1].map(|index| fleet.gateway(index));
    ready(&gateways);
    let source = sources(70, 1)[0];
    gateways[0].block(source);
    gateways[1].wait_for("gw1", source);
    let forged: IpAddr = [203, 0, 71, 1].into();
    let word = |gateway: &str, is_state: bool| {
        let block = json!({"address": forged, "since": 1, "until": 4_102_444_800_000_u64, "proof": "cookie", "port": 23});
        let mut word = json!({"word": "block", "gateway": gateway, "said": 0, "blocks": [block]});
        if is_state {
            word["state"] = true.into();
        }
        word
    };
    let put = |subject: &str, reply: &str, payload: &Value| {
        let text = payload.to_string();
        format!("PUB {subject} {reply} {}\r\n{text}\r\n", text.len())
    };
    let news = json!({"run": 9, "number": 1, "words": [word("gw1", false)]});
    // Other gateways' subjects, and the state's own commands.
    let refused = [
        "ps.v1.news.gw1",
        "ps.v1.beat.gw1",
        "ps.v1.state.gw1.block.203-0-71-1",
        "$JS.API.STREAM.PURGE.PS-gw1",
        "$JS.API.STREAM.DELETE.PS-gw3",
        "$JS.API.STREAM.MSG.DELETE.PS-gw3",
        "$JS.API.STREAM.UPDATE.PS-gw3",
        "$JS.API.CONSUMER.CREATE.PS-gw1",
    ];
    let frames: String = refused.map(|subject| put(subject, "", &news)).concat();
    let answers = fleet.speak_as(2, &format!("{frames}SUB ps.v1.state.> 1\r\nSUB > 2\r\nSUB $JS.> 3\r\n"));
    for subject in refused {
        assert!(
            answers.contains(&format!("Permissions Violation for Publish to \"{subject}\"")),
            "{answers}"
        );
    }
    assert_eq!(answers.matches("Permissions Violation for Subscription").count(), 3, "{answers}");
    // The server answers requests, and a gateway names the subject of the answer: that of another gateway.
    let get = json!({"last_by_subj": "ps.v1.state.gw3.block.203-0-71-1"});
    let frames = [
        put("ps.v1.state.gw3.block.203-0-71-1", "ps.v1.state.gw1.block.203-0-70-0", &word("gw1", true)),
        put("ps.v1.state.gw3.block.203-0-71-1", "ps.v1.news.gw1", &news),
        put("$JS.API.DIRECT.GET.PS-gw3", "ps.v1.news.gw1", &get),
        put("$JS.API.DIRECT.GET.PS-gw3", "ps.v1.state.gw1.block.203-0-71-1", &get),
        // It empties its own part at most.
        "HPUB ps.v1.state.gw3.block.203-0-71-2 _INBOX.1 29 29\r\nNATS/1.0\r\nNats-Rollup: all\r\n\r\n\r\n"
            .replace("29", "30"),
        // Another's words in its own news and state.
        put("ps.v1.news.gw3", "", &news),
    ];
    let answers = fleet.speak_as(2, &format!("SUB _INBOX.> 7\r\n{}", frames.concat()));
    assert!(answers.contains("rollup not permitted"), "{answers}");
    // The companion of an honest gateway hears nothing of it, in news or state, and the honest word is still there.
    gateways[1].restart_daemon();
    gateways[1].wait_for("gw1", source);
    let marker: IpAddr = [203, 0, 72, 1].into();
    gateways[0].block(marker);
    gateways[1].wait_for("gw1", marker);
    let heard = gateways[1].heard(|words| words.blocks.keys().cloned().collect::<Vec<_>>());
    assert!(heard.iter().all(|(gateway, address)| gateway == "gw1" && *address != forged), "{heard:?}");
}

#[test]
fn a_flood_of_one_gateway_hardly_delays_the_others() {
    let fleet = Fleet::new(&["gw1", "gw2", "gw3"]);
    let gateways = [0, 1].map(|index| fleet.gateway(index));
    ready(&gateways);
    let block =
        |last: u32| json!({"address": Ipv4Addr::from(0x0b00_0000 + last), "since": 1, "proof": "cookie"});
    let frames: Vec<String> = (0..1000)
        .map(|number| {
            let word = json!({"word": "block", "gateway": "gw3", "said": 0, "blocks": [block(number)]});
            let text = json!({"run": fastrand::u64(..), "number": number, "words": [word]}).to_string();
            format!("PUB ps.v1.news.gw3 {}\r\n{text}\r\n", text.len())
        })
        .collect();
    let told = thread::scope(|scope| {
        let flood = scope.spawn(|| fleet.flood_as(2, &frames.concat(), 20));
        let mut told = Vec::new();
        for network in 80..90 {
            told.extend(self::block(&gateways[0], network, || {}));
            if flood.is_finished() {
                break;
            }
        }
        told
    });
    let late = longest(&gateways, "gw1", &told);
    println!("{} words during a flood: {late:?}", told.len());
    // With one queue for all, the flood would come first.
    assert!(late < Duration::from_secs(10), "{late:?}");
}

#[test]
fn a_source_proven_at_one_gateway_is_dropped_at_the_others_until_it_is_lifted_anywhere() {
    let fleet = Fleet::new(&["gw1", "gw2"]);
    let labs = [Lab::routed(), Lab::routed()];
    let setups = ["gw1", "gw2"].map(|name| {
        let lab = &labs[usize::from(name == "gw2")];
        let setup = lab.portsentry("-stcp").with("BLOCK_UNPROVEN", "0").with("CHALLENGE", "1");
        setup.with("XDP_MODE", "generic").in_fleet("*").with("GATEWAY_NAME", name)
    });
    let daemons = [setups[0].start(), setups[1].start()];
    let _companions = [0, 1].map(|index| fleet.start_companion(index, &setups[index].share_socket()));
    let peer = |index: usize| setups[index].say("peers --json").json()["peers"][0].clone();
    for (index, other) in [(0, "gw2"), (1, "gw1")] {
        daemons[index].wait_until("the other gateway is heard", || peer(index)["gateway"] == other);
    }
    // The labs' networks have the same addresses.
    let source = labs[0].source(Family::V4);
    labs[0].nmap(source, "-sT -p 11");
    daemons[0].wait_until("it is blocked here", || daemons[0].blocked().contains(&source));
    daemons[1].wait_until("it is blocked there", || daemons[1].blocked().contains(&source));
    // The daemon writes the names of gateways within a moment.
    daemons[1].wait_until("it is listed with its gateway and proof", || {
        setups[1]
            .entry("list --json --origin peer", source)
            .is_some_and(|entry| [&entry["gateway"], &entry["proof"]] == [&json!("gw1"), &json!("cookie")])
    });
    assert_eq!(setups[1].say(&format!("unblock {source}")).code, 0);
    for daemon in &daemons {
        daemon.wait_until("it is lifted in the fleet", || !daemon.blocked().contains(&source));
    }
    daemons[0].log().wait_for("an administrator lifted it at gateway gw2");
    // What a held gateway says is ignored, and read from the state later.
    assert_eq!(setups[1].say("peers hold gw1").code, 0);
    let ignored = || peer(1)["refused"]["held"].as_u64().unwrap_or_default();
    let source = labs[0].source(Family::V6);
    labs[0].nmap(source, "-sT -p 11");
    daemons[0].wait_until("it is blocked here", || daemons[0].blocked().contains(&source));
    let before = ignored();
    daemons[1].wait_until("the other gateway's words are ignored", || ignored() >= before + 3);
    assert!(!daemons[1].blocked().contains(&source));
    assert_eq!(setups[1].say("peers release gw1").code, 0);
    daemons[1].wait_until("it is blocked there", || daemons[1].blocked().contains(&source));
}
