//! Who is blocked, as the files are to show it, and what follows where kernel and files differ.

mod clock;

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    net::IpAddr,
    ops::RangeInclusive,
    time::{Duration, SystemTime},
};

use ipnet::IpNet;
use portsentry_common::{block::Proof, classify::Protocol};

/// What the files say of a blocked source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hold {
    /// When it was blocked or fenced.
    pub since: SystemTime,
    /// When that ends; `None` for never.
    pub until: Option<SystemTime>,
    /// Port of the probe that led to it; 0 where an administrator wrote the address alone.
    pub port: u16,
    /// That probe's transport protocol.
    pub protocol: Protocol,
    /// What proves that the source itself sent it.
    pub proof: Proof,
    /// It is fenced, not blocked.
    pub is_fence: bool,
    /// Length of the IPv6 network that is held, which the source is the first address of; 0 for the source alone.
    pub prefix: u8,
}

/// How much the times of a hold may differ: one may be the kernel's, and one is written in whole seconds.
const ROUNDING: Duration = Duration::from_secs(2);

impl Hold {
    /// A block without an end, which nothing proves.
    #[must_use]
    pub const fn for_good(since: SystemTime, port: u16, protocol: Protocol) -> Self {
        Self { since, until: None, port, protocol, proof: Proof::None, is_fence: false, prefix: 0 }
    }

    /// Whether an administrator has written another end than `other`'s.
    fn has_other_terms_than(&self, other: &Self) -> bool {
        let Some(until) = self.until.filter(|_| self.proof == Proof::Administrator) else { return false };
        let is_near = |other: SystemTime| {
            let apart = until.duration_since(other).unwrap_or_else(|error| error.duration());
            apart < ROUNDING
        };
        !other.until.is_some_and(is_near)
    }
}

/// Sources that are remembered as reported; when it is full it is begun anew, and some are reported again.
const REPORTED: usize = 65_536;

/// How many sources are blocked and fenced, IPv4 and IPv6 apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// Blocked.
    pub blocked: [usize; 2],
    /// Fenced.
    pub fenced: [usize; 2],
}

impl Census {
    fn of(&mut self, source: IpAddr, hold: &Hold) -> &mut usize {
        let [ipv4, ipv6] = if hold.is_fence { &mut self.fenced } else { &mut self.blocked };
        if source.is_ipv4() { ipv4 } else { ipv6 }
    }
}

/// The blocked sources by address, and those that the configuration leaves alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    blocked: BTreeMap<IpAddr, Hold>,
    /// When blocks end.
    ends: BTreeSet<(SystemTime, IpAddr)>,
    /// When fences end.
    fence_ends: BTreeSet<(SystemTime, IpAddr)>,
    reported: HashSet<IpAddr>,
    census: Census,
}

/// A block in the kernel's map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceState {
    /// The source.
    pub source: IpAddr,
    /// What the files are to say of it.
    pub hold: Hold,
    /// The files have said it before.
    pub mirrored: bool,
}

/// A block that is to be written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// The source.
    pub source: IpAddr,
    /// What the files are to say of it.
    pub hold: Hold,
}

impl Record {
    /// The host or network that is held.
    #[must_use]
    pub fn network(&self) -> IpNet {
        network_of(self.source, self.hold.prefix)
    }

    /// As people write it.
    #[must_use]
    pub fn name(&self) -> String {
        if self.hold.prefix == 0 { self.source.to_string() } else { self.network().to_string() }
    }
}

/// The network of `source` of that length; 0 for the source alone.
#[must_use]
pub fn network_of(source: IpAddr, prefix: u8) -> IpNet {
    let network = IpNet::new(source, prefix).ok().filter(|_| prefix != 0);
    network.map_or_else(|| source.into(), |network| network.trunc())
}

/// The lengths that IPv6 networks are held by (`IPV6_PREFIX`).
pub const PREFIXES: RangeInclusive<u8> = 48..=127;

/// What it takes to make kernel and files agree when a daemon starts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TakeOver {
    /// To be blocked in the kernel: the file names them, the map doesn't.
    pub block: Vec<Record>,
    /// To be unblocked, and taken out of the files: their line was taken out of one, or they are never blocked.
    pub lift: Vec<Record>,
    /// To be recorded: the kernel blocked them while no daemon was there.
    pub record: Vec<Record>,
}

