//! The protocol of the control socket: a versioned line of JSON each way.

pub mod client;
mod health;
mod peer;
mod subscription;

use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub use self::{
    health::{Health, Mode, Trouble, Unwatched},
    peer::Peer,
    subscription::Subscription,
};
use crate::{
    inspect::select::{Selection, Wanted},
    notation,
};

/// Version of the protocol: the member `v` of each line. Within a version, answers may gain members.
pub const VERSION: u64 = 1;
/// Maximum length of a request in bytes, including its line end.
pub const LONGEST: usize = 4096;

/// A request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "lowercase", deny_unknown_fields)]
pub enum Request {
    /// Return the daemon's state. Any user may request it.
    Status {
        /// Whether to add the report of `portsentry status`.
        #[serde(default, skip_serializing_if = "is_false")]
        report: bool,
    },
    /// Return the blocked and fenced sources.
    List(Selection),
    /// Return the block lists.
    Lists {},
    /// Return a sample of the maps.
    Top {},
    /// Return entries of the history.
    History(Wanted),
    /// Explain the state of an address.
    Why {
        /// The address.
        address: IpAddr,
    },
    /// Send events.
    Events(Subscription),
    /// Block these sources, all or none.
    Block {
        /// The hosts and networks to block.
        #[serde(with = "notation::list")]
        addresses: Vec<IpNet>,
        /// The duration; permanent if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        seconds: Option<u64>,
        /// The administrator's reason.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        /// The administrator's name.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<String>,
        /// Whether to block them even if that locks an administrator out.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        force: bool,
    },
    /// Unblock these sources.
    Unblock {
        /// The hosts and networks to unblock.
        #[serde(with = "notation::list")]
        addresses: Vec<IpNet>,
        /// The administrator's reason, with the name.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        /// Whether to unblock them only here, not in the fleet.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        here: bool,
    },
    /// Return what is known about the other gateways of the fleet.
    Peers {},
    /// Return what the other gateways say about an address.
    Claims {
        /// The address.
        address: IpAddr,
    },
    /// Change the trust in a gateway.
    Peer {
        /// Its name.
        gateway: String,
        /// The change.
        action: PeerAction,
    },
    /// Exempt networks in the fleet.
    Allow {
        /// The hosts and networks.
        #[serde(with = "notation::list")]
        networks: Vec<IpNet>,
        /// Whether they are exempt no longer.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        remove: bool,
    },
    /// Reload the configuration.
    Reload {},
    /// Log a summary.
    Summary {},
}

impl Request {
    /// Reads a request.
    pub fn read(line: &[u8]) -> Result<Self, Refusal> {
        let malformed = |problem: String| Refusal::new(Code::Malformed, problem);
        let value: Value = serde_json::from_slice(line).map_err(|error| malformed(error.to_string()))?;
        let Value::Object(mut members) = value else { return Err(malformed("not an object".into())) };
        match members.remove("v").as_ref().and_then(Value::as_u64) {
            Some(VERSION) => {}
            Some(other) => {
                let problem = format!("this daemon speaks version {VERSION}, not {other}");
                return Err(Refusal::new(Code::Version, problem));
            }
            None => return Err(malformed("no version (\"v\")".into())),
        }
        serde_json::from_value(members.into()).map_err(|error| malformed(error.to_string()))
    }

    /// Reads a client's request. Refuses it if the client may not make it.
    pub fn admit(line: &[u8], peer: Peer) -> Result<Self, Refusal> {
        if line.len() > LONGEST {
            let problem = format!("a request has at most {LONGEST} bytes");
            return Err(Refusal::new(Code::TooLong, problem));
        }
        let request = Self::read(line)?;
        match request.least() {
            least if peer >= least => Ok(request),
            Peer::Root => Err(Refusal::new(Code::Forbidden, "only root may make changes")),
            _ => {
                let remedy = "members of a group may look, too, once CONTROL_GROUP names it";
                Err(Refusal::new(Code::Forbidden, format!("only root may look: {remedy}")))
            }
        }
    }

    /// Returns the request as a line.
    #[must_use]
    pub fn line(&self) -> String {
        let mut value = serde_json::to_value(self).unwrap_or_default();
        value["v"] = VERSION.into();
        format!("{value}\n")
    }

