//! Countries and networks of sources, from synthetic files in MaxMind's format.

use std::{fs, net::IpAddr, path::Path};

use portsentry::{
    config::Config,
    sink::origins::{Origin, Origins},
};
use portsentry_tests::{
    lab::{Family, Lab, Portsentry},
    mmdb::{self, Value, countries, systems},
};
use proptest::prelude::*;

const METRICS: &str = "127.0.0.1:9911";

fn config(directory: &Path, country: Option<&[u8]>, asn: Option<&[u8]>) -> Config {
    let mut config = Config::default();
    for (content, name, setting) in
        [(country, "country.mmdb", &mut config.geoip_country), (asn, "asn.mmdb", &mut config.geoip_asn)]
    {
        if let Some(content) = content {
            let path = directory.join(name);
            fs::write(&path, content).expect("a file");
            *setting = Some(path);
        }
    }
    config
}

fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

#[test]
fn addresses_have_countries_and_networks() {
    let directory = tempfile::tempdir().expect("a directory");
    let country = countries(&[("192.0.2.0/24", "DE"), ("198.51.100.0/25", "de"), ("2001:db8::/32", "FR")]);
    let long = "x".repeat(300);
    let asn = systems(&[
        ("192.0.2.0/25", 64_500, "Example Net\u{1b}[31m"),
        ("2001:db8:1::/48", 4_200_000_000, long.as_str()),
    ]);
    let (origins, problems) = Origins::open(&config(directory.path(), Some(&country), Some(&asn)));
    assert!(problems.is_empty() && origins.verify().is_empty(), "{problems:?}");
    let text = |address: &str| origins.of(self::address(address)).to_string();
    assert_eq!(text("192.0.2.9"), "DE AS64500 Example Net\\u{1b}[31m");
    assert_eq!(text("192.0.2.200"), "DE");
    // Only codes have the form of a code.
    assert_eq!(text("198.51.100.1"), "-");
    assert_eq!(text("203.0.113.1"), "-");
    assert_eq!(text("2001:db8:1::9"), format!("FR AS4200000000 {}", "x".repeat(64)));
    assert_eq!(origins.of(address("2001:db9::1")), Origin::default());
    let (none, problems) = Origins::open(&Config::default());
    assert!(problems.is_empty() && !none.are_any() && none.of(address("192.0.2.9")).is_unknown());
}

#[test]
fn unusable_files_are_named_with_the_reason() {
    let directory = tempfile::tempdir().expect("a directory");
    let right = countries(&[("192.0.2.0/24", "DE")]);
    let other = systems(&[("192.0.2.0/24", 64_500, "Example")]);
    for (what, content, reason) in [
        ("empty", &[][..], "is no valid file in MaxMind's format"),
        ("text", b"country,DE\n", "is no valid file in MaxMind's format"),
        ("cut off", &right[..right.len() - 200], "is no valid file in MaxMind's format"),
        ("another kind", &other, "has the type \"GeoLite2-ASN\", but must hold countries"),
    ] {
        let (origins, problems) = Origins::open(&config(directory.path(), Some(content), None));
        let all: Vec<String> = problems.iter().chain(&origins.verify()).map(ToString::to_string).collect();
        let [problem] = all.as_slice() else { panic!("{what}: {all:?}") };
        assert!(problem.starts_with("GEOIP_COUNTRY: ") && problem.contains(reason), "{what}: {problem}");
        assert!(origins.of(address("192.0.2.9")).is_unknown());
    }
    let missing = Config { geoip_asn: Some("/nowhere/asn.mmdb".into()), ..Config::default() };
    let (_, problems) = Origins::open(&missing);
    assert!(problems[0].to_string().contains("/nowhere/asn.mmdb"), "{problems:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_damage_panics(
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..40),
        cut in any::<prop::sample::Index>(),
        is_cut: bool,
        addresses in proptest::collection::vec(any::<IpAddr>(), 8),
    ) {
        let directory = tempfile::tempdir().expect("a directory");
        let mut files = [
            countries(&[("192.0.2.0/24", "DE"), ("0.0.0.0/2", "FR"), ("2000::/3", "US")]),
            systems(&[("128.0.0.0/1", 1, "One"), ("2000::/3", 2, "Two")]),
        ];
        for file in &mut files {
            for (at, byte) in &damage {
                let at = at.index(file.len());
                file[at] = *byte;
            }
            if is_cut {
                file.truncate(cut.index(file.len()));
            }
        }
        let (origins, _) = Origins::open(&config(directory.path(), Some(&files[0]), Some(&files[1])));
        let _ = origins.verify();
        for address in addresses {
            let origin = origins.of(address);
            if let Some(country) = origin.country {
                prop_assert!(country.len() == 2 && country.bytes().all(|byte| byte.is_ascii_uppercase()));
            }
            prop_assert!(!origin.organization.unwrap_or_default().contains(char::is_control));
        }
    }
}

/// A tree whose records lead back to its beginning, and data that points at itself.
#[test]
fn endless_files_end() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut file = countries(&[("192.0.2.0/24", "DE")]);
    let nodes = 120 * 6;
    file[..nodes].fill(0);
    let (origins, _) = Origins::open(&config(directory.path(), Some(&file), None));
    assert!(origins.of(address("192.0.2.9")).is_unknown());
    let mut deep = Value::Text("DE".into());
    for _ in 0..2000 {
        deep = Value::Map(vec![("country", deep)]);
    }
    let file = mmdb::file("GeoLite2-Country", &[("192.0.2.0/24".parse().expect("a network"), deep)]);
    let (origins, _) = Origins::open(&config(directory.path(), Some(&file), None));
    assert!(origins.of(address("192.0.2.9")).is_unknown());
}

