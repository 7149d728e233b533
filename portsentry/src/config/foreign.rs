//! Block lists as others publish them: plain text (`FireHOL`, Spamhaus DROP, `CrowdSec`, `AbuseIPDB`), or JSON (Spamhaus
//! DROP's lines, `AbuseIPDB`'s blacklist, `CrowdSec`'s decisions).

use ipnet::IpNet;
use serde::Deserialize;

use super::{
    BlockList, Report,
    block_list::{is_too_much, parse_valid},
    span::lines,
};
use crate::notation;

/// A value of a list in JSON. Unknown members are ignored.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Value {
    /// `CrowdSec`'s decisions.
    Decisions(Vec<Decision>),
    /// Anything else.
    Object(Object),
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Object {
    /// Spamhaus: a network.
    cidr: Option<String>,
    /// Spamhaus: the last line.
    #[serde(rename = "type")]
    kind: Option<String>,
    /// `AbuseIPDB`: the addresses.
    data: Option<Vec<Address>>,
    /// `CrowdSec`: a stream of decisions. Those that end are in `deleted`.
    new: Option<Vec<Decision>>,
}

#[derive(Debug, Deserialize)]
struct Address {
    #[serde(rename = "ipAddress")]
    address: String,
}

#[derive(Debug, Deserialize)]
struct Decision {
    scope: String,
    value: String,
    #[serde(rename = "type")]
    kind: String,
}

impl Decision {
    /// Whether it bans an address or a network.
    fn is_ban(&self) -> bool {
        self.kind == "ban" && ["ip", "range"].contains(&self.scope.to_ascii_lowercase().as_str())
    }
}

/// Reads a list in any of the formats. Returns the valid entries and the errors.
#[must_use]
pub fn parse(text: &str, file: &str) -> (BlockList, Report) {
    if text.trim_start().starts_with(['{', '[']) { json(text, file) } else { parse_valid(text, file) }
}

fn json(text: &str, file: &str) -> (BlockList, Report) {
    let (mut list, mut report) = (BlockList::default(), Report::new(file));
    // Errors have no place in a document that may be a single line.
    let place = lines(text).next();
    let mut fail = |problem: String| {
        if let Some(place) = place {
            report.error(place.slice(0..0), problem);
        }
    };
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<Value>();
    for value in &mut values {
        let texts: Vec<String> = match value {
            Err(error) => {
                fail(format!("this is no list in a known format of JSON: {error}"));
                break;
            }
            Ok(Value::Decisions(all) | Value::Object(Object { new: Some(all), .. })) => bans(all),
            Ok(Value::Object(Object { cidr: Some(cidr), .. })) => vec![cidr],
            Ok(Value::Object(Object { data: Some(all), .. })) => {
                all.into_iter().map(|it| it.address).collect()
            }
            Ok(Value::Object(Object { kind: Some(kind), .. })) if kind == "metadata" => Vec::new(),
            Ok(Value::Object(_)) => {
                fail("this object has none of the members cidr, data and new".into());
                Vec::new()
            }
        };
        for text in texts {
            match notation::read(text.trim()) {
                None => fail(format!("\"{text}\" is neither an address nor a network")),
                Some(network) => match is_too_much(&network) {
                    Some(problem) => fail(problem),
                    None => add(&mut list, network),
                },
            }
        }
    }
    list.hosts.sort_unstable();
    list.hosts.dedup();
    (list, report)
}

fn bans(all: Vec<Decision>) -> Vec<String> {
    all.into_iter().filter(Decision::is_ban).map(|decision| decision.value).collect()
}

