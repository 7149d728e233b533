//! Sets of ports, and their notation: `1,11,512-515`.

use std::{fmt, ops::RangeInclusive};

use super::{report::Report, span::Span};

const WORDS: usize = 1024;

/// A set of ports as a bitmap of 65,536 bits, laid out as the kernel program reads it.
#[derive(Clone, PartialEq, Eq)]
pub struct PortSet {
    words: Box<[u64; WORDS]>,
}

impl Default for PortSet {
    fn default() -> Self {
        Self { words: Box::new([0; WORDS]) }
    }
}

impl PortSet {
    /// The empty set.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether `port` is in the set.
    #[must_use]
    pub fn contains(&self, port: u16) -> bool {
        let (word, bit) = place(port);
        self.words[word] & bit != 0
    }

    /// Adds `port`.
    pub fn insert(&mut self, port: u16) {
        let (word, bit) = place(port);
        self.words[word] |= bit;
    }

    /// Removes `port`.
    pub fn remove(&mut self, port: u16) {
        let (word, bit) = place(port);
        self.words[word] &= !bit;
    }

    /// Adds all ports of `range`; none if it is empty.
    pub fn insert_range(&mut self, range: RangeInclusive<u16>) {
        let (first, last) = (usize::from(*range.start()), usize::from(*range.end()));
        if range.is_empty() {
            return;
        }
        for word in first / 64..=last / 64 {
            let low = first.max(word * 64) % 64;
            let high = last.min(word * 64 + 63) % 64;
            self.words[word] |= (u64::MAX << low) & (u64::MAX >> (63 - high));
        }
    }

    /// Returns the ports of this set that are not in `other`.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        let mut words = self.words.clone();
        words.iter_mut().zip(other.words.iter()).for_each(|(word, out)| *word &= !out);
        Self { words }
    }

    /// Returns the number of ports in the set.
    #[must_use]
    pub fn len(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Whether the set is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.words.iter().all(|&word| word == 0)
    }

    /// Returns the ports, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u16> {
        (0..=u16::MAX).step_by(64).zip(self.words.iter()).flat_map(|(first, &word)| {
            (0..64).filter(move |bit| word >> bit & 1 == 1).map(move |bit| first + bit)
        })
    }

    /// Returns the ports as the fewest ranges, ascending.
    #[must_use]
    pub fn ranges(&self) -> Vec<RangeInclusive<u16>> {
        let mut ranges: Vec<RangeInclusive<u16>> = Vec::new();
        for port in self.iter() {
            match ranges.last_mut() {
                Some(last) if last.end().checked_add(1) == Some(port) => *last = *last.start()..=port,
                _ => ranges.push(port..=port),
            }
        }
        ranges
    }

    /// Returns the bitmap: a port is bit `port % 64` of word `port / 64`, in host byte order.
    #[must_use]
    pub fn words(&self) -> &[u64; WORDS] {
        &self.words
    }
}

fn place(port: u16) -> (usize, u64) {
    (usize::from(port / 64), 1 << (port % 64))
}

impl FromIterator<u16> for PortSet {
    fn from_iter<I: IntoIterator<Item = u16>>(ports: I) -> Self {
        let mut set = Self::new();
        ports.into_iter().for_each(|port| set.insert(port));
        set
    }
}

/// Formats the value as in the configuration: `1,11,512-515`.
impl fmt::Display for PortSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for range in self.ranges() {
            write!(f, "{separator}{}", range.start())?;
            if range.start() != range.end() {
                write!(f, "-{}", range.end())?;
            }
            separator = ",";
        }
        Ok(())
    }
}

impl fmt::Debug for PortSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PortSet({self})")
    }
}

/// Reads a port list: numbers from 1 to 65535 and, as in 2.x, inclusive ranges, separated by commas.
pub(super) fn list(value: Span<'_>, report: &mut Report) -> PortSet {
    let mut set = PortSet::new();
    for entry in value.split(',') {
        if entry.is_empty() {
            // 1.2 skips them, so files with superfluous commas exist.
            report.warn(entry, "there is no port between these commas");
        } else if let Some((first, last)) = entry.split_once('-') {
            let (first, last) = (port(first.trim(), report), port(last.trim(), report));
            let (Some(first), Some(last)) = (first, last) else { continue };
            if first > last {
                let message = format!("the range {first}-{last} is reversed");
                report.error(entry, message).help(format!("write {last}-{first}"));
            }
            set.insert_range(first..=last);
        } else if let Some(port) = port(entry, report) {
            set.insert(port);
        }
    }
    set
}

fn port(span: Span<'_>, report: &mut Report) -> Option<u16> {
    let text = span.text();
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        let message = format!("\"{}\" is not a port number", text.escape_debug());
        report.error(span, message).help("write a list as \"1,11,512-515\"");
        return None;
    }
    let port = text.parse().ok().filter(|&port| port != 0);
    if port.is_none() {
        report.error(span, format!("there is no port {text}: ports are 1 to 65535"));
    }
    port
}

#[cfg(test)]
mod tests;
