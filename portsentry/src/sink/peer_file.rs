//! The peers' numbers, beside the blocked file (`BLOCKED_FILE.peers`): the kernel's maps name a peer by its number. The
//! file also has what administrators said here: held peers, lifted sources, exempt networks. Peers' blocks are in no
//! file.

use std::{
    fmt::Write,
    path::{Path, PathBuf},
    time::Instant,
};

use super::{
    atomic_write::{self, MODE, WriteError},
    beside::beside,
    retry::Retry,
};
use crate::{
    notation,
    policy::{
        name_of,
        peers::{Allowed, Gateway, HERE, Hold, Number, ONLY_HERE, Peers, Recorded as Line},
    },
};

/// The word of a lift for the fleet.
const LIFT: &str = "lift";
/// The word of a lift for this gateway alone.
const LIFT_ONLY_HERE: &str = "lift-here";

/// The file.
#[derive(Debug)]
pub struct PeerFile {
    path: PathBuf,
    /// The revision in the file.
    written: u64,
    /// The number of peers in the file.
    named: usize,
    trouble: Retry,
}

impl PeerFile {
    /// Returns the file beside the blocked file.
    #[must_use]
    pub fn new(blocked: &Path) -> Self {
        Self { path: path(blocked), written: 0, named: 0, trouble: Retry::default() }
    }

    /// Writes the peers, if the file lacks one. Returns a message to log, if any.
    pub fn flush_names(&mut self, peers: &Peers) -> Option<String> {
        if self.named == peers.iter().count() { None } else { self.flush(peers) }
    }

    /// Writes the peers, if they have changed. Returns a message to log, if any.
    pub fn flush(&mut self, peers: &Peers) -> Option<String> {
        let now = Instant::now();
        if self.written == peers.revision() || !self.trouble.is_over(now) {
            return None;
        }
        let text = render(peers).into_bytes();
        let written = atomic_write::update(&self.path, MODE, |old| {
            (old != Some(text.as_slice())).then(|| text.clone())
        });
        if written.is_ok() {
            self.written = peers.revision();
            self.named = peers.iter().count();
        }
        let problem = written.err().map(|error| error.to_string());
        self.trouble.note(problem, &self.path.display(), now)
    }
}

fn path(blocked: &Path) -> PathBuf {
    beside(blocked, ".peers")
}

/// Returns the lines of the file beside `blocked`, or none if it is missing. Unreadable ones are left out.
///
/// # Errors
/// If the file can't be read.
pub fn read(blocked: &Path) -> Result<Vec<Line>, WriteError> {
    let content = atomic_write::read(&path(blocked))?.unwrap_or_default();
    Ok(String::from_utf8_lossy(&content).lines().filter_map(read_line).collect())
}

/// Returns the name of the peer with this number in the file beside `blocked`.
#[must_use]
pub fn name(lines: &[Line], number: Number) -> Option<&str> {
    lines.iter().find_map(|line| match line {
        Line::Peer(known, gateway, _) if *known == number => Some(gateway.name()),
        _ => None,
    })
}

fn read_line(line: &str) -> Option<Line> {
    let mut words = line.split(' ');
    let (what, first, second) = (words.next()?, words.next()?, words.next()?);
    let third = words.next();
    match what {
        "peer" => {
            let number = first.parse().ok().filter(|number| ![HERE, ONLY_HERE].contains(number))?;
            let held = match third {
                None => None,
                Some(word) => Some(Hold::named(word)?),
            };
            Some(Line::Peer(number, Gateway::try_from(second.to_owned()).ok()?, held))
        }
        LIFT | LIFT_ONLY_HERE => {
            let (network, at) = (notation::read(first)?, second.parse().ok()?);
            Some(Line::Lift { network, at, is_only_here: what == LIFT_ONLY_HERE })
        }
        "allow" | "disallow" => {
            let allowed = Allowed { at: second.parse().ok()?, allowed: what == "allow" };
            Some(Line::Allow(notation::read(first)?, allowed))
        }
        _ => None,
    }
}

fn render(peers: &Peers) -> String {
    let mut text =
        "# The other gateways of the fleet, and what administrators said. PortSentry writes this.\n"
            .to_owned();
    // Writing to a string can't fail.
    for (number, peer) in peers.iter() {
        let held = peer.held.map_or_else(String::new, |held| format!(" {}", held.name()));
        let _ = writeln!(text, "peer {number} {}{held}", peer.gateway);
    }
    let lifted = peers.lifted_here().map(|lift| (LIFT, lift));
    for (word, (network, at)) in lifted.chain(peers.lifted_only_here().map(|lift| (LIFT_ONLY_HERE, lift))) {
        let _ = writeln!(text, "{word} {} {at}", name_of(network));
    }
    for (network, Allowed { at, allowed }) in peers.allowed() {
        let word = if allowed { "allow" } else { "disallow" };
        let _ = writeln!(text, "{word} {} {at}", name_of(network));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{config::Config, policy::peers::Rules};

    #[test]
    fn lines_are_read_as_they_were_written() {
        let dir = tempfile::tempdir().unwrap();
        let blocked = dir.path().join("blocked");
        assert_eq!(read(&blocked).unwrap(), []);
        let mut peers = Peers::new(Rules::new(&Config::default()));
        let gateway = |name: &str| Gateway::try_from(name.to_owned()).unwrap();
        peers.restore(7, gateway("gw2"), None);
        peers.restore(8, gateway("gw3"), Some(Hold::Rate));
        peers.lift_here("192.0.2.9/32".parse().unwrap(), 5);
        peers.lift_only_here("192.0.2.10/32".parse().unwrap(), 6);
        peers.allow("2001:db8::/32".parse().unwrap(), Allowed { at: 6, allowed: true });
        peers.allow("192.0.2.0/24".parse().unwrap(), Allowed { at: 7, allowed: false });
        let mut file = PeerFile::new(&blocked);
        assert_eq!(file.flush(&peers), None);
        let lines = read(&blocked).unwrap();
        assert_eq!((name(&lines, 7), name(&lines, 9)), (Some("gw2"), None));
        let mut again = Peers::new(Rules::new(&Config::default()));
        again.recall_all(lines);
        assert_eq!(render(&again), render(&peers));
        let only_here: Vec<_> = again.lifted_only_here().collect();
        assert_eq!(only_here, [("192.0.2.10/32".parse().unwrap(), 6)]);
    }

    #[test]
    fn torn_lines_are_left_out() {
        for line in [
            "",
            "peer 7",
            "peer 0 gw1",
            "peer 4294967295 gw1",
            "peer 7 a.b",
            "peer 7 gw2 odd",
            "lift 192.0.2.9",
            "allow x 5",
        ] {
            assert_eq!(read_line(line), None, "{line:?}");
        }
    }
}
