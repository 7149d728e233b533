//! Recognises lines of the log and the files by their source.

use std::net::IpAddr;

use regex::Regex;

/// Whether `line` names `source` itself, not an address that contains its text.
pub fn mentions(line: &str, source: IpAddr) -> bool {
    let name = source.to_string();
    let is_part = |character: char| character.is_ascii_hexdigit() || ":.".contains(character);
    line.match_indices(&name).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let mut after = line[at + name.len()..].chars();
        let next = after.next();
        // A colon or full stop may end the address as punctuation.
        let goes_on = next.is_some_and(is_part)
            && (next.is_some_and(|next| next.is_ascii_hexdigit()) || after.next().is_some_and(is_part));
        !before.is_some_and(is_part) && !goes_on
    })
}

/// Whether `line` is a record in 1.2's format, as in the blocked file and the history: `source` and its action
/// `done`.
pub fn classic_record(line: &str, source: IpAddr, (port, protocol, done): (u16, &str, &str)) -> bool {
    let form = Regex::new(r"^\d+ - \d{2}/\d{2}/\d{4} \d{2}:\d{2}:\d{2} (.*)$").expect("a regular expression");
    form.captures(line)
        .is_some_and(|found| found[1] == format!("Host: {source}/{source} Port: {port} {protocol} {done}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_not_another_that_begins_or_ends_like_it() {
        for (line, address, expected) in [
            ("from host: 192.0.2.10/192.0.2.10 to", "192.0.2.10", true),
            ("from host: 192.0.2.101/192.0.2.101 to", "192.0.2.10", false),
            ("ALL: [2001:db8::2] : DENY", "2001:db8::2", true),
            ("ALL: 192.0.2.10: DENY", "192.0.2.10", true),
            ("so it was 192.0.2.10.", "192.0.2.10", true),
            ("2001:db8::2:1", "2001:db8::2", false),
            ("2001:db8::2", "db8::2", false),
        ] {
            assert_eq!(mentions(line, address.parse().unwrap()), expected, "{address} in {line}");
        }
    }
}
