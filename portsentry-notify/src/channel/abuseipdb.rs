//! Reports to `AbuseIPDB` (<https://docs.abuseipdb.com/#report-endpoint>), or another service with the same interface.
//!
//! The comment is made of a few fields that can't tell anything about this host; own names and addresses are struck out in any
//! case.

use std::time::Duration;

use jiff::Timestamp;
use portsentry::policy::peers::may_be_shared;
use serde_json::Value;
use ureq::http::Request;

use super::{Channel, Client, Outcome, webhook::encoded};
use crate::{event::Event, message::Message, route::is_proven};

/// The service.
pub const SERVICE: &str = "https://api.abuseipdb.com/api/v2";
/// "Port Scan", of <https://www.abuseipdb.com/categories>.
const PORT_SCAN: u8 = 14;
/// "`IoT` Targeted".
const IOT: u8 = 23;
/// Ports of devices: telnet, TR-069, Android's debugger, routers' services that worms use.
const IOT_PORTS: [u64; 6] = [23, 2323, 5555, 7547, 37215, 52869];
/// Time to wait if the service says that there have been too many requests, and doesn't say for how long.
const REST: Duration = Duration::from_mins(15);

/// The channel.
#[derive(Debug)]
pub struct Reporter {
    /// Start of the service's URLs.
    pub url: String,
    /// The key of the account.
    pub key: String,
    /// This host's names and addresses, in lower case.
    pub own: Vec<String>,
    /// Sends the requests.
    pub client: Client,
}

/// Whether the source of an event can be reported: a public address, which is known to have sent the packets itself.
#[must_use]
pub fn is_reportable(event: &Event) -> bool {
    // The address in a network's event is the network's first one.
    let is_host = event.text("/portsentry/network").is_empty();
    is_host && is_proven(event) && event.source().is_some_and(may_be_shared)
}

/// Returns the categories of a report.
fn categories(event: &Event) -> String {
    let is_iot = event.text("/network/transport") == "tcp"
        && event.number("/destination/port").is_some_and(|port| IOT_PORTS.contains(&port));
    if is_iot { format!("{PORT_SCAN},{IOT}") } else { PORT_SCAN.to_string() }
}

/// Returns the comment of a report.
fn comment(event: &Event, own: &[String]) -> String {
    let kind = match event.text("/portsentry/kind") {
        "connect" => "connection",
        "" => "probe",
        kind => kind,
    };
    let transport = event.text("/network/transport").to_uppercase();
    let port = event
        .number("/destination/port")
        .map(|port| format!(" to {transport} port {port}"))
        .unwrap_or_default();
    let hits = event.number("/portsentry/hits").filter(|hits| *hits > 1);
    let hits = hits.map(|hits| format!(", {hits} ports so far")).unwrap_or_default();
    let proof = match event.text("/portsentry/proof") {
        "cookie" => "TCP handshake completed",
        _ => "connection established",
    };
    redacted(&format!("Port scan: {kind}{port} without a service{hits} ({proof}; portsentry)"), own)
}

/// Strikes out own names and addresses.
fn redacted(text: &str, own: &[String]) -> String {
    let is_part = |character: char| character.is_alphanumeric() || "-.:_".contains(character);
    let word = |word: &str| {
        let bare = word.trim_matches(|character: char| !character.is_alphanumeric()).to_lowercase();
        if own.contains(&bare) { "[redacted]".into() } else { word.to_owned() }
    };
    let mut result = String::new();
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(|character| !is_part(character)).unwrap_or(rest.len());
        result.push_str(&word(&rest[..end]));
        let behind = &rest[end..];
        let next = behind.find(is_part).unwrap_or(behind.len());
        result.push_str(&behind[..next]);
        rest = &behind[next..];
    }
    result
}

impl Reporter {
    fn ask(&self, request: Result<Request<String>, ureq::http::Error>) -> Outcome {
        let answer =
            match request.map_err(|error| error.to_string()).and_then(|request| self.client.send(request)) {
                Ok(answer) => answer,
                Err(problem) => return Outcome::Later(problem, None),
            };
        let now = Timestamp::now().as_second();
        let until_reset = answer.left.and_then(|(left, reset)| {
            let seconds = reset.and_then(|reset| u64::try_from(reset - now).ok());
            (left == 0).then(|| seconds.map_or(REST, Duration::from_secs))
        });
        match answer.outcome() {
            Outcome::Sent => until_reset.map_or(Outcome::Sent, Outcome::SentThenRest),
            // The same source was reported less than 15 minutes ago: also the answer to a second attempt.
            Outcome::Later(..) if is_repetition(&answer.body) => Outcome::Sent,
            Outcome::Later(problem, rest) if answer.status == 429 => {
                Outcome::Later(problem, Some(rest.or(until_reset).unwrap_or(REST)))
            }
            other => other,
        }
    }
}