fn with_origins<'lab>(lab: &'lab Lab, setup: Portsentry<'lab>) -> Portsentry<'lab> {
    let path = |name: &str| lab.files().join(name).display().to_string();
    fs::write(path("country.mmdb"), countries(&[("192.0.2.0/24", "DE"), ("2001:db8::/32", "FR")]))
        .expect("a file");
    fs::write(path("asn.mmdb"), systems(&[("192.0.2.0/24", 64_500, "Example Net")])).expect("a file");
    setup.with("GEOIP_COUNTRY", &path("country.mmdb")).with("GEOIP_ASN", &path("asn.mmdb"))
}

#[test]
fn origins_are_shown_wherever_sources_are() {
    let lab = Lab::new();
    let events = lab.files().join("events.json");
    let setup = lab.portsentry("-stcp").with("JSON_LOG", &events.display().to_string());
    let setup = with_origins(&lab, setup.with("METRICS_LISTEN", METRICS));
    let daemon = setup.start();
    let [v4, v6] = [Family::V4, Family::V6].map(|family| lab.source(family));
    for source in [v4, v6] {
        lab.nmap(source, "-sS -p 11");
        daemon.wait_for_block(source);
    }
    let list = setup.say("list").out;
    let line = |text: &str, source: IpAddr| -> String {
        text.lines().find(|line| line.contains(&source.to_string())).unwrap_or_default().to_owned()
    };
    assert!(line(&list, v4).contains("  DE AS64500 Example Net"), "{list}");
    assert!(line(&list, v6).ends_with("  FR"), "{list}");
    let entry = setup.entry("list --json", v4).expect("an entry");
    let expected = serde_json::json!({"country": "DE", "asn": 64_500, "organization": "Example Net"});
    assert_eq!(entry["origin"], expected, "{entry}");
    assert!(setup.say(&format!("why {v6}")).out.contains("\norigin    FR\n"));
    let top = setup.say("top --once").out;
    assert!(line(&top, v4).contains("DE"), "{top}");
    let top = setup.say("top --once --json").json();
    let sources = top["sources"].as_array().expect("sources");
    assert!(sources.iter().any(|source| source["origin"] == expected), "{top}");

    let event = |source: IpAddr, action: &str| -> Option<serde_json::Value> {
        let text = fs::read_to_string(&events).unwrap_or_default();
        let mut lines = text.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        lines.find(|event| event["source"]["ip"] == source.to_string() && event["event"]["action"] == action)
    };
    for action in ["probe", "block"] {
        daemon.wait_until("the event is written", || event(v4, action).is_some());
        let event = event(v4, action).expect("an event");
        assert_eq!(event["source"]["geo"]["country_iso_code"], "DE", "{event}");
        assert_eq!(event["source"]["as"]["number"], 64_500, "{event}");
        assert_eq!(event["source"]["as"]["organization"]["name"], "Example Net", "{event}");
    }
    let metrics = || lab.host.run("curl", &["-s", &format!("http://{METRICS}/metrics")]);
    for line in ["{country=\"DE\"} 1", "{country=\"FR\"} 1"] {
        let line = format!("portsentry_admitted_sources_by_country_total{line}");
        assert!(metrics().lines().any(|found| found == line), "{line}: {}", metrics());
    }
}

#[test]
fn files_are_checked_and_followed() {
    let lab = Lab::new();
    let setup = with_origins(&lab, lab.portsentry("-stcp"));
    let daemon = setup.start();
    let country = lab.files().join("country.mmdb");
    // Installed as package managers and geoipupdate do: written beside it, and renamed.
    let install = |content: &[u8]| {
        let new = lab.files().join("new.mmdb");
        fs::write(&new, content).expect("a file");
        fs::rename(&new, &country).expect("it is replaced");
    };
    let (first, second) = (lab.source(Family::V4), lab.source(Family::V4));
    install(b"garbage");
    daemon.log().wait_for("its last valid content stays in use");
    let check = setup.say("check");
    assert!(check.code == 3 && check.errors.contains("GEOIP_COUNTRY: "), "{}", check.errors);
    let reload = setup.say("reload");
    assert!(reload.code == 3 && reload.errors.contains("MaxMind"), "{}", reload.errors);
    // Commands that show sources go on without it.
    assert_eq!(setup.say(&format!("block {first}")).code, 0);
    let list = setup.say("list");
    assert!(list.code == 0 && list.out.contains(&first.to_string()), "{}", list.errors);
    assert!(list.errors.contains("sources are shown without it"), "{}", list.errors);

    install(&countries(&[("192.0.2.0/24", "PL")]));
    daemon.log().wait_for("country.mmdb reloaded");
    assert_eq!(setup.say(&format!("block {second}")).code, 0);
    assert!(setup.say("list").out.contains("PL AS64500"));
    assert_eq!(setup.say("reload").code, 0);

    fs::remove_file(&country).expect("it was there");
    let ended = {
        drop(daemon);
        setup.fail()
    };
    assert_eq!(ended.code, Some(3), "{}", ended.text());
    assert!(ended.text().contains("GEOIP_COUNTRY: "), "{}", ended.text());
}
