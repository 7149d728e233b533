//! Checks whether the packet filter cuts connections that the kernel opens for an acknowledgement alone, without having
//! seen a SYN (`FENCE="open"`).

use std::{fs, process::Command};

use super::finding::Finding;

const ABOUT: &str = "fence";
/// Programs that print the rules. The kernel has both kinds, and a machine may use either.
const PRINTERS: [&[&str]; 3] = [&["nft", "list", "ruleset"], &["iptables-save"], &["ip6tables-save"]];
/// Whether connection tracking takes up connections without their SYN; there if it is loaded.
const PICKS_UP: &str = "/proc/sys/net/netfilter/nf_conntrack_tcp_loose";

/// Returns a warning if a rule does.
pub(super) fn finding() -> Option<Finding> {
    let picks_up = fs::read_to_string(PICKS_UP).map_or(true, |text| text.trim() != "0");
    PRINTERS.iter().find_map(|words| {
        // Where a program is missing, so are its rules.
        let printed = Command::new(words[0]).args(&words[1..]).output().ok()?.stdout;
        let printed = String::from_utf8_lossy(&printed);
        let rule = printed.lines().map(str::trim).find(|rule| cuts(rule, picks_up))?;
        Some(Finding::warning(
            ABOUT,
            format!("{} has a rule that cuts connections of fenced hosts to services: {rule}", words[0]),
            "remove it, or set FENCE=\"drop\"; with net.ipv4.tcp_syncookies=0 services answer SYNs themselves",
        ))
    })
}

/// Whether a rule of nftables or iptables drops segments that begin a connection in the eyes of connection tracking, but
/// are no SYNs. Such segments are invalid unless it `picks_up` connections.
fn cuts(rule: &str, picks_up: bool) -> bool {
    let rule = rule.to_ascii_lowercase();
    let is_dropped = rule.split([' ', ';']).any(|word| ["drop", "reject"].contains(&word));
    let has = |part: &str| rule.contains(part);
    let words: Vec<_> = rule.split_whitespace().collect();
    let of_state = |state: &str| {
        let asks = |before: &[&str]| matches!(before, [_, "--ctstate" | "--state"] | ["ct", "state"]);
        let mut asked = words.windows(3).filter(|three| asks(&three[..2]));
        asked.any(|three| three[2].split(',').any(|word| word == state))
    };
    let is_no_syn = has("tcp flags") && has("!= syn") || has("! --syn") || has("! --tcp-flags");
    is_dropped && (is_no_syn && of_state("new") || !picks_up && of_state("invalid"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_that_drop_what_is_new_but_no_syn_are_found() {
        for (rule, expected) in [
            ("tcp flags != syn ct state new drop", true),
            ("ct state new tcp flags & (fin | syn | rst | ack) != syn counter packets 0 bytes 0 drop", true),
            ("iifname \"eth0\" tcp flags & (syn | ack) != syn ct state new reject with tcp reset", true),
            (
                "-A INPUT -p tcp -m tcp ! --tcp-flags FIN,SYN,RST,ACK SYN -m conntrack --ctstate NEW -j DROP",
                true,
            ),
            ("-A INPUT -p tcp ! --syn -m state --state NEW -j DROP", true),
            ("ct state new tcp dport 22 accept", false),
            ("ct state established,related accept", false),
            ("tcp flags != syn ct state new accept", false),
            ("tcp flags == syn ct state new drop", false),
            ("-A INPUT -m conntrack --ctstate NEW -j DROP", false),
            ("policy drop;", false),
        ] {
            assert_eq!(cuts(rule, true), expected, "{rule}");
        }
    }

    #[test]
    fn invalid_segments_matter_where_connections_are_not_picked_up() {
        for rule in ["ct state invalid drop", "-A INPUT -m conntrack --ctstate INVALID -j DROP"] {
            assert!(cuts(rule, false) && !cuts(rule, true), "{rule}");
        }
        assert!(!cuts("ct state invalid counter", false));
    }
}
