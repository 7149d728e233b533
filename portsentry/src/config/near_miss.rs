//! Finds lines that were meant to arm PortSentry and don't: a misspelt key, a value without quotes or in typographic
//! ones. They are errors, because a daemon that only observes looks much like one that blocks.

use super::{lexer::Value, report::Report, span::Span};

/// The settings that arm it.
const ARMING: [&str; 2] = ["BLOCK_TCP", "BLOCK_UDP"];
/// Maximum number of wrong letters in a near miss.
const LETTERS: usize = 2;
/// Maximum number of wrong letters in a name that errors propose.
const SIMILAR: usize = 3;
/// Words for yes, besides the value itself.
const YES: [&str; 7] = ["1", "y", "yes", "on", "true", "enable", "enabled"];
/// Quotation marks that are no part of a value.
const QUOTES: [char; 12] = [
    '"', '\'', '`', '\u{201c}', '\u{201d}', '\u{201e}', '\u{201f}', '\u{2018}', '\u{2019}', '\u{ab}',
    '\u{bb}', '\u{ff02}',
];

/// Returns the arming setting that a key means, also if it is misspelt.
pub(super) fn arming(key: &str) -> Option<&'static str> {
    within(LETTERS, &key.to_uppercase().replace('-', "_"), ARMING)
}

/// Returns the setting that an unknown one may mean.
#[must_use]
pub fn nearest(key: &str, settings: impl IntoIterator<Item = &'static str>) -> Option<&'static str> {
    within(SIMILAR, &key.to_ascii_uppercase(), settings)
}

/// Returns the name that is most like `key`, unless more than `letters` are wrong.
fn within(letters: usize, key: &str, names: impl IntoIterator<Item = &'static str>) -> Option<&'static str> {
    let distance = |name: &&str| strsim::osa_distance(key, name);
    names.into_iter().min_by_key(distance).filter(|name| distance(name) <= letters)
}

/// Whether a value means yes.
pub(super) fn arms(value: &str) -> bool {
    let value = value.trim().trim_matches(QUOTES).trim();
    YES.iter().any(|yes| value.eq_ignore_ascii_case(yes))
}

/// Returns the text of a value, whatever its quotes; up to a comment.
pub(super) fn text_of(value: Value<'_>) -> &str {
    match value {
        Value::Quoted { text, .. } => text.text(),
        Value::Unquoted(span) | Value::Unclosed(span) => span.text().split('#').next().unwrap_or_default(),
    }
}

/// Reports an unknown key that means an arming setting with a value that means yes; `false` if it is none.
pub(super) fn is_misspelt(key: Span<'_>, value: Value<'_>, report: &mut Report) -> bool {
    let Some(name) = arming(key.text()).filter(|_| arms(text_of(value))) else { return false };
    let message = format!("unknown setting {}: nothing is blocked by it", key.text());
    report.error(key, message).help(format!("write {name}=\"1\""));
    true
}

/// Reports a line that is no setting, but names an arming one and a value that means yes; `false` if it is none.
pub(super) fn is_no_setting(line: Span<'_>, report: &mut Report) -> bool {
    let text = line.text().split('#').next().unwrap_or_default();
    let words =
        || text.split(|c: char| c.is_whitespace() || c == '=' || c == ':').filter(|word| !word.is_empty());
    let name = words().take(2).find_map(arming);
    let Some(name) = name.filter(|_| words().count() <= 3 && words().next_back().is_some_and(arms)) else {
        return false;
    };
    let message = "this line is not a setting: nothing is blocked by it";
    report.error(line, message).help(format!("write {name}=\"1\""));
    true
}

#[cfg(test)]
mod tests {
    use super::super::Config;

    /// Returns whether a configuration is refused, and what its first finding says.
    fn finding(text: &str) -> (bool, String) {
        let text = format!("TCP_PORTS=\"1\"\n{text}\n");
        match Config::parse(&text, "test") {
            Ok((_, report)) => (false, report.to_string()),
            Err(report) => (true, report.to_string()),
        }
    }

    #[test]
    fn what_was_meant_to_arm_and_does_not_is_an_error() {
        for text in [
            "BLOK_TCP=\"1\"",
            "BLOCK_TPC=\"1\"",
            "block_tcp=\"1\"",
            "BLOCK-TCP=\"1\"",
            "BLOCK_TCP=1",
            "BLOCK_TCP=yes",
            "BLOCK_TCP='1'",
            "BLOCK_TCP=\u{201c}1\u{201d}",
            "BLOCK_TCP=\u{201e}1\u{201c} # arm it",
            "BLOCK_TCP=\"yes\"",
            "BLOCK_TCP=\"\u{201d}1\u{201d}\"",
            "BLOK_UDP=\"on\"",
            "BLOCK_UDP \"1\"",
            "BLOCK_UDP: 1",
            "export BLOCK_UDP=\"1\"",
            "set BLOCK_UDP 1",
            "BLOCK_TCP=\"0\"\nBLOCK_TCP=\"1\"",
        ] {
            let (is_refused, said) = finding(text);
            assert!(is_refused, "{text}: {said}");
        }
        assert!(finding("BLOK_TCP=\"1\"").1.contains("write BLOCK_TCP=\"1\""));
        assert!(finding("BLOCK_UDP \"1\"").1.contains("write BLOCK_UDP=\"1\""));
    }

    #[test]
    fn what_arms_nothing_is_a_warning_as_ever() {
        for text in [
            "BLOK_TCP=\"0\"",
            "BLOCK_TCP=0",
            "BLOCK_TCP=\u{201c}0\u{201d}",
            "BLOCK_LIST2=\"1\"",
            "UNKNOWN=\"1\"",
            "TCP_PORTS=1",
            "# BLOCK_TCP=1",
            "BLOCK_TCP=\"1\"\nBLOCK_TCP=\"1\"",
            "BLOCK_TCP=\"1\"\nBLOCK_TCP=\"0\"",
            "this is no setting of BLOCK_TCP at all: 1",
        ] {
            let (is_refused, said) = finding(text);
            assert!(!is_refused, "{text}: {said}");
        }
    }
}
