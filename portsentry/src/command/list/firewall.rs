//! A list for other firewalls: sets of nftables and of ipset, with the remaining time of each entry.

use std::{collections::BTreeMap, fmt::Write, time::SystemTime};

use ipnet::IpNet;

use crate::{inspect::held::Listed, instant::Time, policy::name_of};

/// Maximum time of an entry of ipset in seconds (ipset(8)).
const LONGEST_OF_IPSET: u64 = 2_147_483;
/// Maximum number of entries of an ipset, which grows as needed.
const ROOM: u32 = 1 << 24;
/// Entries in a line for nft.
const IN_A_LINE: usize = 256;

/// An entry: a network, and the remaining seconds unless it is permanent.
type Entry = (IpNet, Option<u64>);

/// Returns a script for `nft -f`, which replaces the contents of two sets.
pub(super) fn nft(sources: &[Listed], now: Time) -> String {
    let entries = disjoint(sources, now);
    let mut text = format!("#!/usr/sbin/nft -f\n# {}\nadd table inet portsentry\n", heading(&entries, now));
    for (name, kind, is_v4) in [("sources_v4", "ipv4_addr", true), ("sources_v6", "ipv6_addr", false)] {
        let set = format!("inet portsentry {name}");
        // Writing to a string never fails.
        let _ = writeln!(text, "add set {set} {{ type {kind}; flags interval, timeout; }}\nflush set {set}");
        let of: Vec<String> = family(&entries, is_v4)
            .map(|(network, left)| match left {
                Some(seconds) => format!("{} timeout {seconds}s", name_of(*network)),
                None => name_of(*network),
            })
            .collect();
        for some in of.chunks(IN_A_LINE) {
            let _ = writeln!(text, "add element {set} {{ {} }}", some.join(", "));
        }
    }
    text
}

/// Returns lines for `ipset restore`, which replace the contents of two sets at once.
pub(super) fn ipset(sources: &[Listed], now: Time) -> String {
    let entries = disjoint(sources, now);
    let mut text = format!("# {}\n", heading(&entries, now));
    for (name, kind, is_v4) in [("portsentry_v4", "inet", true), ("portsentry_v6", "inet6", false)] {
        let form = format!("hash:net family {kind} timeout 0 maxelem {ROOM}");
        let new = format!("{name}_new");
        let _ = writeln!(text, "create {name} {form} -exist\ncreate {new} {form} -exist\nflush {new}");
        for (network, left) in family(&entries, is_v4) {
            let seconds = left.unwrap_or_default().min(LONGEST_OF_IPSET);
            let _ = writeln!(text, "add {new} {} timeout {seconds}", name_of(*network));
        }
        let _ = writeln!(text, "swap {new} {name}\ndestroy {new}");
    }
    text
}

fn heading(entries: &BTreeMap<IpNet, Option<u64>>, now: Time) -> String {
    let time = crate::instant::universal(now.0);
    format!("{} sources blocked or fenced by portsentry at {time}", entries.len())
}

fn family(
    entries: &BTreeMap<IpNet, Option<u64>>,
    is_v4: bool,
) -> impl Iterator<Item = (&IpNet, &Option<u64>)> {
    entries.iter().filter(move |(network, _)| network.addr().is_ipv4() == is_v4)
}

/// Returns the entries that no wider one contains, because intervals of nftables must not overlap. Expired ones are
/// left out.
fn disjoint(sources: &[Listed], now: Time) -> BTreeMap<IpNet, Option<u64>> {
    let mut entries: BTreeMap<IpNet, Option<u64>> = BTreeMap::new();
    // A network sorts before the networks and hosts that it contains.
    let mut sorted: Vec<Entry> = sources.iter().filter_map(|source| entry(source, now.0)).collect();
    sorted.sort_unstable_by_key(|(network, _)| *network);
    for (network, left) in sorted {
        let wider = entries.last_key_value().is_some_and(|(last, _)| last.contains(&network));
        if !wider {
            entries.insert(network, left);
        }
    }
    entries
}

fn entry(source: &Listed, now: SystemTime) -> Option<Entry> {
    let left = match source.until {
        None => None,
        // Rounded up, as 0 would be permanent.
        Some(until) => Some(until.0.duration_since(now).ok()?.as_secs() + 1),
    };
    Some((source.address.trunc(), left))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{super::tests::fenced, *};

    fn listed() -> (Vec<Listed>, Time) {
        let network = Listed { address: "198.51.100.0/24".parse().unwrap(), until: None, ..fenced("::") };
        let prefix = Listed { address: "2001:db8::/64".parse().unwrap(), ..fenced("::") };
        let inside = fenced("198.51.100.7");
        let over = Listed { until: Some(Time(SystemTime::UNIX_EPOCH)), ..fenced("192.0.2.1") };
        (
            vec![inside, fenced("192.0.2.9"), network, prefix, over],
            Time(SystemTime::UNIX_EPOCH + Duration::from_secs(1)),
        )
    }

    #[test]
    fn entries_never_overlap() {
        let (sources, now) = listed();
        let text = nft(&sources, now);
        assert!(
            text.contains(
                "add element inet portsentry sources_v4 { 192.0.2.9 timeout 300s, 198.51.100.0/24 }\n"
            ),
            "{text}"
        );
        assert!(
            text.contains("add element inet portsentry sources_v6 { 2001:db8::/64 timeout 300s }\n"),
            "{text}"
        );
    }

    #[test]
    fn a_set_is_replaced_at_once() {
        let (sources, now) = listed();
        let text = ipset(&sources, now);
        let adds: Vec<_> = text.lines().filter(|line| line.starts_with("add ")).collect();
        let expected = [
            "add portsentry_v4_new 192.0.2.9 timeout 300",
            "add portsentry_v4_new 198.51.100.0/24 timeout 0",
            "add portsentry_v6_new 2001:db8::/64 timeout 300",
        ];
        assert_eq!(adds, expected);
        assert!(
            text.ends_with("swap portsentry_v6_new portsentry_v6\ndestroy portsentry_v6_new\n"),
            "{text}"
        );
    }
}
