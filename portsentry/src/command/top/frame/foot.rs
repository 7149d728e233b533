//! The lines below the sources: the keys, a question, or a message.

use ratatui::{style::Style, text::Line};

use super::super::{
    fit::flow,
    screen::Prompt,
    style::{bold, dim, line, warning},
};
use crate::{policy::name_of, sanitize::sanitize};

/// The keys, most important first.
const KEYS: [&str; 7] = ["q quits", "? keys", "s sort", "/ filter", "u unblock", "p pause", "tab figures"];

const HELP: [(&str, &str); 12] = [
    ("q, Ctrl-C", "quit"),
    ("up, down, j, k", "select a source"),
    ("PgUp, PgDn", "scroll a page"),
    ("Home, End", "first, last source"),
    ("s", "next sort order"),
    ("r", "reverse the order"),
    ("/", "filter: address, network, port, kind, state"),
    ("u", "unblock the selected source"),
    ("p, space", "pause, continue"),
    ("Tab", "figures: rates, kinds, ports, fill levels"),
    ("Esc", "back; without a selection or filter, quit"),
    ("?", "these keys"),
];

/// Returns the lines, at most `most`.
pub(super) fn lines(prompt: &Prompt, filter: &str, width: usize, most: usize) -> Vec<Line<'static>> {
    let (text, style) = match prompt {
        Prompt::None => {
            let keys = KEYS.map(|key| ([key.to_owned(), String::new()], dim()));
            return flow(&keys, width, 1).into_iter().map(line).collect();
        }
        Prompt::Filter => (format!("filter (Enter keeps it, Esc removes it): {filter}_"), bold()),
        Prompt::Confirm(address) => (format!("Unblock {}? y/n", name_of(*address)), bold()),
        Prompt::Busy(address) => (format!("unblocking {} ...", name_of(*address)), Style::new()),
        Prompt::Message(message) => (message.clone(), warning()),
    };
    let mut wrapped: Vec<String> = text.lines().flat_map(|line| wrapped(&sanitize(line), width)).collect();
    if wrapped.len() > most.max(1) {
        wrapped.truncate(most.max(1).saturating_sub(1));
        wrapped.push("...".into());
    }
    wrapped.into_iter().map(|text| Line::styled(text, style)).collect()
}

/// Returns the explanation of all keys.
pub(super) fn help(width: usize) -> Vec<Line<'static>> {
    let room = HELP.iter().map(|(keys, _)| keys.len()).max().unwrap_or_default();
    let both = |(keys, meaning): (&str, &str)| {
        let meaning = wrapped(meaning, width.saturating_sub(room + 2).max(1));
        let keys = std::iter::once(keys).chain(std::iter::repeat(""));
        keys.zip(meaning)
            .map(|(keys, meaning)| Line::raw(format!("{keys:room$}  {meaning}")))
            .collect::<Vec<_>>()
    };
    std::iter::once(Line::default()).chain(HELP.into_iter().flat_map(both)).collect()
}

/// Breaks a line between words, and inside a word only if the word is longer than a line.
pub(super) fn wrapped(text: &str, width: usize) -> Vec<String> {
    let width = width.max(1);
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let mut letters: Vec<char> = word.chars().collect();
        let used = lines.last().map_or(0, |line| line.chars().count());
        if used > 0 && used + 1 + letters.len() > width {
            lines.push(String::new());
        } else if used > 0 {
            lines.last_mut().into_iter().for_each(|line| line.push(' '));
        }
        while letters.len() > width {
            let rest = letters.split_off(width);
            lines.last_mut().into_iter().for_each(|line| line.extend(&letters));
            lines.push(String::new());
            letters = rest;
        }
        lines.last_mut().into_iter().for_each(|line| line.extend(&letters));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_between_words() {
        for (width, expected) in [
            (40, vec!["192.0.2.9: unblocked, with 12 entries"]),
            (20, vec!["192.0.2.9:", "unblocked, with 12", "entries"]),
            (6, vec!["192.0.", "2.9:", "unbloc", "ked,", "with", "12", "entrie", "s"]),
        ] {
            assert_eq!(wrapped("192.0.2.9: unblocked, with 12 entries", width), expected);
        }
    }
}
