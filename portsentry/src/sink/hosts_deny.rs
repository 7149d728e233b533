//! Edits `hosts.deny`: adds and removes PortSentry's lines, without changing others.

use std::collections::{BTreeSet, HashSet};

/// Returns the file's new content and the added lines of `add`, or `None` if nothing changes. A line that is
/// already there is not added again.
#[must_use]
pub fn edit<'a>(
    content: &[u8],
    add: impl Iterator<Item = &'a String>,
    remove: &BTreeSet<String>,
) -> Option<(Vec<u8>, Vec<String>)> {
    let remove: HashSet<&[u8]> = remove.iter().map(String::as_bytes).collect();
    let mut new = Vec::with_capacity(content.len());
    let mut present = HashSet::new();
    for line in content.split_inclusive(|byte| *byte == b'\n') {
        let text = line.trim_ascii();
        if !remove.contains(text) {
            present.insert(text);
            new.extend_from_slice(line);
        }
    }
    let mut added = Vec::new();
    for line in add {
        if present.insert(line.as_bytes()) {
            begin_line(&mut new);
            new.extend_from_slice(line.as_bytes());
            new.push(b'\n');
            added.push(line.clone());
        }
    }
    (new != content).then_some((new, added))
}

/// Terminates the text before the new line: a last line without a line end, or one that a backslash would continue
/// (`hosts_access(5)`).
fn begin_line(text: &mut Vec<u8>) {
    if !text.is_empty() && !text.ends_with(b"\n") {
        text.push(b'\n');
    }
    if text.ends_with(b"\\\n") {
        text.push(b'\n');
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn edited(content: &str, add: &[&str], remove: &[&str]) -> String {
        let owned = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>();
        let new = edit(content.as_bytes(), owned(add).iter(), &owned(remove).into_iter().collect());
        new.map_or_else(|| content.to_owned(), |(new, _)| String::from_utf8(new).unwrap())
    }

    #[test]
    fn lines_come_and_go() {
        for (what, content, add, remove, expected) in [
            ("a first line", "", &["ALL: a"][..], &[][..], "ALL: a\n"),
            ("another", "ALL: a\n", &["ALL: b"], &[], "ALL: a\nALL: b\n"),
            ("one that is there", "# x\nALL: a\n", &["ALL: a"], &[], "# x\nALL: a\n"),
            ("one that is indented there", "  ALL: a\t\n", &["ALL: a"], &[], "  ALL: a\t\n"),
            ("the same twice", "", &["ALL: a", "ALL: a"], &[], "ALL: a\n"),
            ("no end of line", "sshd: x", &["ALL: a"], &[], "sshd: x\nALL: a\n"),
            ("a continued line", "sshd: x, \\\n", &["ALL: a"], &[], "sshd: x, \\\n\nALL: a\n"),
            ("one taken out", "ALL: a\nALL: ab\n# ALL: a\n", &[], &["ALL: a"], "ALL: ab\n# ALL: a\n"),
            ("one replaced", "ALL: a\nx\n", &["ALL: b"], &["ALL: a"], "x\nALL: b\n"),
            ("one that isn't there", "x\n", &[], &["ALL: a"], "x\n"),
        ] {
            assert_eq!(edited(content, add, remove), expected, "{what}");
        }
    }

    #[test]
    fn only_new_lines_are_told() {
        let add = ["ALL: a".to_owned(), "ALL: b".to_owned()];
        let (_, added) = edit(b"ALL: a\n", add.iter(), &BTreeSet::new()).unwrap();
        assert_eq!(added, ["ALL: b"]);
        assert_eq!(edit(b"ALL: a\nALL: b\n", add.iter(), &BTreeSet::new()), None);
    }

    proptest! {
        #[test]
        fn other_peoples_lines_survive(content: Vec<u8>) {
            let line = ["ALL: 192.0.2.9 : DENY".to_owned()];
            let Some((new, _)) = edit(&content, line.iter(), &BTreeSet::new()) else { return Ok(()) };
            prop_assert!(new.starts_with(&content));
            // After PortSentry's line is removed, only the line ends that it needed remain.
            let (old, _) = edit(&new, [].iter(), &line.clone().into()).unwrap();
            prop_assert!(old.starts_with(&content) && old[content.len()..].iter().all(|byte| *byte == b'\n'));
        }
    }
}
