//! The block list: hosts and networks that are blocked while the list names them, in the ignore file's syntax.

use std::{collections::BTreeSet, io::ErrorKind, net::IpAddr, path::Path};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::{
    Config, ignore::entry, load_error::LoadError, network::network, read::read_up_to, report::Report,
    span::lines,
};

/// Maximum size of a list in bytes: more than ten million lines.
pub(super) const LARGEST: u64 = 1 << 28;
/// Shortest IPv4 prefix that is accepted; a shorter one is probably a mistake.
const SHORTEST_V4: u8 = 8;
/// A shorter IPv6 prefix would contain the IPv4-mapped addresses (RFC 4291 section 2.5.5.2), which stand for IPv4 in
/// the kernel's map.
const SHORTEST_V6: u8 = 16;

/// The content of a block list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BlockList {
    /// Single addresses, sorted, without duplicates.
    pub hosts: Vec<IpAddr>,
    /// Networks.
    pub networks: BTreeSet<IpNet>,
}

impl BlockList {
    /// Whether the list contains this address itself.
    #[must_use]
    pub fn names(&self, source: IpAddr) -> bool {
        self.hosts.binary_search(&source).is_ok()
    }

    /// Returns the listed hosts in `network`.
    #[must_use]
    pub fn hosts_in(&self, network: &IpNet) -> &[IpAddr] {
        let first = self.hosts.partition_point(|host| *host < network.network());
        let end = self.hosts.partition_point(|host| *host <= network.broadcast());
        self.hosts.get(first..end).unwrap_or_default()
    }

    /// Whether the list is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.hosts.is_empty() && self.networks.is_empty()
    }
}

/// Reads a block list. Unreadable lines are errors, and so are networks that contain most hosts.
pub fn parse(text: &str, file: &str) -> Result<BlockList, Report> {
    let (list, report) = parse_valid(text, file);
    report.into_result(list).map(|(list, _)| list)
}

/// Reads the valid lines of a block list, and reports the others.
pub(super) fn parse_valid(text: &str, file: &str) -> (BlockList, Report) {
    let mut report = Report::new(file);
    let mut list = BlockList::default();
    for line in lines(text) {
        let entry = entry(line);
        // Spamhaus begins comments with a semicolon.
        if entry.is_empty() || entry.text().starts_with(';') {
            continue;
        }
        let Some(network) = network(entry, &mut report) else { continue };
        let longest = if network.addr().is_ipv4() { 32 } else { 128 };
        if network.prefix_len() == longest {
            list.hosts.push(network.addr());
        } else if let Some(problem) = is_too_much(&network) {
            report.error(entry, problem);
        } else {
            list.networks.insert(network);
        }
    }
    list.hosts.sort_unstable();
    list.hosts.dedup();
    (list, report)
}

/// Reads the block list at `path` if it can be trusted (see [`LoadError`]). The default one may be missing.
pub fn load(path: &Path) -> Result<BlockList, LoadError> {
    match read_up_to(path, LARGEST) {
        Ok(text) => Ok(parse(&text, &path.to_string_lossy())?),
        Err(LoadError::Io { source, .. })
            if source.kind() == ErrorKind::NotFound && path == Config::default().block_list =>
        {
            Ok(BlockList::default())
        }
        Err(error) => Err(error),
    }
}

/// Returns the network on a line of a block list.
#[must_use]
pub fn network_of(line: &str) -> Option<IpNet> {
    let line = lines(line).next()?;
    network(entry(line), &mut Report::new(""))
}

/// Describes a network that is too large to be meant.
#[must_use]
pub fn is_too_much(network: &IpNet) -> Option<String> {
    let mapped = Ipv6Net::new_assert(std::net::Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0), 96);
    let is_short = match network {
        IpNet::V4(network) => network.prefix_len() < SHORTEST_V4 || *network == Ipv4Net::default(),
        IpNet::V6(network) => network.prefix_len() < SHORTEST_V6 || network.contains(&mapped),
    };
    is_short.then(|| {
        format!(
            "{network} is too large to block: a prefix needs at least {SHORTEST_V4} bits, for IPv6 \
            {SHORTEST_V6}"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_networks_are_told_apart() {
        let text =
            "# a list\n192.0.2.7\n192.0.2.9/24 ; a comment\n2001:db8::1\n\n192.0.2.7/32\n2001:db8:1::/48\n";
        let list = parse(text, "list").unwrap();
        let hosts: Vec<IpAddr> = ["192.0.2.7", "2001:db8::1"].map(|text| text.parse().unwrap()).into();
        assert_eq!(list.hosts, hosts);
        assert!(list.names(hosts[0]) && !list.names([192, 0, 2, 9].into()));
        for (network, expected) in [
            ("192.0.2.0/24", &hosts[..1]),
            ("192.0.2.8/29", &[]),
            ("::/0", &hosts[1..]),
            ("0.0.0.0/0", &hosts[..1]),
        ] {
            assert_eq!(list.hosts_in(&network.parse().unwrap()), expected, "{network}");
        }
        assert_eq!(
            list.networks,
            ["192.0.2.0/24", "2001:db8:1::/48"].map(|text| text.parse().unwrap()).into()
        );
    }

    #[test]
    fn what_nobody_can_mean_is_an_error() {
        let text =
            "0.0.0.0/0\n::/0\n10.0.0.0/7\n10.0.0.0/8\n::/96\n::/80\n2001::/15\n2001::/16\nhost.example\n";
        let report = parse(text, "list").unwrap_err();
        let lines: Vec<_> = report.iter().map(super::super::report::Diagnostic::line).collect();
        assert_eq!(lines, [1, 2, 3, 6, 7, 9]);
    }
}
