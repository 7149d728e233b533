//! The evidence file: the packets that led to each block, one line of JSON each.

mod done;

use std::{
    collections::VecDeque,
    fs, io,
    net::IpAddr,
    num::NonZeroUsize,
    path::{Path, PathBuf},
};

use ipnet::IpNet;
use lru::LruCache;
use portsentry_common::decide::Verdict;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

pub use self::done::Done;
use super::{
    atomic_write::{self, WriteError},
    classic, event,
    history::History,
    history_write::stamp,
};
use crate::policy::{
    Scan, Sighting, network_of,
    register::{Case, HistoryAction},
};

/// Maximum number of sources whose packets are kept in case of a later block.
const SOURCES: NonZeroUsize = NonZeroUsize::new(4096).unwrap();
/// Number of packets kept for each of them. The last ones are kept.
const PENDING: usize = 16;
/// Maximum number of packets written for a blocked or fenced source, because a fenced one may continue to probe.
const MOST: u32 = 64;
/// Size in bytes at which a new file is started.
const LARGEST: u64 = 4 << 20;

/// A packet, as received.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Time, RFC 3339 in UTC with milliseconds.
    pub time: String,
    /// Source address.
    pub source: IpAddr,
    /// Source port.
    pub source_port: u16,
    /// Destination address.
    pub destination: IpAddr,
    /// Destination port.
    pub port: u16,
    /// TCP or UDP.
    pub protocol: String,
    /// Its kind, in 1.2's words.
    pub kind: String,
    /// TCP's control bits as received.
    pub flags: u8,
    /// Index of the interface that received it; 0 for a trap's socket.
    pub interface: u32,
    /// Identifier of the innermost VLAN tag, 0 without one.
    pub vlan: u16,
    /// Length of the frame in bytes, if known.
    pub length: Option<u16>,
    /// Time to live, or hop limit, if known.
    pub ttl: Option<u8>,
    /// Number of the source's probes so far; 0 if this one doesn't count.
    pub hits: u32,
    /// The verdict.
    pub verdict: String,
    /// The proof that the source itself sent it.
    pub proof: String,
    /// Length of the IPv6 network by which the source is counted, or 0 for the source alone.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub prefix: u8,
    /// The evidence of a scan that avoids traps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scan: Option<Scan>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
const fn is_zero(prefix: &u8) -> bool {
    *prefix == 0
}

impl Seen {
    /// Returns the network by which the source is counted and blocked.
    #[must_use]
    pub fn network(&self) -> IpNet {
        network_of(self.source, self.prefix)
    }
}

impl From<&Sighting> for Seen {
    fn from(sighting: &Sighting) -> Self {
        Self {
            time: stamp(sighting.time),
            source: sighting.source,
            source_port: sighting.source_port,
            destination: sighting.destination,
            port: sighting.port,
            protocol: sighting.protocol.name().into(),
            kind: classic::sighting_type(sighting).trim().into(),
            flags: sighting.flags,
            interface: sighting.interface,
            vlan: sighting.vlan,
            length: (sighting.length != 0).then_some(sighting.length),
            ttl: (sighting.ttl != 0).then_some(sighting.ttl),
            hits: sighting.hits,
            verdict: event::verdict(sighting.verdict).into(),
            proof: sighting.proof.name().into(),
            prefix: sighting.prefix,
            scan: sighting.scan,
        }
    }
}

/// The file, and the packets that may still be written to it.
#[derive(Debug)]
pub struct Evidence {
    file: History,
    pending: LruCache<IpNet, VecDeque<Seen>>,
    written: LruCache<IpNet, u32>,
}

impl Evidence {
    /// Appends to an existing file.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self { file: History::new(path), pending: LruCache::new(SOURCES), written: LruCache::new(SOURCES) }
    }

    /// Returns the path.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// Records a packet. If its source is blocked or fenced, or would be if the configuration blocked, writes the
    /// packet and the earlier ones. Otherwise keeps the packet.
    pub fn see(&mut self, sighting: &Sighting, is_held: bool) {
        let seen = Seen::from(sighting);
        let decides = matches!(sighting.verdict, Verdict::Block | Verdict::Fence | Verdict::Report);
        if !decides && !is_held {
            let pending = self.pending.get_or_insert_mut(sighting.network(), VecDeque::new);
            if pending.len() == PENDING {
                pending.pop_front();
            }
            pending.push_back(seen);
            return;
        }
        if decides && sighting.verdict == Verdict::Block {
            self.written.pop(&sighting.network());
        }
        let before = self.pending.pop(&sighting.network()).unwrap_or_default();
        let written = self.written.get_or_insert_mut(sighting.network(), || 0);
        for seen in before.into_iter().chain([seen]) {
            if *written < MOST {
                *written += 1;
                // Serialisation can't fail: keys are strings, and no part of it can fail.
                self.file.append(serde_json::to_string(&seen).unwrap_or_default());
            }
        }
    }

    /// Records an action.
    pub fn record(&mut self, action: HistoryAction, case: &Case) {
        // Serialisation can't fail: keys are strings, and no part of it can fail.
        self.file.append(serde_json::to_string(&Done::new(action, case)).unwrap_or_default());
    }

    /// Writes the pending lines. A large file is first renamed, replacing the previous one.
    pub fn flush(&mut self) -> io::Result<u64> {
        let path = self.file.path();
        // A link is never renamed, because writing to it is refused.
        if fs::symlink_metadata(path).is_ok_and(|found| found.is_file() && found.len() >= LARGEST) {
            fs::rename(path, before(path))?;
        }
        self.file.flush()
    }
}

