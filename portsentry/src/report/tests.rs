use std::time::{Duration, SystemTime};

use ipnet::IpNet;
use jiff::tz::TimeZone;

use super::{
    build::{Material, summary},
    page,
    summary::{Period, Summary},
    tally::Tally,
};
use crate::{
    inspect::{past::Entry, stream::Extent},
    instant::Time,
    policy::register::{ADMINISTRATOR, HistoryAction},
    sink::origins::Origins,
};

const DAY: u64 = 86_400;

fn at(second: u64) -> Time {
    Time(SystemTime::UNIX_EPOCH + Duration::from_secs(second))
}

fn entry(action: HistoryAction, address: &str, day: u64, port: u16) -> Entry {
    Entry {
        time: at(day * DAY + 3600),
        address: address
            .parse::<IpNet>()
            .unwrap_or_else(|_| address.parse::<std::net::IpAddr>().unwrap().into()),
        name: None,
        port: Some(port),
        protocol: Some("TCP".into()),
        kind: Some("SYN".into()),
        proof: (action == Blocked).then(|| "cookie".into()),
        action,
        id: None,
        reason: None,
    }
}

/// Days 107 to 113 are the period, days 100 to 106 the one before.
fn of(host: &str, entries: &[Entry]) -> Summary {
    let period = |from, to| (at(from * DAY).0, at(to * DAY).0);
    let [(from, to), (before, _)] = [period(107, 114), period(100, 107)];
    let mut now = Tally::new(from, to, TimeZone::UTC);
    let mut then = Tally::new(before, from, TimeZone::UTC);
    for entry in entries {
        now.add(entry);
        then.add(entry);
    }
    let oldest = entries.iter().map(|entry| entry.time).min();
    let period = Period { from: Time(from), to: Time(to), before: Time(before), oldest, zone: "UTC".into() };
    let (host, origins, extent) = (host.into(), &Origins::default(), Extent::default());
    summary(Material { host, period, now: &now, before: &then, held: None, origins, extent })
}

use HistoryAction::{Blocked, Fenced, Lifted};

#[test]
fn counts_are_of_the_period_and_of_the_one_before() {
    let entries = [
        entry(Blocked, "192.0.2.1", 99, 1),
        entry(Blocked, "192.0.2.1", 101, 1),
        entry(Fenced, "192.0.2.1", 108, 23),
        entry(Blocked, "192.0.2.1", 108, 23),
        entry(Fenced, "192.0.2.2", 109, 23),
        entry(Blocked, "192.0.2.3", 114, 1),
    ];
    let summary = of("a", &entries);
    let [now, before] = summary.totals;
    assert_eq!((now.blocked, now.fenced, now.sources, now.proven, now.fenced_sources), (1, 2, 2, 1, 2));
    assert_eq!((before.blocked, before.sources), (1, 1));
    assert_eq!(summary.who.returned, 1);
    assert_eq!(
        (summary.ports[0].name.as_str(), summary.ports[0].count, summary.ports[0].before),
        ("23/TCP", 3, 0)
    );
    assert_eq!(summary.proofs[0].name, "cookie");
    let hours: Vec<_> = summary.days.iter().map(|(date, day)| (date.to_string(), day.hours[1])).collect();
    assert_eq!(hours, [("1970-04-19".into(), 2), ("1970-04-20".into(), 1)]);
    assert!(summary.news.contains(&"Fences: 2 after 0.".to_owned()), "{:?}", summary.news);
}

#[test]
fn no_comparison_is_made_with_a_period_that_the_history_lacks() {
    let summary = of("a", &[entry(Blocked, "192.0.2.1", 108, 1)]);
    assert!(summary.news[0].contains("no comparison"), "{:?}", summary.news);
}

#[test]
fn decisions_are_proposed_with_a_command() {
    let mut entries: Vec<Entry> =
        (0..20).map(|host| entry(Fenced, &format!("198.51.100.{host}"), 108, 1 + host)).collect();
    entries.extend((107..113).map(|day| entry(Blocked, "203.0.113.7", day, 22)));
    entries.extend((107..110).map(|day| entry(Fenced, "203.0.113.8", day, 161)));
    entries.push(entry(Blocked, "10.0.0.7", 108, 1));
    entries.push(entry(Blocked, "203.0.113.9", 108, 1));
    let lift =
        Entry { reason: Some(ADMINISTRATOR.into()), port: None, ..entry(Lifted, "203.0.113.9", 108, 0) };
    entries.push(lift);
    // Its term is over: no administrator.
    let over =
        Entry { reason: Some("its time is over".into()), port: None, ..entry(Lifted, "203.0.113.7", 108, 0) };
    entries.push(over);
    let summary = of("a", &entries);
    let commands: Vec<&str> = summary.advice.iter().map(|advice| advice.command.as_str()).collect();
    let expected = [
        "portsentry why 10.0.0.7",
        "portsentry why 203.0.113.9",
        "portsentry review",
        "portsentry block 198.51.100.0/24 --for 7days",
        "portsentry block 203.0.113.7",
    ];
    assert_eq!(commands, expected, "{:?}", summary.advice);
    let (networks, count) = &summary.who.networks;
    assert_eq!((networks[0].sources, networks[0].ports, networks[0].is_divided, *count), (20, 20, true, 1));
    assert!(of("a", &[]).advice.is_empty());
}

#[test]
fn a_source_that_only_scans_slowly_is_listed() {
    let slow = Entry { kind: Some("slow scan".into()), ..entry(Fenced, "2001:db8::/64", 108, 5) };
    let summary = of("a", &[slow, entry(Fenced, "192.0.2.1", 108, 5)]);
    let (slow, count) = &summary.who.slow;
    assert_eq!((slow[0].address.to_string(), *count), ("2001:db8::/64".into(), 1));
}

#[test]
fn a_page_has_no_markup_from_outside_and_loads_nothing() {
    const EVIL: &str = "</title><script>alert(1)</script><img src=x onerror='a'>\u{202e}\u{1b}[2J";
    let evil = Entry { kind: Some(EVIL.into()), ..entry(Blocked, "192.0.2.1", 108, 1) };
    let mut proven = evil.clone();
    proven.proof = Some(EVIL.into());
    let page = page::page(&of(EVIL, &[evil, proven]), &TimeZone::UTC).unwrap();
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"), "{page}");
    for never in ["<script", "<img", "\u{202e}", "\u{1b}", "src=", "href=", "url(", "@import"] {
        let found = page.matches(never).count();
        // The attribute's name is text there.
        let as_text = page.matches(&format!("&lt;img {never}")).count();
        assert_eq!(found, as_text, "{never}");
    }
    // The name of the namespace is no address to load.
    assert_eq!(
        page.matches("http").count(),
        page.matches("http://www.w3.org/2000/svg").count() + 1,
        "and http-equiv"
    );
    assert!(page.contains("default-src 'none'"));
}
