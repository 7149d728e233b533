//! Real scanners, run by the scanner. It must not know what they are expected to find.

use std::net::IpAddr;

use super::{Family, INTERFACE, Lab};

impl Lab {
    /// Runs nmap from `source` against the host, and returns what it found in its "grepable" format. No port is
    /// asked twice, and silence is taken for an answer soon.
    pub fn nmap(&self, source: IpAddr, words: &str) -> String {
        let family = if source.is_ipv4() { Family::V4 } else { Family::V6 };
        let source = source.to_string();
        let host = family.host().to_string();
        let mut arguments = vec!["-n", "-Pn", "--max-retries", "0", "-oG", "-"];
        arguments.extend(["--initial-rtt-timeout", "150ms", "--max-rtt-timeout", "150ms"]);
        arguments.extend(["-S", &source, "-e", INTERFACE]);
        if family == Family::V6 {
            arguments.push("-6");
        }
        arguments.extend(words.split(' '));
        arguments.push(&host);
        self.scanner.run("nmap", &arguments)
    }
}