fn add(list: &mut BlockList, network: IpNet) {
    if network.prefix_len() == network.max_prefix_len() {
        list.hosts.push(network.addr());
    } else {
        list.networks.insert(network);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entries(text: &str) -> (Vec<String>, usize) {
        let (list, report) = parse(text, "list");
        let hosts = list.hosts.iter().map(ToString::to_string);
        (hosts.chain(list.networks.iter().map(ToString::to_string)).collect(), report.iter().count())
    }

    #[test]
    fn lists_are_read_as_they_are_published() {
        for (name, text, expected) in [
            (
                "FireHOL netset",
                "#\n# firehol_level1\n#\n# Maintainer      : FireHOL\n# Category        : attacks\n#\n5.134.128.0/19\n\
                 24.233.0.1\n",
                &["24.233.0.1", "5.134.128.0/19"][..],
            ),
            (
                "Spamhaus DROP, text",
                "; Spamhaus DROP List 2026/11/29 - (c) 2026 The Spamhaus Project SLU\n; Last-Modified: Sun, 29 Nov 2026 \
                 10:21:31 GMT\n1.10.16.0/20 ; SBL256894\n2.57.122.0/24 ; SBL636050\n",
                &["1.10.16.0/20", "2.57.122.0/24"],
            ),
            (
                "Spamhaus DROP, JSON lines",
                "{\"cidr\":\"1.10.16.0/20\",\"sblid\":\"SBL256894\",\"rir\":\"apnic\"}\n\
                 {\"cidr\":\"2a06:f680::/29\",\"sblid\":\"SBL301771\",\"rir\":\"ripencc\"}\n\
                 {\"type\":\"metadata\",\"timestamp\":1795910400,\"size\":99,\"records\":2,\"copyright\":\"(c) 2026\",\
                 \"terms\":\"https://www.spamhaus.org/drop/terms/\"}\n",
                &["1.10.16.0/20", "2a06:f680::/29"],
            ),
            (
                "AbuseIPDB, JSON",
                "{\"meta\":{\"generatedAt\":\"2026-11-29T18:00:00+00:00\"},\"data\":[{\"ipAddress\":\"5.188.10.179\",\
                 \"abuseConfidenceScore\":100,\"lastReportedAt\":\"2026-11-29T17:17:02+00:00\"},{\"ipAddress\":\"2001:db8::7\",\
                 \"abuseConfidenceScore\":99,\"lastReportedAt\":\"2026-11-29T17:17:02+00:00\"}]}",
                &["5.188.10.179", "2001:db8::7"],
            ),
            (
                "AbuseIPDB and CrowdSec, text",
                "5.188.10.179\n185.222.209.14\n",
                &["5.188.10.179", "185.222.209.14"],
            ),
            (
                "CrowdSec, stream of decisions",
                "{\"deleted\":[{\"duration\":\"-1h\",\"scope\":\"Ip\",\"type\":\"ban\",\"value\":\"192.0.2.1\"}],\"new\":[{\"duration\":\
                 \"3h59m\",\"id\":7,\"origin\":\"CAPI\",\"scenario\":\"http:scan\",\"scope\":\"Ip\",\"type\":\"ban\",\"value\":\
                 \"192.0.2.4\"},{\"duration\":\"1h\",\"scope\":\"Range\",\"type\":\"ban\",\"value\":\"198.51.100.0/24\"},\
                 {\"duration\":\"1h\",\"scope\":\"Country\",\"type\":\"ban\",\"value\":\"XX\"},{\"duration\":\"1h\",\
                 \"scope\":\"Ip\",\"type\":\"captcha\",\"value\":\"192.0.2.5\"}]}",
                &["192.0.2.4", "198.51.100.0/24"],
            ),
            (
                "CrowdSec, decisions",
                "[{\"duration\":\"1h\",\"scope\":\"ip\",\"type\":\"ban\",\"value\":\"192.0.2.4\"}]",
                &["192.0.2.4"],
            ),
        ] {
            let (found, errors) = entries(text);
            let mut found = found;
            found.sort();
            let mut expected: Vec<String> = expected.iter().map(ToString::to_string).collect();
            expected.sort();
            assert_eq!((found, errors), (expected, 0), "{name}");
        }
    }

    #[test]
    fn what_is_no_list_or_too_much_is_an_error() {
        for text in [
            "<!doctype html><html>",
            "{\"error\":\"Unauthorized\"}",
            "{\"cidr\":\"0.0.0.0/0\"}",
            "{\"cidr\":\"::/0\"}",
            "{\"cidr\":\"10.0.0.0/7\"}",
            "{\"cidr\":\"nonsense\"}",
            "{\"cidr\":\"1.10.16.0/20\"",
            "0.0.0.0/0\n",
        ] {
            let (found, errors) = entries(text);
            assert!(found.is_empty() && errors > 0, "{text}: {found:?}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics_or_blocks_most_hosts(text in ".{0,200}|[\\[{][\\[\\]{}a-z\":,0-9./]{0,100}") {
            let (list, _) = parse(&text, "list");
            prop_assert!(list.networks.iter().all(|network| is_too_much(network).is_none()));
        }
    }
}
