//! Edits the block list as an administrator would: line by line, without changing other lines.

use std::{cell::RefCell, collections::BTreeSet, path::Path};

use ipnet::IpNet;

use super::{
    Change,
    atomic_write::{self, MODE, WriteError},
};
use crate::config::block_list::network_of;

/// Adds `networks` to the list at `path`, or removes them. Returns those that needed a change. The file is replaced
/// as a whole or left alone.
pub fn edit_list(
    path: &Path,
    change: &Change,
    networks: &BTreeSet<IpNet>,
) -> Result<BTreeSet<IpNet>, WriteError> {
    let changed = RefCell::new(BTreeSet::new());
    atomic_write::update(path, MODE, |old| {
        let (new, done) = rewrite(old.unwrap_or_default(), change, networks);
        let is_new = !done.is_empty();
        changed.replace(done);
        is_new.then_some(new)
    })?;
    Ok(changed.into_inner())
}

fn rewrite(old: &[u8], change: &Change, networks: &BTreeSet<IpNet>) -> (Vec<u8>, BTreeSet<IpNet>) {
    let mut named = BTreeSet::new();
    let mut new = Vec::with_capacity(old.len());
    for line in old.split_inclusive(|byte| *byte == b'\n') {
        let meant = std::str::from_utf8(line).ok().and_then(network_of).filter(|it| networks.contains(it));
        named.extend(meant);
        if *change != Change::Unblock || meant.is_none() {
            new.extend_from_slice(line);
        }
    }
    if *change == Change::Unblock {
        return (new, named);
    }
    if new.last().is_some_and(|last| *last != b'\n') {
        new.push(b'\n');
    }
    let missing: BTreeSet<IpNet> = networks.difference(&named).copied().collect();
    for network in &missing {
        new.extend_from_slice(format!("{network}\n").as_bytes());
    }
    (new, missing)
}

#[cfg(test)]
mod tests {
    use super::{super::annotation::Annotation, *};

    #[test]
    fn only_the_lines_that_are_meant_change() {
        let net =
            |text: &str| text.split_whitespace().map(|it| it.parse().unwrap()).collect::<BTreeSet<IpNet>>();
        let old = "# mine\n192.0.2.0/24 # a reason\n2001:db8::/32\nnonsense";
        let block = Change::Block(Annotation::default());
        for (change, named, expected, changed) in [
            (&block, "192.0.2.0/24", old.to_owned(), ""),
            (&block, "10.0.0.0/8", format!("{old}\n10.0.0.0/8\n"), "10.0.0.0/8"),
            (
                &Change::Unblock,
                "192.0.2.0/24 10.0.0.0/8",
                "# mine\n2001:db8::/32\nnonsense".to_owned(),
                "192.0.2.0/24",
            ),
            (&Change::Unblock, "192.0.2.0/25", old.to_owned(), ""),
        ] {
            let (new, done) = rewrite(old.as_bytes(), change, &net(named));
            assert_eq!(done, net(changed), "{change:?} {named}");
            if !done.is_empty() {
                assert_eq!(String::from_utf8(new).unwrap(), expected, "{change:?} {named}");
            }
        }
    }
}
