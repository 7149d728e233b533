//! Ports that this host's packet filter forwards elsewhere (DNAT, redirection), from `nft --json list ruleset` and
//! `iptables-save`. No local socket is bound to them, so that their clients look like scanners.

use std::{collections::BTreeSet, process::Command};

use portsentry_common::classify::Protocol;
use serde_json::Value;

/// A forwarded port.
pub(super) type Port = (u16, Protocol);
/// Maximum number of ports in one rule. A rule with more forwards a whole range, such as all ports to another host.
const MOST: usize = 4096;

/// Returns the forwarded ports, as far as the programs are installed that can list them.
pub(super) fn forwarded() -> BTreeSet<Port> {
    let mut ports = BTreeSet::new();
    ports.extend(output("nft", &["--json", "list", "ruleset"]).iter().flat_map(|text| in_nftables(text)));
    for program in ["iptables-save", "ip6tables-save"] {
        ports.extend(output(program, &["-t", "nat"]).iter().flat_map(|text| in_iptables(text)));
    }
    ports
}

/// Returns the program's output, or `None` if the program is missing or fails.
fn output(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Reads the output of `iptables-save`.
fn in_iptables(text: &str) -> BTreeSet<Port> {
    let mut ports = BTreeSet::new();
    for rule in text.lines().filter(|line| line.starts_with("-A ")) {
        let words: Vec<_> = rule.split_whitespace().collect();
        let after =
            |flags: &[&str]| words.windows(2).find(|pair| flags.contains(&pair[0])).map(|pair| pair[1]);
        if !after(&["-j"]).is_some_and(|target| ["DNAT", "REDIRECT"].contains(&target)) {
            continue;
        }
        let Some(protocol) = after(&["-p"]).and_then(protocol) else { continue };
        let ranges = after(&["--dport", "--dports", "--destination-port", "--destination-ports"]);
        for range in ranges.unwrap_or_default().split(',') {
            let (first, last) = range.split_once(':').unwrap_or((range, range));
            if let (Ok(first), Ok(last)) = (first.parse::<u16>(), last.parse::<u16>()) {
                ports.extend((first..=last).take(MOST).map(|port| (port, protocol)));
            }
        }
    }
    ports
}

/// Reads the output of `nft --json list ruleset` (libnftables-json(5)).
fn in_nftables(text: &str) -> BTreeSet<Port> {
    let Ok(ruleset) = serde_json::from_str::<Value>(text) else { return BTreeSet::new() };
    let objects = ruleset["nftables"].as_array().into_iter().flatten();
    objects.filter_map(|object| object["rule"]["expr"].as_array()).flat_map(|rule| in_rule(rule)).collect()
}

fn in_rule(statements: &[Value]) -> BTreeSet<Port> {
    let target = statements.iter().find_map(|statement| {
        let is_target = |xt: &Value| xt["name"] == "DNAT" || xt["name"] == "REDIRECT";
        let xt = statement.get("xt").filter(|xt| is_target(xt));
        statement.get("dnat").or_else(|| statement.get("redirect")).or(xt)
    });
    let Some(target) = target else { return BTreeSet::new() };
    let matches = statements.iter().filter_map(|statement| statement.get("match"));
    let mut ports: BTreeSet<_> =
        matches.flat_map(|it| with_protocol(&it["left"], &values(&it["right"]))).collect();
    // A map from ports to targets: `dnat to tcp dport map { 80 : 10.0.0.2 }`.
    for map in ["addr", "port"].iter().filter_map(|part| target[part].get("map")) {
        let pairs = map["data"]["set"].as_array().into_iter().flatten();
        let keys: Vec<u16> = pairs.flat_map(|pair| values(&pair[0])).collect();
        ports.extend(with_protocol(&map["key"], &keys));
    }
    ports
}

/// Returns the ports of an expression that reads the destination port. `th` stands for TCP and UDP.
fn with_protocol(left: &Value, ports: &[u16]) -> Vec<Port> {
    let payload = &left["payload"];
    if payload["field"] != "dport" {
        return Vec::new();
    }
    let protocols = match payload["protocol"].as_str() {
        Some("th") => vec![Protocol::Tcp, Protocol::Udp],
        name => name.and_then(protocol).into_iter().collect(),
    };
    protocols.iter().flat_map(|protocol| ports.iter().map(|port| (*port, *protocol))).collect()
}

/// Returns the ports of a value: a number, a set, or a range.
fn values(value: &Value) -> Vec<u16> {
    let number = |value: &Value| value.as_u64().and_then(|port| u16::try_from(port).ok());
    if let Some(port) = number(value) {
        return vec![port];
    }
    if let Some(set) = value["set"].as_array() {
        return set.iter().flat_map(values).collect();
    }
    match value["range"].as_array().map(Vec::as_slice) {
        Some([first, last]) => number(first)
            .zip(number(last))
            .map_or_else(Vec::new, |(first, last)| (first..=last).take(MOST).collect()),
        _ => Vec::new(),
    }
}

fn protocol(name: &str) -> Option<Protocol> {
    match name {
        "tcp" | "6" => Some(Protocol::Tcp),
        "udp" | "17" => Some(Protocol::Udp),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(ports: &BTreeSet<Port>) -> Vec<String> {
        ports.iter().map(|(port, protocol)| format!("{port}/{}", protocol.name())).collect()
    }

    #[test]
    fn rules_of_iptables() {
        let text = "*nat\n:PREROUTING ACCEPT [0:0]\n:DOCKER - [0:0]\n\
                    -A PREROUTING -i eth0 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 10.0.0.2:80\n\
                    -A PREROUTING -p udp -m multiport --dports 53,1000:1002 -j REDIRECT --to-ports 5353\n\
                    -A DOCKER ! -i docker0 -p tcp -m tcp --dport 443 -j DNAT --to-destination 172.17.0.2:443\n\
                    -A PREROUTING -p tcp -m tcp --dport 22 -j ACCEPT\n\
                    -A PREROUTING -p gre -j DNAT --to-destination 10.0.0.2\n\
                    -A POSTROUTING -o eth0 -j MASQUERADE\nCOMMIT\n";
        let expected = ["53/UDP", "443/TCP", "1000/UDP", "1001/UDP", "1002/UDP", "8080/TCP"];
        assert_eq!(shown(&in_iptables(text)), expected);
        assert!(in_iptables("nonsense\n-A\n-A x -j DNAT -p").is_empty());
    }

    #[test]
    fn rules_of_nftables() {
        let dport = |protocol: &str| serde_json::json!({"payload": {"protocol": protocol, "field": "dport"}});
        let matching = |protocol: &str, right: Value| serde_json::json!({"match": {"op": "==", "left": dport(protocol), "right": right}});
        let to = serde_json::json!({"dnat": {"addr": "10.0.0.2", "port": 80}});
        let rule = |statements: &[&Value]| serde_json::json!({"rule": {"expr": statements}});
        let map = serde_json::json!({"dnat": {"addr": {"map": {
            "key": dport("tcp"), "data": {"set": [[80, "10.0.0.2"], [443, "10.0.0.3"]]}}}}});
        let set = serde_json::json!({"set": [25, {"range": [110, 111]}]});
        let ruleset = serde_json::json!({"nftables": [
            {"metainfo": {"version": "1.0.6"}},
            rule(&[&matching("tcp", 8080.into()), &to]),
            rule(&[&matching("udp", set), &serde_json::json!({"redirect": {"port": 53}})]),
            rule(&[&matching("th", 514.into()), &to]),
            rule(&[&map]),
            rule(&[&matching("tcp", 22.into()), &serde_json::json!({"accept": null})]),
            rule(&[&matching("tcp", 4443.into()), &serde_json::json!({"xt": {"type": "target", "name": "DNAT"}})]),
        ]});
        let expected = [
            "25/UDP", "80/TCP", "110/UDP", "111/UDP", "443/TCP", "514/TCP", "514/UDP", "4443/TCP", "8080/TCP",
        ];
        assert_eq!(shown(&in_nftables(&ruleset.to_string())), expected);
        for text in
            ["", "[]", "{\"nftables\": 7}", "{\"nftables\": [{\"rule\": {\"expr\": [{\"dnat\": null}]}}]}"]
        {
            assert!(in_nftables(text).is_empty());
        }
    }
}
