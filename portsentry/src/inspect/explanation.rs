//! What is known about one address: its entry in the kernel's maps, its past, and the packets that led to it.

use std::{collections::BTreeSet, net::IpAddr, time::SystemTime};

use ipnet::IpNet;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    error::Error,
    exempt,
    fleet::Claimed,
    held, lists,
    past::{self, Bounds, Entry},
    scans::SuspectRecord,
    select::{Selection, Wanted},
    subject::Subject,
    would,
};
use crate::{
    config::Config,
    instant::Time,
    kernel::Observer,
    policy::{
        State,
        enforcement::Prediction,
        network_of,
        register::{HistoryAction, Release},
    },
    sink::{
        self, blocked_file,
        evidence::{self, Done, Seen},
        origins::Origin,
    },
};

/// The report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// The address.
    pub address: IpAddr,
    /// The address's entry in the kernel's maps, if there is one.
    pub held: Option<held::Listed>,
    /// What the other gateways of the fleet say about it. Only the running daemon knows that.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub claims: Vec<Claimed>,
    /// The block lists that contain it, itself or in a network.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lists: Vec<String>,
    /// The state that it would be in, if PortSentry has only reported it.
    #[serde(default)]
    pub would: Option<State>,
    /// Its record, if it is suspected of a scan that avoids traps.
    #[serde(default)]
    pub suspect: Option<SuspectRecord>,
    /// Whether the program that enforces the entry is attached.
    pub is_enforced: bool,
    /// The running daemon's process.
    pub daemon: Option<i32>,
    /// Reason why it is never blocked.
    pub exempt: Option<String>,
    /// Its origin, which the command adds; `None` without `GEOIP_COUNTRY` and `GEOIP_ASN`.
    #[serde(skip_deserializing, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
    /// Its line in the blocked file.
    pub file: Option<Line>,
    /// The end of its last block or fence, unless it is blocked or fenced now.
    pub released: Option<Released>,
    /// Its entries in the history, oldest first.
    pub history: Vec<Entry>,
    /// Whether older entries are left out.
    pub is_cut: bool,
    /// The recorded packets that led to its blocks.
    pub evidence: Vec<Seen>,
    /// Reasons why details are missing.
    pub problems: Vec<String>,
}

/// A line of the blocked file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// Start of the block or fence.
    pub since: Time,
    /// Its end; `None` if it is permanent.
    pub until: Option<Time>,
    /// The administrator's reason.
    pub reason: Option<String>,
}

/// The end of a block or fence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Released {
    /// Time of the end.
    pub time: Time,
    /// Name of the cause: `over`, `administrator` or `exempt`.
    pub cause: String,
    /// The reason in words.
    pub reason: Option<String>,
}

/// Explains the state of `address`.
pub fn read(subject: &Subject, address: IpAddr, bounds: Bounds) -> Result<Explanation, Error> {
    let config = &subject.config;
    let network = Some(IpNet::from(address));
    let observer = Observer::open(&config.pin_path)?;
    let selection = Selection { network, ..Selection::default() };
    let held = observer.as_ref().map(|observer| held::observe(observer, config, &selection, usize::MAX));
    let held = held.transpose()?.unwrap_or_default();
    let wanted = Wanted { address: network, ..Wanted::default() };
    let past = past::read(config, &wanted, bounds)?;
    let evidence_file = config.evidence_file.as_deref();
    let done = evidence_file.map(|path| evidence::done(path, address)).transpose()?.unwrap_or_default();
    let evidence = evidence_file.map(|path| evidence::read(path, address)).transpose()?.unwrap_or_default();
    let exempt = exempt::refuse(&BTreeSet::from([address.into()]), &subject.ignored, &config.ignore_file);
    // The narrowest of several entries decides, which is the host itself if it is listed.
    let sources = held.sources.into_iter().filter(|listed| listed.address.contains(&address));
    let held_by = sources.max_by_key(|listed| listed.address.prefix_len());
    let would = if held_by.is_some() { None } else { would::state(&evidence, Prediction::new(config)) };
    let counted = [address.into(), network_of(address, config.ipv6_prefix)];
    let (suspect, unreadable) =
        match observer.as_ref().map(|observer| SuspectRecord::read(observer, &counted)).transpose() {
            Ok(suspect) => (suspect.flatten(), None),
            Err(error) => (None, Some(error.to_string())),
        };
    let released = if held_by.is_some() { None } else { released(&past.entries, &done, SystemTime::now()) };
    Ok(Explanation {
        address,
        held: held_by,
        claims: Vec::new(),
        lists: lists::naming(config, address),
        would,
        suspect,
        is_enforced: observer.as_ref().is_some_and(|observer| !observer.links().is_empty()),
        daemon: observer.as_ref().and_then(Observer::daemon),
        exempt: exempt.map_err(Error::Other)?.into_iter().next(),
        origin: None,
        file: line(config, address)?,
        released,
        history: past.entries,
        is_cut: past.is_cut,
        evidence,
        problems: [past.problems, held.problems].concat().into_iter().chain(unreadable).collect(),
    })
}