    /// Returns the peer with the fewest rights that may make the request.
    #[must_use]
    pub const fn least(&self) -> Peer {
        match self {
            Self::Status { .. } => Peer::Other,
            Self::List(_)
            | Self::Lists {}
            | Self::Top {}
            | Self::History(_)
            | Self::Why { .. }
            | Self::Events(_)
            | Self::Peers {}
            | Self::Claims { .. } => Peer::Member,
            Self::Block { .. }
            | Self::Unblock { .. }
            | Self::Peer { .. }
            | Self::Allow { .. }
            | Self::Reload {}
            | Self::Summary {} => Peer::Root,
        }
    }
}

/// A change of the trust in a gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PeerAction {
    /// Its words are ignored, and its blocks suspended.
    Hold,
    /// It is no longer held.
    Release,
    /// What it said is forgotten.
    Forget,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
const fn is_false(flag: &bool) -> bool {
    !*flag
}

/// A refused or failed request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// Kind of reason.
    pub code: Code,
    /// The reason.
    pub message: String,
    /// The obstacles, if there are several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<String>,
}

/// Kinds of reasons.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// The line can't be understood.
    Malformed,
    /// The line is longer than [`LONGEST`].
    TooLong,
    /// The line did not arrive in time.
    TooSlow,
    /// The line's version is not supported.
    Version,
    /// Only root may request that.
    Forbidden,
    /// There are too many requests, or the daemon is behind.
    Busy,
    /// The request can't be fulfilled; nothing was changed.
    Refused,
    /// An attempt failed.
    Failed,
}

impl Refusal {
    /// Creates a refusal for one reason.
    #[must_use]
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), details: Vec::new() }
    }
}

/// The result of a request, or the refusal.
pub type Answer = Result<Value, Refusal>;

/// Returns an answer as a line.
#[must_use]
pub fn line(answer: &Answer) -> String {
    let value = match answer {
        Ok(done) => json!({"v": VERSION, "ok": done}),
        Err(refusal) => json!({"v": VERSION, "error": refusal}),
    };
    format!("{value}\n")
}

