//! The ignore file: networks are truncated to their prefix, and keep their meaning when written again. Errors give
//! the line number.

use ipnet::IpNet;
use portsentry::config::ignore::parse;

use crate::seeds::texts;

pub(super) fn check(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    match parse(&text, "ignore") {
        Ok((networks, report)) => {
            assert!(!report.has_errors());
            assert!(networks.iter().all(|network| *network == network.trunc()));
            let lines: Vec<String> = networks.iter().map(IpNet::to_string).collect();
            let again = lines.join("\n");
            let (read, _) = parse(&again, "ignore").unwrap_or_else(|report| panic!("{again}\n{report}"));
            assert_eq!(read, networks);
        }
        Err(report) => {
            assert!(report.has_errors() && !report.to_string().is_empty());
            let lines = text.split('\n').count();
            assert!(report.iter().all(|found| (1..=lines).contains(&found.line()) && found.column() >= 1));
        }
    }
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    texts(&[
        "# ours\n127.0.0.1/32\n0.0.0.0\n10.1.2.3/16 the office\n2001:DB8::AbCd/32\n",
        "0.0.0.0/0\n/0\n::/0\n::ffff:192.0.2.7/120\nfe80::1%eth0\n1.2.3\n10.0.0.0/255.0.0.0\n010.0.0.1\n/8\n\u{fe}",
    ])
}