/// Returns the path of the previous file.
fn before(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".1");
    name.into()
}

/// Returns the packets of `source`, and of other addresses in the same blocked network, in order of time. At most
/// the last million.
pub fn read(path: &Path, source: IpAddr) -> Result<Vec<Seen>, WriteError> {
    // Filters by the address's text first, because most lines are about other sources; a network ends with its
    // length.
    let mention = format!("\"{source}\"");
    let is_network = |line: &str| source.is_ipv6() && line.contains("\"prefix\"");
    let mut all: Vec<Seen> = lines(path, |line| line.contains(&mention) || is_network(line))?;
    all.retain(|seen| seen.network().contains(&source));
    all.sort_by(|one, other| one.time.cmp(&other.time));
    Ok(all)
}

/// Returns the recorded packets of all sources, in no particular order.
pub fn packets(path: &Path) -> Result<Vec<Seen>, WriteError> {
    lines(path, |_| true)
}

/// Returns all packets and all actions.
pub(super) fn all(path: &Path) -> Result<(Vec<Seen>, Vec<Done>), WriteError> {
    Ok((packets(path)?, lines(path, |line| line.contains("\"action\""))?))
}

/// Returns the actions on the networks that contain `source`, in order of time.
pub fn done(path: &Path, source: IpAddr) -> Result<Vec<Done>, WriteError> {
    let mut all: Vec<Done> = lines(path, |line| line.contains("\"action\""))?;
    all.retain(|done| done.network().is_some_and(|network| network.contains(&source)));
    Ok(all)
}

/// Returns the lines of this kind in the file and the previous one, if `is_wanted`.
fn lines<T: DeserializeOwned>(path: &Path, is_wanted: impl Fn(&str) -> bool) -> Result<Vec<T>, WriteError> {
    let mut all = Vec::new();
    for path in [before(path), path.to_path_buf()] {
        let content = atomic_write::read(&path)?.unwrap_or_default();
        let text = String::from_utf8_lossy(&content);
        let lines = text.lines().filter(|line| is_wanted(line));
        all.extend(lines.filter_map(|line| serde_json::from_str::<T>(line).ok()));
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::sample_sighting;

    fn evidence() -> (tempfile::TempDir, Evidence) {
        let files = tempfile::tempdir().unwrap();
        let evidence = Evidence::new(files.path().join("evidence"));
        (files, evidence)
    }

    fn probe(last: u8, port: u16, verdict: Verdict) -> Sighting {
        Sighting { source: [192, 0, 2, last].into(), port, verdict, length: 60, ..sample_sighting() }
    }

    fn ports(evidence: &mut Evidence, last: u8) -> Vec<u16> {
        evidence.flush().unwrap();
        let seen = read(evidence.path(), [192, 0, 2, last].into()).unwrap();
        seen.iter().map(|seen| seen.port).collect()
    }

    #[test]
    fn what_led_to_a_block_is_written_and_nothing_else() {
        let (_files, mut evidence) = evidence();
        for port in 1..=20 {
            evidence.see(&probe(9, port, Verdict::Counted), false);
        }
        evidence.see(&probe(8, 1, Verdict::Counted), false);
        assert_eq!(ports(&mut evidence, 9), [0; 0]);
        evidence.see(&probe(9, 21, Verdict::Block), true);
        evidence.see(&probe(9, 22, Verdict::Counted), true);
        assert_eq!(ports(&mut evidence, 9), (5..=22).collect::<Vec<_>>());
        assert_eq!(ports(&mut evidence, 8), [0; 0]);
    }

    #[test]
    fn a_fenced_source_writes_so_much_and_its_proof() {
        let (_files, mut evidence) = evidence();
        for port in 1..=100 {
            evidence.see(&probe(9, port, Verdict::Fence), true);
        }
        assert_eq!(ports(&mut evidence, 9).len(), MOST as usize);
        evidence.see(&probe(9, 500, Verdict::Block), true);
        assert!(ports(&mut evidence, 9).contains(&500));
    }

    #[test]
    fn an_observed_source_leaves_evidence_too() {
        let (_files, mut evidence) = evidence();
        evidence.see(&probe(9, 1, Verdict::Counted), false);
        evidence.see(&probe(9, 2, Verdict::Report), false);
        evidence.see(&probe(8, 3, Verdict::Ignored), false);
        assert_eq!(ports(&mut evidence, 9), [1, 2]);
        assert_eq!(packets(evidence.path()).unwrap().len(), 2);
    }

    #[test]
    fn a_large_file_is_kept_once() {
        let (_files, mut evidence) = evidence();
        evidence.see(&probe(9, 1, Verdict::Block), true);
        evidence.flush().unwrap();
        let first = fs::read_to_string(evidence.path()).unwrap();
        let filler = "-".repeat(usize::try_from(LARGEST).unwrap());
        fs::write(evidence.path(), format!("{first}{filler}\n")).unwrap();
        evidence.see(&probe(9, 2, Verdict::Block), true);
        assert_eq!(ports(&mut evidence, 9), [1, 2]);
        assert!(fs::metadata(evidence.path()).unwrap().len() < LARGEST);
    }

    #[test]
    fn sources_beyond_a_number_are_forgotten() {
        let (_files, mut evidence) = evidence();
        for number in 0..=u32::try_from(SOURCES.get()).unwrap() {
            let source = std::net::Ipv4Addr::from(0x0a00_0000 + number).into();
            evidence.see(&Sighting { source, ..probe(0, 1, Verdict::Counted) }, false);
        }
        assert_eq!(evidence.pending.len(), SOURCES.get());
    }
}