/// Whether the service refuses a report because of an earlier one about the same source.
fn is_repetition(body: &str) -> bool {
    let answer: Value = serde_json::from_str(body).unwrap_or_default();
    let details =
        answer["errors"].as_array().into_iter().flatten().filter_map(|error| error["detail"].as_str());
    details.into_iter().any(|detail| detail.contains("same IP address"))
}

impl Channel for Reporter {
    fn send(&mut self, message: &Message) -> Outcome {
        let Some(event) = message.events.first() else { return Outcome::Sent };
        let Some(source) = event.source().filter(|_| is_reportable(event)) else { return Outcome::Sent };
        let time = event.time().map(|time| format!("{time:.0}")).unwrap_or_default();
        let fields = [
            ("ip", source.to_string()),
            ("categories", categories(event)),
            ("comment", comment(event, &self.own)),
            ("timestamp", time),
        ];
        let form: Vec<String> =
            fields.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
        let request = Request::post(format!("{}/report", self.url))
            .header("Key", &self.key)
            .header("Accept", "application/json")
            .header("Content-Type", "application/x-www-form-urlencoded");
        self.ask(request.body(form.join("&")))
    }

    /// Asks about this host's loopback address: that tells whether the key is right, and reports nobody.
    fn test(&mut self, _: &Message) -> Outcome {
        let request = Request::get(format!("{}/check?ipAddress=127.0.0.1", self.url));
        self.ask(request.header("Key", &self.key).header("Accept", "application/json").body(String::new()))
    }

    fn most(&self) -> usize {
        1
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::event::tests::event;

    #[test]
    fn only_proven_public_hosts_are_reported() {
        for (source, is_one) in [
            ("192.0.2.9", true),
            ("10.0.0.9", false),
            ("192.168.7.1", false),
            ("100.64.0.1", false),
            ("100.128.0.1", true),
            ("169.254.0.1", false),
            ("127.0.0.1", false),
            ("224.0.0.1", false),
            ("240.0.0.1", false),
            ("2001:db8::9", true),
            ("fe80::1", false),
            ("fd00::1", false),
            ("::ffff:192.0.2.9", false),
        ] {
            assert_eq!(is_reportable(&event("block", source, 1)), is_one, "{source}");
        }
        for (pointer, value) in [("proof", "none"), ("proof", "administrator"), ("network", "2001:db8::/64")]
        {
            let mut value_of = event("block", "2001:db8::9", 1).value().clone();
            value_of["portsentry"][pointer] = value.into();
            assert!(!is_reportable(&Event::of(value_of)), "{pointer} {value}");
        }
    }

    #[test]
    fn a_report_says_what_was_probed_and_not_where() {
        let block = event("block", "192.0.2.9", 1);
        let expected =
            "Port scan: syn to TCP port 23 without a service (TCP handshake completed; portsentry)";
        assert_eq!((categories(&block), comment(&block, &[])), ("14,23".into(), expected.into()));
        let mut udp = block.value().clone();
        udp["network"]["transport"] = "udp".into();
        udp["portsentry"]["kind"] = "udp".into();
        udp["portsentry"]["hits"] = json!(7);
        let udp = Event::of(udp);
        assert_eq!(categories(&udp), "14");
        assert!(
            comment(&udp, &[]).starts_with("Port scan: udp to UDP port 23 without a service, 7 ports so far")
        );
    }

    #[test]
    fn repetitions_are_recognised() {
        let answer = r#"{"errors":[{"detail":"You can only report the same IP address (`192.0.2.9`) once in 15 minutes.","status":403}]}"#;
        assert!(is_repetition(answer));
        assert!(!is_repetition(r#"{"errors":[{"detail":"Daily rate limit of 1000 requests exceeded"}]}"#));
        assert!(!is_repetition("<html>"));
    }

    proptest! {
        #[test]
        fn own_names_and_addresses_are_struck_out(before in "[a-z ]{0,9}", at in 0..3_usize, behind in "([ ,;)].{0,9})?") {
            let own = ["198.51.100.1", "2001:db8::1", "web1.example.org"];
            let text = format!("{before} {}{behind}", own[at]);
            let shown = redacted(&text, &own.map(Into::into));
            prop_assert!(shown.contains("[redacted]") && !shown.to_lowercase().contains(own[at]), "{}", shown);
        }

        #[test]
        fn other_text_stays(text in ".{0,60}") {
            prop_assert_eq!(redacted(&text, &["198.51.100.1".into()]), text);
        }
    }
}
