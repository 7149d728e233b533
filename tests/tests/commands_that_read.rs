//! The commands that only read, with a running daemon, with a killed one, and without one.

use std::path::Path;

use portsentry_tests::lab::{FAMILIES, Family, INTERFACE, Lab};
use serde_json::Value;

#[test]
fn lists_and_status_are_true_with_the_daemon_alive_dead_and_stopped() {
    let lab = Lab::new();
    let setup = lab.portsentry("-stcp");
    let daemon = setup.start();
    let sources = FAMILIES.map(|family| lab.source(family));
    for source in sources {
        lab.nmap(source, "-sS -p 11");
        daemon.wait_for_block(source);
        let entry = setup.entry("list --json", source).expect("it is listed");
        assert_eq!(
            (
                &entry["state"],
                &entry["port"],
                &entry["protocol"],
                &entry["kind"],
                &entry["until"],
                &entry["hits"]
            ),
            (
                &"blocked".into(),
                &11.into(),
                &"TCP".into(),
                &"TCP SYN/Normal scan".into(),
                &Value::Null,
                &1.into()
            )
        );
    }
    let alive = setup.say("status --json");
    let status = alive.json();
    assert_eq!((alive.code, &status["daemon"]), (0, &daemon.process().into()));
    assert_eq!(status["interfaces"][0]["name"], INTERFACE);
    assert_eq!(status["maps"]["counters"]["probes"], daemon.counter("probes"));
    assert_eq!(
        (&status["maps"]["blocked"]["ipv4"], &status["maps"]["blocked"]["ipv6"]),
        (&1.into(), &1.into())
    );
    let table = setup.say("list --sort address").out;
    assert!(table.starts_with("ADDRESS") && table.lines().count() == 3, "{table}");

    daemon.kill();
    let dead = setup.say("status --json");
    assert_eq!((dead.code, &dead.json()["daemon"]), (0, &Value::Null), "the kernel goes on");
    let dropped =
        |source| setup.entry("list --json", source).expect("it is still listed")["dropped"].as_u64();
    for source in sources {
        let before = dropped(source);
        lab.nmap(source, "-sS -p 12");
        assert!(dropped(source) > before, "what is dropped meanwhile is counted for {source}");
    }

    let daemon = setup.start();
    daemon.settle();
    let ended = daemon.terminate();
    assert_eq!(ended.code, Some(0), "{}", ended.text());
    let stopped = setup.say("status");
    assert_eq!(stopped.code, 1, "{}", stopped.out);
    assert!(stopped.out.starts_with("enforcement  attached to no interface\n"), "{}", stopped.out);
}

#[test]
fn looking_keeps_no_daemon_from_starting() {
    let lab = Lab::new();
    let setup = lab.portsentry("-stcp");
    setup.command();
    let said = setup.say("list");
    assert_eq!((said.out.as_str(), said.code), ("no source is blocked or fenced\n", 0));
    assert!(!Path::new(setup.setting("PIN_PATH")).exists(), "looking makes nothing");
    assert_eq!(setup.say("status").code, 1);
}

#[test]
fn a_fenced_source_is_listed_as_fenced() {
    let lab = Lab::new();
    let setup = lab.portsentry("-stcp").with("BLOCK_UNPROVEN", "0").with("FENCE_TIME", "600");
    let _daemon = setup.start();
    let [fenced, blocked] = [lab.source(Family::V4), lab.source(Family::V4)];
    lab.nmap(fenced, "-sF -p 7");
    assert_eq!(setup.say(&format!("block {blocked}")).code, 0);
    let found = setup.entry("list --json --state fenced", fenced).expect("it is listed");
    assert_eq!((&found["state"], &found["proof"]), (&"fenced".into(), &"none".into()));
    assert!(found["until"].is_string(), "{found}");
    assert_eq!(setup.entry("list --json --state fenced", blocked), None);
    assert_eq!(setup.entry("list --json --state blocked", fenced), None);
    assert_eq!(setup.entry(&format!("list --json --network {blocked}"), fenced), None);
}

