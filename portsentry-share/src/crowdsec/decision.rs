//! Decisions, as a Local API sends and takes them.

use std::{net::IpAddr, time::SystemTime};

use ipnet::IpNet;
use portsentry::{
    instant::universal,
    policy::{
        is_host, name_of,
        peers::{Millis, Said, time_of},
    },
};
use serde::Deserialize;
use serde_json::{Value, json};

/// Origin of the decisions: `cscli decisions list` shows only those of agents and of `cscli` itself.
const ORIGIN: &str = "crowdsec";
/// Origins of decisions that come from lists: the community's, and others'.
const LISTS: [&str; 3] = ["capi", "lists", "cscli-import"];
/// Seconds of a decision for a block without an end.
const YEAR: u64 = 365 * 86_400;

/// A decision. A list has hundreds of thousands, so their texts aren't kept.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "Written")]
pub struct Decision {
    /// Its number at the API.
    pub id: u64,
    /// The reason.
    pub scenario: Box<str>,
    /// The banned network, or `None` for what isn't a ban of addresses.
    pub network: Option<IpNet>,
    /// Whether it belongs to a list, which is replaced every few hours: the same bans have other numbers then.
    pub is_of_list: bool,
    /// The rest of its time in milliseconds.
    rest: Option<i64>,
}

/// A decision, as an API writes it.
#[derive(Deserialize)]
struct Written {
    id: u64,
    #[serde(default)]
    origin: String,
    #[serde(default)]
    scenario: Box<str>,
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    scope: String,
    #[serde(default)]
    value: String,
    /// The rest of its time, as Go writes it.
    #[serde(default)]
    duration: String,
}

impl From<Written> for Decision {
    fn from(Written { id, origin, scenario, kind, scope, value, duration }: Written) -> Self {
        let is_of_addresses = ["ip", "range"].iter().any(|name| name.eq_ignore_ascii_case(&scope));
        let is_ban = kind.eq_ignore_ascii_case("ban") && is_of_addresses;
        let host = || value.parse::<IpAddr>().ok().map(IpNet::from);
        let network = value.parse::<IpNet>().ok().or_else(host).filter(|_| is_ban);
        let is_of_list = LISTS.iter().any(|list| origin.eq_ignore_ascii_case(list));
        Self {
            id,
            scenario,
            network: network.map(|network| network.trunc()),
            is_of_list,
            rest: millis(&duration),
        }
    }
}

impl Decision {
    /// Returns what stays the same if the list that has it is replaced.
    #[must_use]
    pub fn same(&self) -> Option<String> {
        let network = self.network.filter(|_| self.is_of_list)?;
        Some(format!("{} {network}", self.scenario))
    }

    /// Returns its end.
    #[must_use]
    pub fn end(&self, now: Millis) -> Option<Millis> {
        Some(now.saturating_add_signed(self.rest?))
    }
}

/// Reads a duration of Go, such as `3h59m58.5s` or `-20ms`, in milliseconds.
fn millis(text: &str) -> Option<i64> {
    let (sign, mut rest) = text.strip_prefix('-').map_or((1.0, text), |rest| (-1.0, rest));
    let mut sum = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|it: char| !it.is_ascii_digit() && it != '.')?;
        let (number, unit) = rest.split_at(digits);
        let end = unit.find(|it: char| it.is_ascii_digit()).unwrap_or(unit.len());
        let factor = match &unit[..end] {
            "h" => 3_600_000.0,
            "m" => 60_000.0,
            "s" => 1000.0,
            "ms" => 1.0,
            "µs" | "us" => 0.001,
            "ns" => 0.000_001,
            _ => return None,
        };
        sum += number.parse::<f64>().ok()? * factor;
        rest = &unit[end..];
    }
    #[expect(clippy::cast_possible_truncation, reason = "a cast of a float saturates")]
    (!text.is_empty()).then_some((sign * sum) as i64)
}

/// Returns the alert, with its decision, that a network is blocked.
#[must_use]
pub fn alert(network: IpNet, said: &Said, scenario: &str, now: Millis) -> Value {
    let scope = if is_host(network) { "Ip" } else { "Range" };
    let value = name_of(network);
    let seconds = said.until.map_or(YEAR, |until| until.saturating_sub(now).div_ceil(1000));
    let time = |millis: Millis| universal(time_of(millis));
    let kind = said.kind.as_deref().unwrap_or(said.proof.as_str());
    let what = if said.port == 0 { String::new() } else { format!(", port {}", said.port) };
    json!({
        "scenario": scenario,
        "scenario_hash": "",
        "scenario_version": "",
        "message": format!("{value} is blocked: {kind}{what}"),
        "events_count": 1,
        "events": [],
        "start_at": time(said.since),
        // The decision's duration begins here.
        "stop_at": time(now),
        "capacity": 0,
        "leakspeed": "0",
        "simulated": false,
        "remediation": true,
        "source": {"scope": scope, "value": value, "ip": network.addr()},
        "decisions": [{
            "origin": ORIGIN,
            "scenario": scenario,
            "scope": scope,
            "type": "ban",
            "value": value,
            "duration": format!("{seconds}s"),
        }],
    })
}

/// Returns the current time.
#[must_use]
pub fn now() -> Millis {
    portsentry::policy::peers::millis_of(SystemTime::now())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_are_read() {
        for (text, expected) in [
            ("3h59m58.5s", Some(14_398_500)),
            ("-20.25ms", Some(-20)),
            ("1m0.000000001s", Some(60_000)),
            ("900µs", Some(0)),
            ("0s", Some(0)),
            ("5", None),
            ("s", None),
            ("", None),
            ("1d", None),
        ] {
            assert_eq!(millis(text), expected, "{text}");
        }
    }

    fn decision(origin: &str, kind: &str, scope: &str, value: &str) -> Decision {
        let written = json!({
            "id": 1, "origin": origin, "scenario": "x", "type": kind, "scope": scope, "value": value, "duration": "1h",
        });
        serde_json::from_value(written).unwrap()
    }

    #[test]
    fn bans_of_addresses_are_recognised() {
        for (kind, scope, value, expected) in [
            ("ban", "Ip", "203.0.113.9", Some("203.0.113.9/32")),
            ("ban", "Range", "203.0.113.9/24", Some("203.0.113.0/24")),
            ("Ban", "ip", "2001:db8::1", Some("2001:db8::1/128")),
            ("captcha", "Ip", "203.0.113.9", None),
            ("ban", "Country", "XX", None),
            ("ban", "Ip", "nonsense", None),
        ] {
            let decision = decision("crowdsec", kind, scope, value);
            let expected = expected.map(|text| text.parse().unwrap());
            assert_eq!(decision.network, expected, "{kind} {scope} {value}");
            assert_eq!(decision.end(7), Some(3_600_007));
        }
    }

    #[test]
    fn only_a_lists_bans_stay_the_same_when_they_are_made_anew() {
        for (origin, expected) in
            [("CAPI", true), ("lists", true), ("cscli-import", true), ("crowdsec", false), ("cscli", false)]
        {
            let same = decision(origin, "ban", "Ip", "203.0.113.9").same();
            assert_eq!(same, expected.then(|| "x 203.0.113.9/32".into()), "{origin}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(text in ".{0,20}") {
            let _ = millis(&text);
        }
    }
}
