//! The name servers in resolv.conf(5).

use std::{collections::BTreeSet, fs, net::IpAddr};

/// Files with name servers. The second has the real ones behind systemd-resolved's stub.
pub const RESOLVERS: [&str; 2] = ["/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"];

/// Returns the addresses of this host's name servers.
pub fn resolvers() -> BTreeSet<IpAddr> {
    let texts = RESOLVERS.iter().filter_map(|path| fs::read_to_string(path).ok());
    texts.flat_map(|text| nameservers(&text)).collect()
}

/// Returns the addresses after `nameserver`, without an interface after `%`.
fn nameservers(text: &str) -> Vec<IpAddr> {
    let lines = text.lines().filter_map(|line| line.trim_start().strip_prefix("nameserver"));
    let words = lines.filter(|rest| rest.starts_with(char::is_whitespace));
    let words = words.filter_map(|rest| rest.split_whitespace().next()?.split('%').next());
    words.filter_map(|word| word.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_servers_are_read_from_resolv_conf() {
        let text = "# a comment\nsearch example.org\nnameserver 192.0.2.53\n  nameserver\t2001:db8::53 # ours\n\
                    nameserver fe80::1%eth0\nnameservers 192.0.2.1\nnameserver\nnameserver nonsense";
        let expected: Vec<IpAddr> =
            ["192.0.2.53", "2001:db8::53", "fe80::1"].map(|text| text.parse().unwrap()).into();
        assert_eq!(nameservers(text), expected);
    }
}