#[test]
fn the_history_is_read_in_both_formats() {
    let lab = Lab::new();
    let mut setup = lab.portsentry("-stcp");
    let sources = ["classic", "revival"].map(|format| {
        setup = setup.clone().with("LOG_FORMAT", format);
        let daemon = setup.start();
        let source = lab.source(Family::V4);
        lab.nmap(source, "-sS -p 11");
        daemon.wait_until("the history follows", || !daemon.file_about("HISTORY_FILE", source).is_empty());
        daemon.terminate();
        source
    });
    for source in sources {
        let found = setup.entry("history --json", source).expect("it is in the history");
        assert_eq!(
            (&found["port"], &found["protocol"], &found["action"]),
            (&11.into(), &"TCP".into(), &"blocked".into())
        );
        let only = setup.say(&format!("history --json --address {source}")).json();
        assert_eq!(only.as_array().map(Vec::len), Some(1), "{only}");
    }
    for source in sources {
        let words = format!("history --json --kind syn --address {source}");
        let found = setup.entry(&words, source).expect("its kind is known, whatever the line says");
        assert_eq!((&found["proof"], &found["action"]), (&"none".into(), &"blocked".into()), "{found}");
    }
    assert_eq!(setup.say("history --json --kind xmas").json(), Value::Array(Vec::new()));
    assert_eq!(setup.say("history --json --since 1h").json().as_array().map(Vec::len), Some(2));
    assert_eq!(setup.say("history --json --since 2100-01-01").json(), Value::Array(Vec::new()));
    assert_eq!(setup.say("history").out.lines().count(), 3);
}

#[test]
fn programs_are_told_what_a_check_and_a_frame_show() {
    let lab = Lab::new();
    let setup = lab.portsentry("-stcp");
    let daemon = setup.start();
    let source = lab.source(Family::V4);
    lab.nmap(source, "-sS -p 11");
    daemon.wait_for_block(source);
    let frame = setup.say("top --once --json").json();
    assert_eq!(frame["interfaces"], serde_json::json!([INTERFACE]), "{frame}");
    assert_eq!(frame["daemon"], daemon.process(), "{frame}");
    assert_eq!(frame["sources"][0]["address"], source.to_string(), "{frame}");
    assert_eq!(setup.say("top --json").code, 2, "a frame is asked for");
    let checked = setup.say("check --json").json();
    assert_eq!((&checked["is_right"], &checked["errors"]), (&true.into(), &Value::Array(Vec::new())));
    let ports = serde_json::json!({"about": "watched", "what": "TCP 1,7,11,15,79-80,111,119,143"});
    assert!(checked["means"].as_array().expect("a list").contains(&ports), "{checked}");
    setup.with("BLOCK_TCP", "7").write();
    let said = daemon.setup().say("check --json");
    let checked = said.json();
    assert_eq!((said.code, &checked["is_right"]), (3, &false.into()), "{checked}");
    assert!(checked["errors"].to_string().contains("BLOCK_TCP"), "{checked}");
}

#[test]
fn the_doctor_tells_what_is_in_the_way() {
    let lab = Lab::new();
    let setup = lab.portsentry("-stcp").with("INTERFACES", INTERFACE);
    setup.command();
    let healthy = setup.say("doctor");
    assert_eq!(healthy.code, 0, "{}", healthy.out);
    for line in
        ["no XDP program is attached", "driver veth: runs XDP natively", "type information (BTF) is present"]
    {
        assert!(healthy.out.contains(line), "{line}\n{}", healthy.out);
    }
    let challenging = setup.clone().with("CHALLENGE", "1").with("XDP_MODE", "native");
    challenging.command();
    assert!(challenging.say("doctor").out.contains("are lost unless the other end runs"));

    let other = setup.clone().with("PIN_PATH", &lab.other_pins().display().to_string());
    let daemon = other.start();
    let own = other.say("doctor");
    assert!(own.code == 0 && own.out.contains("already runs portsentry's program, natively"), "{}", own.out);
    setup.command();
    let occupied = setup.say("doctor --json");
    assert_eq!(occupied.code, 1);
    let problems = occupied.json();
    let problems =
        problems.as_array().expect("a list").iter().filter(|finding| finding["level"] == "problem");
    let problems: Vec<_> = problems.map(|finding| finding["what"].as_str().unwrap_or_default()).collect();
    assert!(problems.len() == 1 && problems[0].contains("another XDP program"), "{problems:?}");
    daemon.terminate();

    // The other interface exists.
    let missing = setup.say("-i nowhere0 -i eth0 doctor --json").out;
    assert!(missing.contains("no such interface: it will be watched once it exists"), "{missing}");
    let none = setup.say("-i nowhere0 doctor");
    assert!(none.code == 1 && none.out.contains("no interface to watch yet"), "{}", none.out);
}
