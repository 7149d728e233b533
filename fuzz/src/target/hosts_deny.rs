//! Edits of `hosts.deny`: portsentry's lines are added and removed, and other lines stay byte for byte.
//!
//! An input is the file, the lines to add, and the lines to remove, separated by two zero bytes each.

use std::collections::BTreeSet;

use portsentry::sink::hosts_deny::edit;

use crate::seeds::texts;

pub(super) fn check(data: &[u8]) {
    let mut parts = data.splitn(3, |byte| *byte == 0);
    let content = parts.next().unwrap_or_default();
    let [add, remove] = [parts.next(), parts.next()].map(|part| lines(part.unwrap_or_default()));
    // A source is never blocked and unblocked at the same time.
    let remove: BTreeSet<String> = remove.difference(&add).cloned().collect();
    let Some((new, added)) = edit(content, add.iter(), &remove) else {
        assert!(of(content).all(|line| !is_among(&remove, line)), "what is to go is gone");
        assert!(add.iter().all(|line| of(content).any(|other| other.trim_ascii() == line.as_bytes())));
        return;
    };
    let others = |content: &[u8]| -> Vec<Vec<u8>> {
        let kept = of(content).filter(|line| !is_among(&remove, line) && !is_among(&add, line));
        kept.filter(|line| !line.is_empty()).map(<[u8]>::to_vec).collect()
    };
    assert_eq!(others(content), others(&new), "other lines stay unchanged");
    for line in &add {
        let count =
            |content: &[u8]| of(content).filter(|other| other.trim_ascii() == line.as_bytes()).count();
        assert_eq!(
            count(&new),
            count(content).max(1),
            "each line of portsentry is there, and is never added twice"
        );
        assert_eq!(added.contains(line), count(content) == 0);
    }
    assert!(of(&new).all(|line| !is_among(&remove, line)), "what is to go is gone");
    assert!(added.is_empty() || new.ends_with(b"\n"));
    assert_eq!(edit(&new, add.iter(), &remove), None, "nothing is left to do");
}

/// Returns lines in the form that the settings produce: one line each, not blank, trimmed.
fn lines(text: &[u8]) -> BTreeSet<String> {
    let text = String::from_utf8_lossy(text);
    let lines = text.split('\n').map(|line| line.trim_matches(|c: char| c.is_ascii_whitespace()).to_owned());
    lines.filter(|line| !line.is_empty()).collect()
}

fn of(content: &[u8]) -> impl Iterator<Item = &[u8]> {
    content.split(|byte| *byte == b'\n')
}

fn is_among(lines: &BTreeSet<String>, line: &[u8]) -> bool {
    lines.iter().any(|other| other.as_bytes() == line.trim_ascii())
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    texts(&[
        "",
        "# mine\nsshd: .example.net\n\0ALL: 192.0.2.9 : DENY\nALL: [2001:db8::9] : DENY\0",
        "ALL: 192.0.2.9 : DENY\nsshd: x, \\\n\0ALL: 192.0.2.8\0ALL: 192.0.2.9 : DENY",
        " ALL: a\t\r\nx\0ALL: a\0x",
    ])
}
