//! Real scanners, run in the scanner's namespace.

use std::net::IpAddr;

use super::{Family, INTERFACE, Lab, hardware_address};

impl Lab {
    /// Runs nmap from `source` against the host, and returns its "grepable" output. Each port is probed once, with
    /// a short timeout. It doesn't ask for the host's hardware address: qemu's e1000 receives nothing for a second after nmap has
    /// made it promiscuous.
    pub fn nmap(&self, source: IpAddr, words: &str) -> String {
        let host = Family::of(source).host();
        let (source, host) = (source.to_string(), host.to_string());
        let mut arguments = vec!["-n", "-Pn", "--disable-arp-ping", "--max-retries", "0", "-oG", "-"];
        // A connection's second SYN follows after a second.
        let patience = if words.contains("-sT") { "2500ms" } else { "600ms" };
        arguments.extend(["--initial-rtt-timeout", patience, "--max-rtt-timeout", patience]);
        arguments.extend(["-S", &source, "-e", INTERFACE]);
        if host.contains(':') {
            arguments.push("-6");
        }
        arguments.extend(words.split(' '));
        arguments.push(&host);
        self.scanner.run("nmap", &arguments)
    }

    /// Runs masscan from the IPv4 address `source` against the host.
    pub fn masscan(&self, source: IpAddr, words: &str) -> String {
        let (source, host, router) = (source.to_string(), Family::V4.host().to_string(), hardware_address(1));
        let mut arguments = vec!["--interface", INTERFACE, "--source-ip", &source, "--router-mac", &router];
        arguments.extend(["--wait", "0"]);
        arguments.extend(words.split(' '));
        arguments.push(&host);
        self.scanner.run("masscan", &arguments)
    }

    /// Sends one packet with hping3 from the IPv4 address `source` to the host. A missing answer is no failure.
    pub fn hping3(&self, source: IpAddr, words: &str) {
        let (source, host) = (source.to_string(), Family::V4.host().to_string());
        let mut hping3 = self.scanner.command("hping3");
        hping3.args(["-n", "-q", "-c", "1", "-i", "u1", "-a", &source]).args(words.split(' ')).arg(host);
        let ended = hping3.output().expect("`hping3` of the Debian package hping3");
        let text = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert!(text.contains("1 packets transmitted"), "hping3 {words}: {text}");
    }

    /// Sends packets with scapy. Each is an expression for the part after the Ethernet header.
    pub fn scapy(&self, packets: &[String]) {
        let frames = packets.iter().map(|packet| format!("Ether(dst='{}')/{packet}", hardware_address(1)));
        let frames = frames.collect::<Vec<_>>().join(",\n");
        let script =
            format!("from scapy.all import *\nsendp([{frames}], iface='{INTERFACE}', verbose=False)\n");
        // Debian installs scapy for its own Python.
        self.scanner.run("/usr/bin/python3", &["-c", &script]);
    }
}
