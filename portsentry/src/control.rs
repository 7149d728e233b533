//! What is said at the control socket: one line of JSON each way, by version.

pub mod client;

use std::net::IpAddr;

use portsentry_common::counter::{COUNTERS, Counters};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Value, json};

use crate::{instant::Time, kernel::Waiting};

/// The protocol's version: the member `v` of each line. Within a version, answers may gain members.
pub const VERSION: u64 = 1;
/// Bytes of a request at the most, its line end included.
pub const LONGEST: usize = 4096;

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "lowercase", deny_unknown_fields)]
pub enum Request {
    /// How the daemon is. The only one for everybody.
    Status {},
    /// Block these sources, all or none.
    Block {
        /// Whom.
        addresses: Vec<IpAddr>,
        /// For how long; for good without.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        seconds: Option<u64>,
        /// Why, in the administrator's words.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// Let these sources in.
    Unblock {
        /// Whom.
        addresses: Vec<IpAddr>,
    },
    /// Read the configuration again.
    Reload {},
    /// Log a summary.
    Summary {},
}

impl Request {
    /// What `line` asks.
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

    /// What a client's `line` asks, if that may be asked by root, or by somebody else.
    pub fn admit(line: &[u8], is_root: bool) -> Result<Self, Refusal> {
        if line.len() > LONGEST {
            let problem = format!("a request has {LONGEST} bytes at the most");
            return Err(Refusal::new(Code::TooLong, problem));
        }
        let request = Self::read(line)?;
        if !is_root && !request.only_looks() {
            return Err(Refusal::new(Code::Forbidden, "only root may change anything"));
        }
        Ok(request)
    }

    /// As a line.
    #[must_use]
    pub fn line(&self) -> String {
        let mut value = serde_json::to_value(self).unwrap_or_default();
        value["v"] = VERSION.into();
        format!("{value}\n")
    }

    /// Whether it changes nothing.
    #[must_use]
    pub const fn only_looks(&self) -> bool {
        matches!(self, Self::Status {})
    }
}

/// Why nothing was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// What kind of reason it is.
    pub code: Code,
    /// The reason.
    pub message: String,
    /// Each thing that is in the way, where there are several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<String>,
}

/// Kinds of reasons.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// The line makes no sense.
    Malformed,
    /// The line is longer than [`LONGEST`].
    TooLong,
    /// It did not come in time.
    TooSlow,
    /// The line is of a version that this daemon doesn't speak.
    Version,
    /// Only root may ask that.
    Forbidden,
    /// Too many ask, or the daemon is behind.
    Busy,
    /// It can't be done as asked, and nothing was.
    Refused,
    /// It was tried and failed.
    Failed,
}

impl Refusal {
    /// For one reason.
    #[must_use]
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), details: Vec::new() }
    }
}

/// What comes of a request: what was done or is known, or why not.
pub type Answer = Result<Value, Refusal>;

/// An answer as a line.
#[must_use]
pub fn line(answer: &Answer) -> String {
    let value = match answer {
        Ok(done) => json!({"v": VERSION, "ok": done}),
        Err(refusal) => json!({"v": VERSION, "error": refusal}),
    };
    format!("{value}\n")
}

/// What `line` answers.
pub fn answer(line: &[u8]) -> Answer {
    #[derive(Deserialize)]
    struct Line {
        ok: Option<Value>,
        error: Option<Refusal>,
    }
    let malformed = |problem: &dyn std::fmt::Display| {
        Refusal::new(Code::Malformed, format!("the daemon's answer makes no sense: {problem}"))
    };
    match serde_json::from_slice(line) {
        Ok(Line { error: Some(refusal), .. }) => Err(refusal),
        Ok(Line { ok: Some(done), .. }) => Ok(done),
        Ok(_) => Err(malformed(&"neither done nor refused")),
        Err(error) => Err(malformed(&error)),
    }
}

/// How a daemon is.
#[derive(Clone, Debug, Serialize)]
pub struct Health {
    /// Sources held, by the files.
    pub held: usize,
    /// Interfaces watched.
    pub interfaces: Vec<String>,
    /// Interfaces that are to be watched and can't be, or aren't there.
    pub not_watched: Vec<Unwatched>,
    /// Interfaces that needn't be watched.
    pub left_out: Vec<Unwatched>,
    /// Why not all own, ignored and watched networks are in effect; `None` if they are.
    pub scope: Option<String>,
    /// The kernel program's counters since the maps were made.
    #[serde(serialize_with = "by_name")]
    pub counters: Counters,
    /// The ring's size and what waits in it, in bytes; `None` if that can't be read.
    pub ring: Option<Waiting>,
    /// Probes left out because the files were behind.
    pub lost: u64,
    /// The last thing that went wrong.
    pub last_error: Option<Trouble>,
}

/// An interface that isn't watched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unwatched {
    /// Its name.
    pub interface: String,
    /// Why it isn't.
    pub reason: String,
}

/// Something that went wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Trouble {
    /// When.
    pub time: Time,
    /// What.
    pub message: String,
}

/// The counters as an object.
pub fn by_name<S: Serializer>(counters: &Counters, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(COUNTERS.iter().map(|(counter, name, _)| (name, counters.get(*counter))))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn requests_are_lines_and_back() {
        let addresses = vec!["192.0.2.9".parse().unwrap(), "2001:db8::9".parse().unwrap()];
        let reason = Some("a \"guest\"\nof mine".into());
        for (request, expected) in [
            (Request::Status {}, r#"{"do":"status","v":1}"#),
            (
                Request::Block { addresses: addresses.clone(), seconds: Some(7200), reason },
                r#"{"addresses":["192.0.2.9","2001:db8::9"],"do":"block","reason":"a \"guest\"\nof mine","seconds":7200,"v":1}"#,
            ),
            (
                Request::Block { addresses: addresses[..1].to_vec(), seconds: None, reason: None },
                r#"{"addresses":["192.0.2.9"],"do":"block","v":1}"#,
            ),
            (Request::Reload {}, r#"{"do":"reload","v":1}"#),
        ] {
            assert_eq!(request.line(), format!("{expected}\n"));
            assert_eq!(Request::read(expected.as_bytes()), Ok(request));
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for (line, code) in [
            ("", Code::Malformed),
            ("status", Code::Malformed),
            ("[1]", Code::Malformed),
            (r#"{"do":"status"}"#, Code::Malformed),
            (r#"{"v":"1","do":"status"}"#, Code::Malformed),
            (r#"{"v":2,"do":"status"}"#, Code::Version),
            (r#"{"v":1,"do":"explode"}"#, Code::Malformed),
            (r#"{"v":1,"do":"status","more":1}"#, Code::Malformed),
            (r#"{"v":1,"do":"block","addresses":["192.0.2.0/24"]}"#, Code::Malformed),
            (r#"{"v":1,"do":"block","addresses":["192.0.2.9"],"seconds":-1}"#, Code::Malformed),
            (r#"{"v":1,"do":"status"}{}"#, Code::Malformed),
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
    fn only_looking_is_for_everybody() {
        for (verb, expected) in [
            ("status", true),
            ("reload", false),
            ("summary", false),
            (r#"block","addresses":["::2"],"reason":""#, false),
        ] {
            let line = format!(r#"{{"v":1,"do":"{verb}"}}"#);
            assert_eq!(Request::read(line.as_bytes()).unwrap().only_looks(), expected, "{verb}");
        }
    }

    proptest! {
        #[test]
        fn no_line_panics(line: Vec<u8>) {
            let _ = Request::read(&line);
            let _ = answer(&line);
        }
    }
}
