//! Times for people are on one clock a page, which is named: that of `TZ`, or UTC with `--utc`.

use std::process::Command;

use portsentry_tests::lab::{Lab, Portsentry, Said};

/// Values of `TZ`, and the name shown for each.
const ZONES: [(&str, &str); 7] = [
    ("Europe/Berlin", "Europe/Berlin"),
    (":Asia/Kolkata", "Asia/Kolkata"),
    ("/usr/share/zoneinfo/America/New_York", "America/New_York"),
    ("CET-1CEST,M3.5.0,M10.5.0/3", "CET-1CEST,M3.5.0,M10.5.0/3"),
    ("<+0545>-5:45", "<+0545>-5:45"),
    ("UTC", "UTC"),
    ("", "UTC"),
];
/// Values that are no time zones.
const INVALID: [&str; 4] = ["Mars/Phobos", "../../../etc/passwd", ":", "\u{1b}[31m"];

/// Returns what date(1) shows for a time in RFC 3339.
fn date(zone: &str, time: &str) -> String {
    let mut command = Command::new("date");
    command.env("TZ", zone).args(["-d", time, "+%Y-%m-%d %H:%M:%S"]);
    let said = command.output().expect("date of coreutils");
    String::from_utf8_lossy(&said.stdout).trim().to_owned()
}

/// The pages with the start of the block, each with its commands.
fn pages(setup: &Portsentry<'_>, zone: &str, flags: &str) -> [Said; 3] {
    ["list", "history", "why 192.0.2.9"].map(|words| setup.say_in(zone, &format!("{words}{flags}")))
}

#[test]
fn pages_name_their_time_zone() {
    let lab = Lab::new();
    let setup = lab.portsentry("-stcp");
    let _daemon = setup.start();
    assert_eq!(setup.say("block 192.0.2.9").code, 0);
    let since = setup.say("history --json").json()[0]["time"].as_str().expect("a time").to_owned();
    for (zone, name) in ZONES {
        for said in pages(&setup, zone, "") {
            assert!(said.out.contains(&date(zone, &since)), "{zone}: {since}\n{}", said.out);
            assert!(said.out.contains(&format!("({name})")), "{zone}\n{}", said.out);
            assert_eq!(said.errors, "", "{zone}");
        }
        for said in pages(&setup, zone, " --utc") {
            assert!(said.out.contains(&date("UTC", &since)) && said.out.contains("(UTC)"), "{}", said.out);
        }
        // JSON is in UTC in any case.
        assert_eq!(setup.say_in(zone, "history --json").json()[0]["time"], since.as_str());
    }
    for zone in INVALID {
        for said in pages(&setup, zone, "") {
            assert!(
                said.errors.contains("is not a time zone; times are in UTC"),
                "{zone:?}\n{}",
                said.errors
            );
            assert!(!said.errors.contains('\u{1b}'), "{}", said.errors);
            assert!(said.out.contains(&date("UTC", &since)) && said.out.contains("(UTC)"), "{}", said.out);
        }
        assert!(pages(&setup, zone, " --utc").iter().all(|said| said.errors.is_empty()));
    }
}

#[test]
fn times_without_a_zone_are_read_on_the_same_clock() {
    let lab = Lab::new();
    let setup = lab.portsentry("-stcp");
    let _daemon = setup.start();
    assert_eq!(setup.say("block 192.0.2.9").code, 0);
    let since = setup.say("history --json").json()[0]["time"].as_str().expect("a time").to_owned();
    for zone in ["Asia/Kolkata", "America/New_York"] {
        let local = date(zone, &since).replace(' ', "T");
        let found = |flags: &str| {
            let entries = setup.say_in(zone, &format!("history --json --since {local}{flags}")).json();
            entries.as_array().map(Vec::len)
        };
        assert_eq!(found(""), Some(1), "{zone}: {local}");
        let is_behind = zone.starts_with("America");
        assert_eq!(found(" --utc"), Some(usize::from(is_behind)), "{zone}: {local}");
    }
}