/// Returns the line of `address` in the blocked file.
fn line(config: &Config, address: IpAddr) -> Result<Option<Line>, Error> {
    let content = sink::read(&config.blocked_file)?.unwrap_or_default();
    let mut reasons = blocked_file::reasons(&content);
    // A line without a time has no start.
    let (records, _) = blocked_file::parse(&content, SystemTime::now());
    let record = records.into_iter().find(|record| record.network.contains(&address));
    Ok(record.map(|record| Line {
        since: Time(record.hold.since),
        until: record.hold.until.map(Time),
        reason: reasons.remove(&record.network),
    }))
}

/// Returns the end of the last block or fence, according to the history and the evidence. The expiry of a fence is in
/// neither: it follows from the recorded end.
fn released(history: &[Entry], done: &[Done], now: SystemTime) -> Option<Released> {
    let ends =
        |action| [HistoryAction::Blocked, HistoryAction::Fenced, HistoryAction::Lifted].contains(&action);
    let entry = history.iter().filter(|entry| ends(entry.action)).max_by_key(|entry| entry.time);
    let named = |done: &&Done| {
        let action = [HistoryAction::Blocked, HistoryAction::Fenced, HistoryAction::Lifted];
        action.iter().any(|action| action.name() == done.action)
    };
    let done = done.iter().filter(named).filter_map(|done| Some((time_of(&done.time)?, done)));
    let done = done.max_by_key(|(time, _)| *time);
    // The history has whole seconds.
    let is_newer = |entry: &&Entry| done.is_none_or(|(time, _)| Time::whole(time) < entry.time);
    if let Some(entry) = entry.filter(is_newer) {
        return (entry.action == HistoryAction::Lifted).then(|| Released {
            time: entry.time,
            cause: Release::of_reason(entry.reason.as_deref()).name().into(),
            reason: entry.reason.clone(),
        });
    }
    let (time, done) = done?;
    if done.action == HistoryAction::Lifted.name() {
        let reason = Some(done.reason.clone());
        return Some(Released { time: Time(time), cause: done.cause.clone(), reason });
    }
    let until = done.until.as_deref().and_then(time_of).filter(|until| *until <= now)?;
    Some(Released { time: Time(until), cause: "over".into(), reason: None })
}

fn time_of(text: &str) -> Option<SystemTime> {
    text.parse::<Timestamp>().ok().map(SystemTime::from)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(second: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(second)
    }

    fn entry(second: u64, action: HistoryAction, reason: &str) -> Entry {
        Entry {
            time: Time(at(second)),
            address: "192.0.2.9/32".parse().unwrap(),
            name: None,
            port: None,
            protocol: None,
            kind: None,
            proof: None,
            action,
            id: None,
            reason: Some(reason.into()),
        }
    }

    fn done(time: &str, action: &str, until: Option<&str>) -> Done {
        Done {
            time: time.into(),
            network: "192.0.2.9".into(),
            action: action.into(),
            cause: "exempt".into(),
            reason: "of the evidence".into(),
            proof: "none".into(),
            until: until.map(Into::into),
            kind: None,
            scan: None,
            id: None,
        }
    }

    #[test]
    fn the_last_end_counts() {
        let blocked = entry(100, HistoryAction::Blocked, "");
        let lifted = entry(200, HistoryAction::Lifted, "of the history");
        let of = |history: &[Entry], done: &[Done]| {
            let found = released(history, done, at(1000))?;
            Some((found.time.0, found.cause, found.reason.unwrap_or_default()))
        };
        let expected =
            |second, cause: &str, reason: &str| Some((at(second), cause.to_owned(), reason.to_owned()));
        assert_eq!(of(&[], &[]), None);
        assert_eq!(of(std::slice::from_ref(&blocked), &[]), None, "its end is unknown");
        assert_eq!(
            of(&[blocked.clone(), lifted.clone()], &[]),
            expected(200, "administrator", "of the history")
        );
        for (reason, cause) in [("its time is over", "over"), ("its address is never blocked", "exempt")] {
            let end = entry(200, HistoryAction::Lifted, reason);
            assert_eq!(of(&[blocked.clone(), end], &[]), expected(200, cause, reason));
        }
        assert_eq!(of(&[lifted.clone(), entry(300, HistoryAction::Blocked, "")], &[]), None);
        let lift = done("1970-01-01T00:03:20.700Z", "lifted", None);
        let found = of(&[blocked.clone(), lifted], std::slice::from_ref(&lift)).unwrap();
        assert_eq!((found.1.as_str(), found.2.as_str()), ("exempt", "of the evidence"));
        let fence = |until| done("1970-01-01T00:05:00.000Z", "fenced", until);
        let over = [lift, fence(Some("1970-01-01T00:10:00.000Z"))];
        assert_eq!(of(std::slice::from_ref(&blocked), &over), expected(600, "over", ""));
        assert_eq!(of(&[blocked], &[fence(Some("1970-01-01T01:10:00.000Z"))]), None, "it was released early");
    }
}