/// Reads an answer.
pub fn answer(line: &[u8]) -> Answer {
    #[derive(Deserialize)]
    struct Line {
        ok: Option<Value>,
        error: Option<Refusal>,
    }
    let malformed = |problem: &dyn std::fmt::Display| {
        Refusal::new(Code::Malformed, format!("the daemon's answer can't be understood: {problem}"))
    };
    match serde_json::from_slice(line) {
        Ok(Line { error: Some(refusal), .. }) => Err(refusal),
        Ok(Line { ok: Some(done), .. }) => Ok(done),
        Ok(_) => Err(malformed(&"neither done nor refused")),
        Err(error) => Err(malformed(&error)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn requests_are_lines_and_back() {
        let addresses: Vec<IpNet> =
            ["192.0.2.9/32", "2001:db8:9::/48"].map(|text| text.parse().unwrap()).into();
        let reason = Some("a \"guest\"\nof mine".into());
        for (request, expected) in [
            (Request::Status { report: false }, r#"{"do":"status","v":1}"#),
            (Request::Status { report: true }, r#"{"do":"status","report":true,"v":1}"#),
            (Request::Top {}, r#"{"do":"top","v":1}"#),
            (Request::Why { address: addresses[0].addr() }, r#"{"address":"192.0.2.9","do":"why","v":1}"#),
            (
                Request::List(Selection { network: Some(addresses[1]), ..Selection::default() }),
                r#"{"do":"list","kind":null,"limit":null,"network":"2001:db8:9::/48","sort":"since","state":null,"v":1,"would":false}"#,
            ),
            (
                Request::Block {
                    addresses: addresses.clone(),
                    seconds: Some(7200),
                    reason,
                    by: None,
                    force: false,
                },
                r#"{"addresses":["192.0.2.9","2001:db8:9::/48"],"do":"block","reason":"a \"guest\"\nof mine","seconds":7200,"v":1}"#,
            ),
            (
                Request::Block {
                    addresses: addresses[..1].to_vec(),
                    seconds: None,
                    reason: None,
                    by: Some("alice".into()),
                    force: true,
                },
                r#"{"addresses":["192.0.2.9"],"by":"alice","do":"block","force":true,"v":1}"#,
            ),
            (Request::Reload {}, r#"{"do":"reload","v":1}"#),
        ] {
            assert_eq!(request.line(), format!("{expected}\n"));
            assert_eq!(Request::read(expected.as_bytes()), Ok(request));
        }
    }

    #[test]
    fn senseless_requests_are_refused() {
        for (line, code) in [
            ("", Code::Malformed),
            ("status", Code::Malformed),
            ("[1]", Code::Malformed),
            (r#"{"do":"status"}"#, Code::Malformed),
            (r#"{"v":"1","do":"status"}"#, Code::Malformed),
            (r#"{"v":2,"do":"status"}"#, Code::Version),
            (r#"{"v":1,"do":"explode"}"#, Code::Malformed),
            (r#"{"v":1,"do":"status","more":1}"#, Code::Malformed),
            (r#"{"v":1,"do":"block","addresses":["192.0.2.0/33"]}"#, Code::Malformed),
            (r#"{"v":1,"do":"block","addresses":["192.0.2.9"],"seconds":-1}"#, Code::Malformed),
            (r#"{"v":1,"do":"status"}{}"#, Code::Malformed),
            (r#"{"v":1,"do":"list","more":1}"#, Code::Malformed),
            (r#"{"v":1,"do":"history","since":"yesterday"}"#, Code::Malformed),
            (r#"{"v":1,"do":"why"}"#, Code::Malformed),
            (r#"{"v":1,"do":"events","filter":{"port":65536}}"#, Code::Malformed),
        ] {
            assert_eq!(Request::read(line.as_bytes()).map_err(|refusal| refusal.code), Err(code), "{line}");
        }
    }

    #[test]
    fn answers_are_lines_and_back() {
        let refusal = Refusal { details: vec!["a".into()], ..Refusal::new(Code::TooLong, "no") };
        for said in [Ok(json!({"changed": ["192.0.2.9"]})), Err(refusal)] {
            assert_eq!(answer(line(&said).as_bytes()), said);
        }
        assert!(line(&Err(Refusal::new(Code::TooLong, ""))).contains("too_long"));
        for odd in ["", "{}", "7", r#"{"error":{"code":"odd","message":""}}"#] {
            assert_eq!(answer(odd.as_bytes()).unwrap_err().code, Code::Malformed);
        }
    }

    #[test]
    fn each_request_needs_its_rights() {
        for (verb, least) in [
            (r#"status""#, Peer::Other),
            (r#"status","report":true"#, Peer::Other),
            (r#"list""#, Peer::Member),
            (r#"top""#, Peer::Member),
            (r#"history""#, Peer::Member),
            (r#"why","address":"::2""#, Peer::Member),
            (r#"events","follow":true"#, Peer::Member),
            (r#"peers""#, Peer::Member),
            (r#"claims","address":"::2""#, Peer::Member),
            (r#"peer","gateway":"gw2","action":"forget""#, Peer::Root),
            (r#"allow","networks":["::2"]"#, Peer::Root),
            (r#"reload""#, Peer::Root),
            (r#"summary""#, Peer::Root),
            (r#"unblock","addresses":["::2"]"#, Peer::Root),
            (r#"block","addresses":["::2"],"reason":"""#, Peer::Root),
        ] {
            let line = format!(r#"{{"v":1,"do":"{verb}}}"#);
            for peer in [Peer::Other, Peer::Member, Peer::Root] {
                let admitted = Request::admit(line.as_bytes(), peer).map_err(|refusal| refusal.code);
                assert_eq!(admitted.err(), (peer < least).then_some(Code::Forbidden), "{verb} {peer:?}");
            }
        }
        assert_eq!(
            [(0, true), (0, false), (7, true), (7, false)].map(|(user, group)| Peer::new(user, group)),
            [Peer::Root, Peer::Root, Peer::Member, Peer::Other]
        );
    }

    proptest! {
        #[test]
        fn no_line_panics(line: Vec<u8>) {
            let _ = Request::read(&line);
            let _ = answer(&line);
        }
    }
}
