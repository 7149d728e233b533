//! Splits lines into settings: `KEY="value"` or `KEY = "value"`, as in both PortSentrys.

use super::span::{Span, lines};

/// A line that is neither blank nor a comment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry<'a> {
    /// `KEY = VALUE`.
    Setting {
        /// The key.
        key: Span<'a>,
        /// The text right of the equals sign.
        value: Value<'a>,
    },
    /// The whole line: it has no key, or no equals sign after it.
    NotASetting(Span<'a>),
}

/// The text right of the equals sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value<'a> {
    /// The text between the quotes, and the text after the closing one.
    Quoted {
        /// The text between the quotes.
        text: Span<'a>,
        /// The text behind the closing quote.
        rest: Span<'a>,
    },
    /// Something other than a quote.
    Unquoted(Span<'a>),
    /// An opening quote without a closing one: the text from the quote on.
    Unclosed(Span<'a>),
}

/// Returns the entries of a text.
pub fn entries(text: &str) -> impl Iterator<Item = Entry<'_>> {
    lines(text).map(Span::trim).filter(|line| !line.is_empty() && !line.text().starts_with('#')).map(entry)
}

fn entry(line: Span<'_>) -> Entry<'_> {
    let is_key = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let length = line.text().find(|c| !is_key(c)).unwrap_or(line.text().len());
    let (key, rest) = line.split_at(length);
    let rest = rest.trim_start();
    if key.is_empty() || !rest.text().starts_with('=') {
        return Entry::NotASetting(line);
    }
    Entry::Setting { key, value: value(rest.split_at(1).1.trim_start()) }
}

/// The value ends at the next quote, because neither PortSentry has an escape for one.
fn value(span: Span<'_>) -> Value<'_> {
    match span.text().strip_prefix('"') {
        None => Value::Unquoted(span),
        Some(_) => match span.split_at(1).1.split_once('"') {
            None => Value::Unclosed(span),
            Some((text, rest)) => Value::Quoted { text, rest: rest.trim() },
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn only(text: &str) -> Entry<'_> {
        let mut entries = entries(text);
        let first = entries.next().unwrap();
        assert_eq!(entries.next(), None);
        first
    }

    #[test]
    fn settings_in_every_spelling() {
        for (line, key, value, rest) in [
            ("A=\"b\"", "A", "b", ""),
            ("  A_1 \t=  \"b c\"  \r\n", "A_1", "b c", ""),
            ("A=\"\"", "A", "", ""),
            ("A=\"#b\" # c", "A", "#b", "# c"),
            ("A=\"b\"c\"", "A", "b", "c\""),
            ("A=\" b\\%c \"", "A", " b\\%c ", ""),
            ("# no\n\n \t# nor this\nA=\"b=\"", "A", "b=", ""),
        ] {
            let Entry::Setting { key: k, value: Value::Quoted { text, rest: r } } = only(line) else {
                panic!("{line:?} is a quoted setting");
            };
            assert_eq!((k.text(), text.text(), r.text()), (key, value, rest), "{line:?}");
        }
    }

    #[test]
    fn what_is_no_setting_and_no_quoted_value() {
        for line in ["A", "=\"b\"", "A B=\"c\"", "export A=\"b\"", "\u{e9}=\"b\"", "\"A\"=\"b\""] {
            assert!(matches!(only(line), Entry::NotASetting(s) if s.text() == line), "{line:?}");
        }
        for (line, value) in [("A=b", "b"), ("A='b'", "'b'"), ("A=", ""), ("A = b\"", "b\"")] {
            let found = only(line);
            assert!(
                matches!(found, Entry::Setting { value: Value::Unquoted(s), .. } if s.text() == value),
                "{line:?}"
            );
        }
        let found = only("A=\"b");
        assert!(matches!(found, Entry::Setting { value: Value::Unclosed(s), .. } if s.text() == "\"b"));
    }
}
