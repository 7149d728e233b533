//! Changes single settings in the text of a configuration file. All other text stays byte for byte: comments,
//! order, line ends, and lines without a setting.

use super::lexer::{Entry, Value, entries};

/// Returns the value of `key` in `text`, or `None` if no line sets it. The first line takes precedence, as in
/// [`super::Config::parse`].
#[must_use]
pub fn get<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    find(text, key).map(|found| found.value)
}

/// Returns `text` with `key` set to `value`, in the line that sets it or in a new one at the end. `value` must
/// contain neither quotes nor line ends.
#[must_use]
pub fn set(text: &str, key: &str, value: &str) -> String {
    if let Some(found) = find(text, key) {
        let (before, rest) = text.split_at(found.start);
        return [before, value, &rest[found.value.len()..]].concat();
    }
    let end = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let gap = if text.is_empty() || text.ends_with('\n') { "" } else { end };
    format!("{text}{gap}{key}=\"{value}\"{end}")
}

/// Returns `text` without the line that sets `key`.
#[must_use]
pub fn unset(text: &str, key: &str) -> String {
    let Some(found) = find(text, key) else { return text.to_owned() };
    let lines = text.split_inclusive('\n').zip(1..);
    lines.filter(|(_, number)| *number != found.line).map(|(line, _)| line).collect()
}

/// A line that sets a key.
struct Found<'a> {
    /// Number of the line, counted from 1.
    line: usize,
    /// The text between the quotes.
    value: &'a str,
    /// Offset of the value in the whole text, in bytes.
    start: usize,
}

fn find<'a>(text: &'a str, key: &str) -> Option<Found<'a>> {
    let (name, value) = entries(text).find_map(|entry| match entry {
        Entry::Setting { key: name, value: Value::Quoted { text, .. } } if name.text() == key => {
            Some((name, text))
        }
        _ => None,
    })?;
    let line = name.line.number;
    let mark =
        if line == 1 { text.strip_prefix('\u{feff}').map_or(0, |rest| text.len() - rest.len()) } else { 0 };
    let above: usize = text.split_inclusive('\n').take(line - 1).map(str::len).sum();
    Some(Found { line, value: value.text(), start: above + mark + value.range().start })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_setting_is_changed_where_it_stands() {
        for (text, expected) in [
            ("A=\"1\"\nBLOCK_TCP=\"0\" # why\nC=\"3\"", "A=\"1\"\nBLOCK_TCP=\"1\" # why\nC=\"3\""),
            ("  BLOCK_TCP = \"\"\r\nC=\"3\"\r\n", "  BLOCK_TCP = \"1\"\r\nC=\"3\"\r\n"),
            ("\u{feff}BLOCK_TCP=\"0\"\n", "\u{feff}BLOCK_TCP=\"1\"\n"),
            ("BLOCK_TCP=\"0\"\nBLOCK_TCP=\"2\"\n", "BLOCK_TCP=\"1\"\nBLOCK_TCP=\"2\"\n"),
            ("#BLOCK_TCP=\"0\"\nBLOCK_TCP=0\n", "#BLOCK_TCP=\"0\"\nBLOCK_TCP=0\nBLOCK_TCP=\"1\"\n"),
            ("A=\"1\"", "A=\"1\"\nBLOCK_TCP=\"1\"\n"),
            ("A=\"1\"\r\n", "A=\"1\"\r\nBLOCK_TCP=\"1\"\r\n"),
            ("", "BLOCK_TCP=\"1\"\n"),
        ] {
            assert_eq!(set(text, "BLOCK_TCP", "1"), expected);
        }
    }

    #[test]
    fn an_added_setting_is_taken_out_again() {
        for text in ["", "A=\"1\"\n", "A=\"1\"\r\n\r\n# the end\r\n"] {
            assert_eq!(unset(&set(text, "B", "2"), "B"), text);
        }
        assert_eq!(unset("A=\"1\"\nB=\"2\"\nC=\"3\"", "B"), "A=\"1\"\nC=\"3\"");
        assert_eq!(unset("A=\"1\"\n", "B"), "A=\"1\"\n");
    }

    proptest! {
        #[test]
        fn what_is_set_is_read(text in "([AB #=\"\r\n\u{feff}0é]|A=\"0\"|B = \"1\"\n){0,30}", value in "[0-9a-z ,]{0,9}") {
            let edited = set(&text, "A", &value);
            prop_assert_eq!(get(&edited, "A"), Some(value.as_str()));
            prop_assert_eq!(get(&edited, "B"), get(&text, "B"));
            if let Some(old) = get(&text, "A") {
                prop_assert_eq!(set(&edited, "A", old), text);
            }
        }
    }
}
