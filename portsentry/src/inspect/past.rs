//! The history: blocks, fences and releases, from `HISTORY_FILE` and its rotated predecessors.

use std::{
    borrow::Cow,
    collections::VecDeque,
    io::{self, BufRead},
    path::Path,
};

use ipnet::IpNet;
use portsentry_common::block::Proof;
use serde::{Deserialize, Serialize};

use super::{
    error::Error,
    select::{Wanted, is_of, overlap},
};
use crate::{
    config::Config,
    instant::Time,
    notation,
    policy::{BlockId, ScanKind, register::HistoryAction},
    sink::{
        Decided, HistoryLine,
        rotated::{self, Part},
    },
};

/// An entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Time of the action.
    pub time: Time,
    /// A host or a network.
    #[serde(with = "notation")]
    pub address: IpNet,
    /// The source's name, if known.
    pub name: Option<String>,
    /// `None` for an administrator's block.
    pub port: Option<u16>,
    /// Transport protocol of the probe.
    pub protocol: Option<Cow<'static, str>>,
    /// Kind of the probe.
    pub kind: Option<String>,
    /// The proof of the source, if it is known.
    pub proof: Option<Cow<'static, str>>,
    /// The action.
    pub action: HistoryAction,
    /// The id of the block or fence, if the evidence has it.
    pub id: Option<BlockId>,
    /// The reason, if the line has one.
    pub reason: Option<String>,
}

/// The requested entries.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Past {
    /// The entries, oldest first.
    pub entries: Vec<Entry>,
    /// Whether older entries may be missing: beyond the limit, or not read.
    pub is_cut: bool,
    /// Number of lines in neither format.
    pub torn: usize,
    /// Reasons why files or details are missing.
    pub problems: Vec<String>,
}

/// Limits on the work for a request.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Maximum number of entries.
    pub entries: usize,
    /// Maximum number of bytes read from the history.
    pub bytes: u64,
}

impl Bounds {
    /// No limits.
    pub const NONE: Self = Self { entries: usize::MAX, bytes: u64::MAX };
}

/// Returns the last requested entries. Missing files count as empty.
pub fn read(config: &Config, wanted: &Wanted, bounds: Bounds) -> Result<Past, Error> {
    let (decided, problem) = match Decided::read(config.evidence_file.as_deref()) {
        Ok(decided) => (decided, None),
        Err(error) => {
            let without = "kinds and proofs are shown only where the history has them";
            (Decided::default(), Some(format!("{error}; {without}")))
        }
    };
    let path = &config.history_file;
    let failed = |source: io::Error| Error::File { path: path.clone(), source };
    let mut past = files(path, wanted, bounds, &decided).map_err(failed)?;
    past.problems.extend(problem);
    Ok(past)
}

fn files(path: &Path, wanted: &Wanted, bounds: Bounds, decided: &Decided) -> io::Result<Past> {
    let opened = rotated::open(path)?;
    let most = wanted.limit.unwrap_or(usize::MAX).min(bounds.entries);
    let mut past = Past { problems: opened.problems, ..Past::default() };
    let mut left = bounds.bytes;
    // Newest first.
    let mut groups: Vec<VecDeque<Entry>> = Vec::new();
    for part in opened.parts {
        let count: usize = groups.iter().map(VecDeque::len).sum();
        if wanted.since.is_some_and(|since| part.modified < since.0) {
            continue;
        }
        if count >= most || left == 0 {
            past.is_cut = true;
            break;
        }
        let name = part.path.display().to_string();
        let selection = Choice { wanted, decided, most: most - count };
        match selection.of(part, &mut left) {
            Ok(Some(chosen)) => {
                past.torn += chosen.torn;
                past.is_cut |= chosen.is_cut;
                groups.push(chosen.entries);
            }
            Ok(None) => past.is_cut = true,
            // An older file that is damaged hides nothing else.
            Err(error) if name != path.display().to_string() => {
                past.problems.push(format!("{name} can't be read: {error}"));
            }
            Err(error) => return Err(error),
        }
    }
    past.entries = groups.into_iter().rev().flatten().collect();
    Ok(past)
}

/// Chooses entries from one file.
struct Choice<'a> {
    wanted: &'a Wanted,
    decided: &'a Decided,
    most: usize,
}

/// The entries chosen from one file.
#[derive(Default)]
struct Chosen {
    entries: VecDeque<Entry>,
    torn: usize,
    is_cut: bool,
}

