//! A host's name that is safe to write anywhere.

use std::{fmt, sync::Arc};

/// Maximum length of a DNS name (RFC 1035 section 2.3.4), without the final dot.
const LONGEST: usize = 253;
const LONGEST_LABEL: usize = 63;

/// A host name: letters, digits, hyphens, underscores, and dots between them.
///
/// It contains no character with a special meaning to a terminal, a log's reader or a shell. It never starts with a
/// hyphen, so that no program takes it for an option. Its last label does not start with a digit (RFC 1123 section
/// 2.1), so that it can't be mistaken for an address.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Name(Arc<str>);

/// The text is not a host name. It is not shown, because it may be hostile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a host's name")]
pub struct NotAName;

impl Name {
    /// Reads a name, with or without the final dot.
    pub fn new(text: &[u8]) -> Result<Self, NotAName> {
        let text = text.strip_suffix(b".").unwrap_or(text);
        let is_plain = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
        let is_label = |label: &[u8]| {
            (1..=LONGEST_LABEL).contains(&label.len())
                && !label.starts_with(b"-")
                && label.iter().all(is_plain)
        };
        let ends_like_an_address = text
            .rsplit(|b| *b == b'.')
            .next()
            .is_some_and(|last| last.first().is_some_and(u8::is_ascii_digit));
        let is_name =
            text.len() <= LONGEST && text.split(|b| *b == b'.').all(is_label) && !ends_like_an_address;
        let text = std::str::from_utf8(text).map_err(|_| NotAName)?;
        if is_name { Ok(Self(text.into())) } else { Err(NotAName) }
    }

    /// Returns the name, without the final dot.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_names_are_names() {
        let label = "a".repeat(63);
        let longest = format!("{label}.{label}.{label}.{}", &label[2..]);
        for (text, is_name) in [
            ("host", true),
            ("host.example.org.", true),
            ("Mail-1_x.example.org", true),
            ("9.8.dsl.example.org", true),
            ("xn--bcher-kva.example", true),
            (&longest, true),
            (&format!("{longest}."), true),
            (&format!("{longest}a"), false),
            (&format!("{label}a.org"), false),
            ("", false),
            (".", false),
            ("host..org", false),
            (".host", false),
            ("host..", false),
            ("-rf.example.org", false),
            ("a.-b", false),
            ("192.0.2.9", false),
            ("host.0x7f", false),
            ("2001:db8::9", false),
            ("a b", false),
            ("a/b", false),
            ("a%s", false),
            ("host.example.org\n", false),
            ("host\"; reboot", false),
            ("$(reboot).example.org", false),
            ("a\u{1b}[2Jb.example.org", false),
            ("a\\032b.example.org", false),
            ("bücher.example", false),
            ("a\0b", false),
        ] {
            let name = Name::new(text.as_bytes());
            assert_eq!(name.is_ok(), is_name, "{text:?}");
            assert!(name.is_err() || name.is_ok_and(|name| name.to_string() == text.trim_end_matches('.')));
        }
        assert_eq!(Name::new(b"a\xffb"), Err(NotAName));
    }

    proptest! {
        #[test]
        fn nothing_but_a_name_gets_through(bytes: Vec<u8>) {
            if let Ok(name) = Name::new(&bytes) {
                check(name.as_str())?;
            }
        }

        #[test]
        fn nothing_like_a_name_but_a_name_gets_through(text in r#"([a-z0-9._-]|[ \n\t'"$;\\\x1b]|.){0,8}[a-z0-9.]{0,4}"#) {
            if let Ok(name) = Name::new(text.as_bytes()) {
                check(name.as_str())?;
            }
        }
    }

    fn check(name: &str) -> Result<(), TestCaseError> {
        prop_assert!((1..=253).contains(&name.len()));
        prop_assert!(name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)));
        prop_assert!(!name.starts_with('-') && !name.ends_with('.'));
        prop_assert!(name.parse::<IpAddr>().is_err());
        Ok(())
    }
}
