//! `INTERFACES`: the network interfaces to watch, by the keywords of 2.x's `-i` or by name.

use std::fmt;

use super::{report::Report, span::Span};

/// Longest alternative name of an interface: the kernel's `ALTIFNAMSIZ` minus the terminating zero.
const LONGEST_NAME: usize = 127;

/// The interfaces to watch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Interfaces {
    /// `ALL` (or `any`): all interfaces.
    All,
    /// `ALL_NLO`: all interfaces except loopback.
    AllButLoopback,
    /// These, without duplicates, in the order written.
    Named(Vec<String>),
}

/// Formats the value as in the configuration.
impl fmt::Display for Interfaces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("ALL"),
            Self::AllButLoopback => f.write_str("ALL_NLO"),
            Self::Named(names) => f.write_str(&names.join(",")),
        }
    }
}

fn word(text: &str) -> Option<Interfaces> {
    match text {
        "ALL" | "any" => Some(Interfaces::All),
        "ALL_NLO" => Some(Interfaces::AllButLoopback),
        _ => None,
    }
}

pub(super) fn list(value: Span<'_>, report: &mut Report) -> Interfaces {
    let mut names: Vec<String> = Vec::new();
    if let Some(all) = word(value.trim().text()) {
        return all;
    }
    for entry in value.split(',') {
        let name = entry.text();
        if word(name).is_some() {
            report.error(entry, format!("{name} can't be combined with other names"));
        } else if !is_name(name) {
            let message = format!("\"{}\" can't be the name of an interface", name.escape_debug());
            report.error(entry, message).help("`ip link` shows their names");
        } else if !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
    }
    Interfaces::Named(names)
}

/// Whether the kernel accepts the text as a name (`dev_valid_name`) or an alternative name.
fn is_name(name: &str) -> bool {
    (1..=LONGEST_NAME).contains(&name.len())
        && ![".", ".."].contains(&name)
        && !name.contains(|c: char| c == '/' || c == ':' || c.is_ascii_whitespace())
}

#[cfg(test)]
mod tests {
    use super::super::span::lines;
    use super::*;

    fn read(text: &str) -> (String, Vec<String>) {
        let mut report = Report::new("test");
        let interfaces = list(lines(text).next().unwrap(), &mut report);
        (interfaces.to_string(), report.iter().map(|d| d.text().to_owned()).collect())
    }

    #[test]
    fn words_and_names() {
        for (text, expected) in [
            ("ALL", "ALL"),
            ("any", "ALL"),
            (" ALL_NLO ", "ALL_NLO"),
            ("eth0", "eth0"),
            ("eth0, br-lan,eth0,eth0.7", "eth0,br-lan,eth0.7"),
        ] {
            assert_eq!(read(text), (expected.into(), vec![]), "{text:?}");
        }
    }

    #[test]
    fn what_is_no_interface() {
        for (text, faults) in [("eth0,ALL", &["ALL"] as &[_]), ("a b,../x,,ok", &["a b", "../x", ""])] {
            assert_eq!(read(text).1, faults, "{text:?}");
        }
        let long = |length| "x".repeat(length);
        assert_eq!(read(&long(127)), (long(127), vec![]), "an alternative name may be long");
        assert_eq!(read(&long(128)).1, [long(128)]);
    }
}