impl Choice<'_> {
    /// Reads at most `left` bytes, and subtracts them. Returns `None` if a compressed file has more.
    fn of(&self, part: Part, left: &mut u64) -> io::Result<Option<Chosen>> {
        if *left == u64::MAX {
            return self.choose(part.reader()).map(Some);
        }
        let Some((content, is_cut)) = part.read(*left)? else {
            *left = 0;
            return Ok(None);
        };
        *left -= content.len() as u64;
        if is_cut {
            *left = 0;
        }
        let chosen = self.choose(content.as_slice())?;
        Ok(Some(Chosen { is_cut: chosen.is_cut || is_cut, ..chosen }))
    }

    fn choose(&self, lines: impl BufRead) -> io::Result<Chosen> {
        let mut chosen = Chosen::default();
        for line in lines.split(b'\n') {
            let line = line?;
            let line = String::from_utf8_lossy(&line);
            match HistoryLine::read(&line) {
                Some(past) if !is_wanted(&past, self.wanted) => {}
                Some(past) => {
                    let entry = Entry::new(past, self.decided);
                    if self.wanted.kind.as_ref().is_none_or(|kind| is_of(entry.kind.as_deref(), kind)) {
                        chosen.entries.push_back(entry);
                    }
                    if chosen.entries.len() > self.most {
                        chosen.entries.pop_front();
                        chosen.is_cut = true;
                    }
                }
                None => chosen.torn += usize::from(!line.trim().is_empty()),
            }
        }
        Ok(chosen)
    }
}

/// Whether a line is requested, apart from its kind, which it may lack.
fn is_wanted(line: &HistoryLine, wanted: &Wanted) -> bool {
    wanted.address.is_none_or(|network| overlap(network, line.network))
        && wanted.action.is_none_or(|action| line.action == action)
        && wanted.since.is_none_or(|since| line.time >= since.0)
}

