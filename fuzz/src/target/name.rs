//! DNS names: an accepted name is harmless to a terminal, a shell, or a log's reader.

use std::net::IpAddr;

use portsentry::sink::resolver::Name;

use crate::seeds::texts;

pub(super) fn check(data: &[u8]) {
    let Ok(name) = Name::new(data) else { return };
    let text = name.as_str();
    assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)), "{text}");
    assert!((1..=253).contains(&text.len()) && !text.starts_with(['-', '.']));
    assert!(text.parse::<IpAddr>().is_err());
    assert_eq!(Name::new(text.as_bytes()), Ok(name.clone()));
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    texts(&["host.example.org.", "_x-1.a", "192.0.2.9", "\u{1b}[2Ja", "-a.b", "a..b", "$(x).a"])
}
