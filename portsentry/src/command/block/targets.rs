//! What `block` and `unblock` are about: addresses of the command line, or a list from standard input.

use std::{
    collections::BTreeSet,
    io::{self, BufRead, IsTerminal, Write},
};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::{
    cli::{Target, network},
    policy::is_host,
};

/// Longest list from standard input.
const MOST: usize = 1_000_000;
/// Number of errors in a list that are shown.
const SHOWN: usize = 10;

/// Returns every address.
pub(super) fn everything() -> BTreeSet<IpNet> {
    [IpNet::V4(Ipv4Net::default()), IpNet::V6(Ipv6Net::default())].into()
}

/// Returns the networks that `targets` name; or the errors, one line each.
pub(super) fn read(targets: &[Target]) -> Result<BTreeSet<IpNet>, Vec<String>> {
    let mut networks: BTreeSet<IpNet> = targets.iter().filter_map(Target::network).map(canonical).collect();
    if targets.contains(&Target::Input) {
        networks.extend(list(io::stdin().lock())?);
    }
    Ok(networks)
}

/// Reads a list: an address or network on each line; the text behind white space, `#` or `;` is a comment.
fn list(input: impl BufRead) -> Result<BTreeSet<IpNet>, Vec<String>> {
    let (mut networks, mut errors) = (BTreeSet::new(), Vec::new());
    for (number, line) in (1..).zip(input.lines()) {
        let line = match line {
            Ok(line) => line,
            Err(error) => return Err(vec![format!("standard input, line {number}: {error}")]),
        };
        let end = line.trim_start().find(|c: char| c.is_whitespace() || c == '#' || c == ';');
        let entry = line.trim_start();
        let entry = end.map_or(entry, |end| &entry[..end]);
        if entry.is_empty() {
            continue;
        }
        match network(entry) {
            Ok(network) => drop(networks.insert(canonical(network))),
            Err(help) => {
                errors.push(format!("standard input, line {number}: \"{}\": {help}", entry.escape_debug()));
            }
        }
        if networks.len() > MOST {
            return Err(vec![format!("standard input has more than {MOST} entries: use BLOCK_LIST")]);
        }
    }
    if errors.len() > SHOWN {
        let more = errors.len() - SHOWN;
        errors.truncate(SHOWN);
        errors.push(format!("standard input: {more} more errors"));
    }
    if errors.is_empty() { Ok(networks) } else { Err(errors) }
}

/// Without the bits behind its length, and of IPv4 where it is an IPv4-mapped address.
fn canonical(network: IpNet) -> IpNet {
    let network = network.trunc();
    if is_host(network) { network.addr().to_canonical().into() } else { network }
}

/// Asks at the terminal whether everything is meant; an error says how to confirm without one.
pub(super) fn confirm(count: usize) -> Result<(), String> {
    if !io::stdin().is_terminal() {
        return Err("--all unblocks every source and network: --yes confirms it".into());
    }
    eprint!("Unblock all {count} sources and networks? [y/N] ");
    let mut answer = String::new();
    let read = io::stderr().flush().and_then(|()| io::stdin().read_line(&mut answer));
    match read {
        Ok(_) if ["y", "yes"].contains(&answer.trim().to_lowercase().as_str()) => Ok(()),
        Ok(_) => Err("nothing was changed".into()),
        Err(error) => Err(format!("reading the answer: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_has_an_entry_a_line() {
        let text =
            "# a list\n\n192.0.2.9 a comment\n  198.51.100.0/24;x\n2001:db8::/32# y\n::ffff:192.0.2.9\n";
        let read: Vec<String> = list(text.as_bytes()).unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(read, ["192.0.2.9/32", "198.51.100.0/24", "2001:db8::/32"]);
    }

    #[test]
    fn every_wrong_line_is_named() {
        let errors = list("192.0.2.9\nhost.example\n10.0.0.0/33\n".as_bytes()).unwrap_err();
        assert_eq!(errors.len(), 2, "{errors:?}");
        assert!(
            errors[0].starts_with("standard input, line 2: \"host.example\": write 192.0.2.7"),
            "{errors:?}"
        );
        assert!(errors[1].contains("line 3"), "{errors:?}");
        assert_eq!(list("x\n".repeat(15).as_bytes()).unwrap_err().len(), SHOWN + 1);
    }
}