impl Entry {
    /// Returns the entry of a line, with the details in the evidence.
    pub(super) fn new(past: HistoryLine, decided: &Decided) -> Self {
        let HistoryLine { time, network, name, port, protocol, kind, action, reason } = past;
        let is_probe = port != 0;
        let at = |is_fence| decided.at(network, time, is_fence);
        // 2.x's lines call a fence a block.
        let decision = match action {
            HistoryAction::Blocked => at(false).or_else(|| kind.as_ref().and_then(|_| at(true))),
            HistoryAction::Fenced => at(true),
            HistoryAction::Reported | HistoryAction::Lifted | HistoryAction::Forgotten => None,
        };
        let proof = if is_probe { decision.map(|it| it.proof) } else { Some(Proof::Administrator) };
        let proof = proof.filter(|_| !matches!(action, HistoryAction::Lifted | HistoryAction::Forgotten));
        Self {
            time: Time(time),
            address: network,
            name,
            port: is_probe.then_some(port),
            protocol: is_probe.then(|| protocol.name().into()),
            kind: kind.or_else(|| decision.map(|it| it.kind.clone())).or_else(|| {
                let scan = ScanKind::of_reason(reason.as_deref()?)?;
                Some(scan.name().into())
            }),
            proof: proof.map(|proof| proof.name().into()),
            action,
            id: decided.id_at(network, time, action == HistoryAction::Lifted),
            reason,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, time::SystemTime};

    use super::*;
    use crate::policy::name_of;

    const FILE: &str = "1795389179 - 11/22/2026 23:12:59 Host: a.example/192.0.2.9 Port: 1 TCP Blocked\n\
         1795389180 - 11/22/2026 23:13:00 Host: 192.0.2.10/192.0.2.10 Port: 0 TCP Blocked\n\
         1795389181 - 11/22/2026 23:13:01 Host: 192.0.2\n\
         2026-11-22T23:40:12.990+0000 Scan from: [2001:db8::9] (2001:db8::9) protocol: [UDP] port: [69] type: [UDP] \
         IP opts: [not set] ignored: [false] triggered: [true] noblock: [true] blocked: [false]\n";

    fn chosen(wanted: &Wanted) -> (Vec<String>, usize) {
        let choice = Choice { wanted, decided: &Decided::default(), most: usize::MAX };
        let chosen = choice.choose(FILE.as_bytes()).unwrap();
        (chosen.entries.iter().map(|entry| name_of(entry.address)).collect(), chosen.torn)
    }

    #[test]
    fn lines_are_chosen_by_address_and_time() {
        let time = |text: &str| Time(text.parse::<jiff::Timestamp>().unwrap().into());
        for (address, since, expected) in [
            (None, None, &["192.0.2.9", "192.0.2.10", "2001:db8::9"][..]),
            (Some("192.0.2.9/32"), None, &["192.0.2.9"]),
            (Some("192.0.2.0/24"), None, &["192.0.2.9", "192.0.2.10"]),
            (None, Some("2026-11-22T23:13:00Z"), &["192.0.2.10", "2001:db8::9"]),
            (Some("192.0.2.0/24"), Some("2026-11-22T23:13:01Z"), &[]),
        ] {
            let address = address.map(|text| text.parse().unwrap());
            let wanted = Wanted { address, since: since.map(time), ..Wanted::default() };
            let expected: Vec<_> = expected.iter().map(ToString::to_string).collect();
            assert_eq!(chosen(&wanted), (expected, 1));
        }
    }

    #[test]
    fn lines_are_chosen_by_kind_and_deed() {
        for (kind, action, expected) in [
            (Some("udp"), None, &["2001:db8::9"][..]),
            (Some("xmas"), None, &[]),
            (None, Some(HistoryAction::Blocked), &["192.0.2.9", "192.0.2.10"]),
            (None, Some(HistoryAction::Reported), &["2001:db8::9"]),
            (Some("UDP"), Some(HistoryAction::Fenced), &[]),
        ] {
            let wanted = Wanted { kind: kind.map(Into::into), action, ..Wanted::default() };
            assert_eq!(chosen(&wanted).0, expected, "{kind:?} {action:?}");
        }
    }

    #[test]
    fn json_is_written_and_read() {
        let wanted = Wanted { address: Some("192.0.2.9/32".parse().unwrap()), ..Wanted::default() };
        let choice = Choice { wanted: &wanted, decided: &Decided::default(), most: 9 };
        let entries = choice.choose(FILE.as_bytes()).unwrap().entries;
        let value = serde_json::to_value(&entries).unwrap();
        let expected = serde_json::json!([{
            "time": "2026-11-22T23:12:59Z", "address": "192.0.2.9", "name": "a.example", "port": 1,
            "protocol": "TCP", "kind": null, "proof": null, "action": "blocked", "id": null,
            "reason": null
        }]);
        assert_eq!(value, expected);
        assert_eq!(serde_json::from_value::<VecDeque<Entry>>(value).unwrap(), entries);
    }

    /// Returns the last byte of each entry's address, and whether entries are missing.
    fn over_files(directory: &Path, wanted: &Wanted, bounds: Bounds) -> (Vec<u8>, bool) {
        let past = files(&directory.join("history"), wanted, bounds, &Decided::default()).unwrap();
        let last = |entry: &Entry| match entry.address {
            IpNet::V4(network) => network.addr().octets()[3],
            IpNet::V6(_) => 0,
        };
        (past.entries.iter().map(last).collect(), past.is_cut)
    }

    #[test]
    fn entries_are_gathered_over_rotated_files() {
        let directory = tempfile::tempdir().unwrap();
        let line = |number: u64| {
            format!("{} - a b Host: x/192.0.2.{number} Port: 1 TCP Blocked\n", 1_795_389_000 + number)
        };
        let length = u64::try_from(line(1).len()).unwrap();
        for (name, numbers) in [("history.2", 1..=3), ("history.1", 4..=6), ("history", 7..=9)] {
            let path = directory.path().join(name);
            fs::write(&path, numbers.clone().map(line).collect::<String>()).unwrap();
            let last = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_795_389_000 + numbers.end());
            fs::File::options().append(true).open(&path).unwrap().set_modified(last).unwrap();
        }
        let since = |number: u64| Wanted {
            since: Some(Time(
                SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_795_389_000 + number),
            )),
            ..Wanted::default()
        };
        for (wanted, bounds, expected, is_cut) in [
            (Wanted::default(), Bounds::NONE, (1..=9).collect::<Vec<u8>>(), false),
            (since(5), Bounds::NONE, (5..=9).collect(), false),
            (Wanted { limit: Some(4), ..Wanted::default() }, Bounds::NONE, (6..=9).collect(), true),
            (Wanted { limit: Some(3), ..Wanted::default() }, Bounds::NONE, (7..=9).collect(), true),
            (Wanted::default(), Bounds { entries: 5, bytes: u64::MAX }, (5..=9).collect(), true),
            (Wanted::default(), Bounds { entries: 99, bytes: 5 * length }, (5..=9).collect(), true),
            (Wanted::default(), Bounds { entries: 99, bytes: 99 * length }, (1..=9).collect(), false),
        ] {
            assert_eq!(
                over_files(directory.path(), &wanted, bounds),
                (expected, is_cut),
                "{wanted:?} {bounds:?}"
            );
        }
        let missing = directory.path().join("none");
        assert_eq!(over_files(&missing, &Wanted::default(), Bounds::NONE), (Vec::new(), false));
    }
}