/// What follows from an edited blocked file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edit {
    /// To be blocked: their line is new.
    pub block: Vec<Record>,
    /// To be unblocked: their line is gone.
    pub lift: Vec<IpAddr>,
    /// Their line is new, but they are never blocked.
    pub exempt: Vec<IpAddr>,
}

impl Ledger {
    /// Enters a source; `false` if it stands there already. A block takes the place of a fence.
    pub fn enter(&mut self, source: IpAddr, hold: Hold) -> bool {
        match self.blocked.get(&source) {
            Some(standing) if !standing.is_fence || hold.is_fence => return false,
            _ => {}
        }
        self.lift(source);
        let ends = if hold.is_fence { &mut self.fence_ends } else { &mut self.ends };
        ends.extend(hold.until.map(|until| (until, source)));
        *self.census.of(source, &hold) += 1;
        self.blocked.insert(source, hold);
        true
    }

    /// The fences that end first, of those beyond `most`: the kernel's map has let the oldest go, too.
    pub fn surplus(&self, most: usize) -> impl Iterator<Item = IpAddr> + '_ {
        let count = self.fence_ends.len().saturating_sub(most);
        self.fence_ends.iter().take(count).map(|(_, source)| *source)
    }

    /// How many stand there.
    #[must_use]
    pub const fn census(&self) -> Census {
        self.census
    }

    /// Takes a source out; returns what was said of it if it was there.
    pub fn lift(&mut self, source: IpAddr) -> Option<Record> {
        let hold = self.blocked.remove(&source)?;
        *self.census.of(source, &hold) -= 1;
        if let Some(until) = hold.until {
            self.ends.remove(&(until, source));
            self.fence_ends.remove(&(until, source));
        }
        Some(Record { source, hold })
    }

    /// The sources whose time is over at `now`.
    pub fn over(&self, now: SystemTime) -> impl Iterator<Item = IpAddr> {
        let of = move |ends: &'_ BTreeSet<(SystemTime, IpAddr)>| {
            ends.iter().take_while(|(until, _)| *until <= now).map(|(_, source)| *source).collect::<Vec<_>>()
        };
        of(&self.ends).into_iter().chain(of(&self.fence_ends))
    }

    /// What is said of a source.
    #[must_use]
    pub fn get(&self, source: IpAddr) -> Option<&Hold> {
        self.blocked.get(&source)
    }

    /// What is said of a source, or of the network that holds it.
    #[must_use]
    pub fn holding(&self, source: IpAddr) -> Option<Record> {
        let prefixes = if source.is_ipv6() { Some(PREFIXES) } else { None };
        [0].into_iter().chain(prefixes.into_iter().flatten().rev()).find_map(|prefix| {
            let source = network_of(source, prefix).addr();
            let hold = *self.get(source)?;
            (hold.prefix == prefix).then_some(Record { source, hold })
        })
    }

    /// Remembers that a source reached the trigger and is left alone; `false` if that is known already.
    pub fn report(&mut self, source: IpAddr) -> bool {
        if self.reported.len() >= REPORTED && !self.reported.contains(&source) {
            self.reported.clear();
        }
        self.reported.insert(source)
    }

    /// Whether the source is blocked.
    #[must_use]
    pub fn holds(&self, source: IpAddr) -> bool {
        self.blocked.contains_key(&source)
    }

    /// How many sources are blocked.
    #[must_use]
    pub fn len(&self) -> usize {
        self.blocked.len()
    }

    /// Whether nobody is blocked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.blocked.is_empty()
    }

    /// The blocked sources in the order of their addresses.
    pub fn records(&self) -> impl Iterator<Item = Record> + '_ {
        self.blocked.iter().map(|(source, hold)| Record { source: *source, hold: *hold })
    }

    /// Their addresses.
    pub fn sources(&self) -> impl Iterator<Item = IpAddr> + '_ {
        self.blocked.keys().copied()
    }

    /// What follows from the `lines` of a blocked file that an administrator has edited. Sources that the file has
    /// not shown yet can't have been taken out of it.
    #[must_use]
    pub fn edit(
        &self,
        lines: &[Record],
        is_exempt: impl Fn(&Record) -> bool,
        is_unshown: impl Fn(IpAddr) -> bool,
    ) -> Edit {
        let named: BTreeSet<IpAddr> = lines.iter().map(|line| line.source).collect();
        let (exempt, block): (Vec<Record>, Vec<Record>) =
            lines.iter().filter(|line| self.is_news(line)).partition(|line| is_exempt(line));
        Edit {
            block,
            lift: self.sources().filter(|source| !named.contains(source) && !is_unshown(*source)).collect(),
            exempt: exempt.into_iter().map(|line| line.source).collect(),
        }
    }

    /// Whether a line says more than that a source is held as it is.
    fn is_news(&self, line: &Record) -> bool {
        self.get(line.source)
            .is_none_or(|hold| (hold.is_fence && !line.hold.is_fence) || line.hold.has_other_terms_than(hold))
    }

    /// Brings together the blocked file's lines and the kernel's map, by source, at start, and what follows from it. A `file`
    /// of `None` is one that wasn't there, which lifts nothing. A block that the file has shown before and shows
    /// no longer was lifted there; one that it never showed was made while no daemon was there.
    pub fn take_over(
        &mut self,
        file: Option<&[Record]>,
        map: &BTreeMap<IpAddr, SourceState>,
        is_exempt: impl Fn(&Record) -> bool,
    ) -> TakeOver {
        let mut then = TakeOver::default();
        for record in file.unwrap_or_default() {
            let Record { source, hold } = *record;
            let stands = map.get(&source).is_some_and(|standing| !hold.has_other_terms_than(&standing.hold));
            if is_exempt(record) && !stands {
                then.lift.push(*record);
            } else if !is_exempt(record) && self.enter(source, hold) && !stands {
                then.block.push(*record);
            }
        }
        for SourceState { source, hold, mirrored } in map.values().copied() {
            if is_exempt(&Record { source, hold }) || (mirrored && file.is_some() && !self.holds(source)) {
                then.lift.push(Record { source, hold });
            } else if self.enter(source, hold) && !mirrored {
                then.record.push(Record { source, hold });
            }
        }
        then
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const B: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));

    fn hold(second: u64) -> Hold {
        let since = SystemTime::UNIX_EPOCH + Duration::from_secs(second);
        Hold::for_good(since, 1, Protocol::Tcp)
    }

    fn line(source: IpAddr, second: u64) -> Record {
        Record { source, hold: hold(second) }
    }

    fn standing(source: IpAddr, mirrored: bool) -> SourceState {
        SourceState { source, hold: hold(9), mirrored }
    }

    fn map<const N: usize>(standings: [SourceState; N]) -> BTreeMap<IpAddr, SourceState> {
        standings.map(|standing| (standing.source, standing)).into()
    }

    fn no_line(_: &Record) -> bool {
        false
    }

    fn nobody(_: IpAddr) -> bool {
        false
    }

    #[test]
    fn a_line_without_a_block_is_blocked_again() {
        let mut ledger = Ledger::default();
        let then = ledger.take_over(Some(&[line(A, 1), line(A, 2)]), &map([]), no_line);
        assert_eq!(then, TakeOver { block: vec![line(A, 1)], ..TakeOver::default() });
        assert_eq!(ledger.records().collect::<Vec<_>>(), [line(A, 1)]);
    }

    #[test]
    fn a_line_and_a_block_agree() {
        let mut ledger = Ledger::default();
        let then = ledger.take_over(Some(&[line(A, 1)]), &map([standing(A, true)]), no_line);
        assert_eq!(then, TakeOver::default());
        assert!(ledger.holds(A));
    }

    #[test]
    fn a_line_taken_out_lifts_the_block() {
        let mut ledger = Ledger::default();
        let then = ledger.take_over(Some(&[]), &map([standing(A, true)]), no_line);
        assert_eq!(then, TakeOver { lift: vec![line(A, 9)], ..TakeOver::default() });
        assert!(ledger.is_empty());
    }

    #[test]
    fn a_block_made_without_a_daemon_is_recorded() {
        let mut ledger = Ledger::default();
        let then = ledger.take_over(Some(&[]), &map([standing(A, false)]), no_line);
        assert_eq!(then, TakeOver { record: vec![line(A, 9)], ..TakeOver::default() });
    }

    #[test]
    fn a_missing_file_lifts_nothing() {
        let mut ledger = Ledger::default();
        let then = ledger.take_over(None, &map([standing(A, true), standing(B, false)]), no_line);
        assert_eq!(then, TakeOver { record: vec![line(B, 9)], ..TakeOver::default() });
        assert_eq!(ledger.len(), 2);
    }

    #[test]
    fn a_fence_ends_and_a_block_takes_its_place() {
        let at = |second| SystemTime::UNIX_EPOCH + Duration::from_secs(second);
        let fence = |end| Hold { is_fence: true, until: Some(at(end)), ..hold(1) };
        let mut ledger = Ledger::default();
        assert!(ledger.enter(A, fence(5)) && ledger.enter(B, fence(6)) && !ledger.enter(B, fence(9)));
        assert_eq!(ledger.over(at(5)).collect::<Vec<_>>(), [A]);
        assert!(ledger.enter(B, hold(2)) && !ledger.enter(B, fence(9)));
        assert_eq!(ledger.over(at(9)).collect::<Vec<_>>(), [A]);
        assert_eq!(ledger.lift(A).map(|record| record.hold), Some(fence(5)));
        assert_eq!(ledger.over(at(9)).count(), 0);
    }

    #[test]
    fn fences_beyond_a_number_are_the_oldest() {
        let mut ledger = Ledger::default();
        for second in [3, 1, 2] {
            let until = SystemTime::UNIX_EPOCH + Duration::from_secs(second);
            let hold = Hold { is_fence: true, until: Some(until), ..hold(0) };
            ledger.enter([192, 0, 2, u8::try_from(second).unwrap()].into(), hold);
        }
        ledger.enter([198, 51, 100, 1].into(), hold(0));
        assert_eq!(ledger.surplus(3).count(), 0);
        assert_eq!(ledger.surplus(1).collect::<Vec<_>>(), [A, B]);
    }

    #[test]
    fn an_administrators_terms_are_news_once() {
        let until = |second| Some(SystemTime::UNIX_EPOCH + Duration::from_secs(second));
        let with = |second| {
            let hold = Hold { until: until(second), proof: Proof::Administrator, ..hold(1) };
            Record { source: A, hold }
        };
        let mut ledger = Ledger::default();
        ledger.enter(A, hold(1));
        assert_eq!(ledger.edit(&[with(50)], no_line, nobody).block, [with(50)]);
        let then = ledger.clone().take_over(Some(&[with(50)]), &map([standing(A, true)]), no_line);
        assert_eq!(then, TakeOver::default(), "it is held already");
        let then = Ledger::default().take_over(Some(&[with(50)]), &map([standing(A, true)]), no_line);
        assert_eq!(then, TakeOver { block: vec![with(50)], ..TakeOver::default() });
        ledger.lift(A);
        ledger.enter(A, with(50).hold);
        assert_eq!(ledger.edit(&[with(51)], no_line, nobody), Edit::default(), "as near as rounding");
        assert_eq!(
            ledger.edit(&[line(A, 1)], no_line, nobody),
            Edit::default(),
            "no terms are no other terms"
        );
    }

    #[test]
    fn an_edited_file_blocks_and_lifts() {
        let [c, d, e] = [3, 4, 5].map(|last| IpAddr::from([192, 0, 2, last]));
        let mut ledger = Ledger::default();
        for source in [A, B, c] {
            ledger.enter(source, hold(1));
        }
        let edit =
            ledger.edit(&[line(A, 7), line(d, 2), line(e, 3)], |line| line.source == e, |source| source == c);
        assert_eq!(edit, Edit { block: vec![line(d, 2)], lift: vec![B], exempt: vec![e] });
    }

    #[test]
    fn who_is_never_blocked_is_lifted_and_left_out() {
        let mut ledger = Ledger::default();
        let c = IpAddr::from([192, 0, 2, 3]);
        let lines = [line(A, 1), line(c, 1)];
        let then = ledger.take_over(Some(&lines), &map([standing(A, true), standing(B, true)]), |_| true);
        let lift = vec![line(c, 1), line(A, 9), line(B, 9)];
        assert_eq!(then, TakeOver { lift, ..TakeOver::default() });
        assert!(ledger.is_empty());
    }
}
