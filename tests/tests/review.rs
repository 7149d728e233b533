//! `portsentry review`: its output before PortSentry is armed.

use portsentry_tests::lab::{FAMILIES, Lab};

#[test]
fn an_observing_daemon_has_evidence_of_scanners_and_of_single_probes() {
    let lab = Lab::new();
    let setup = lab.portsentry("-stcp").with("BLOCK_TCP", "0").with("BLOCK_UDP", "0");
    let daemon = setup.start();
    assert_eq!(setup.say("review").out, "no probe was recorded\n");
    for family in FAMILIES {
        let (scanner, mistaken) = (lab.source(family), lab.source(family));
        lab.nmap(scanner, "-sS -p 1-150 --max-retries 2");
        lab.nmap(mistaken, "-sS -p 79 --max-retries 2");
        daemon.wait_until("the evidence is written", || {
            let review = setup.say("review --json").json();
            let scanners = review["scanners"].as_array().expect("scanners").clone();
            let ports = |row: &serde_json::Value| row["ports"].as_array().map_or(0, Vec::len);
            let scanner = scanner.to_string();
            scanners.iter().any(|row| row["address"] == scanner.as_str() && ports(row) == 9)
                && review["others"] == if family == FAMILIES[0] { 1 } else { 2 }
        });
        let why = setup.say(&format!("why {scanner} --json")).json();
        assert_eq!(why["evidence"].as_array().map(Vec::len), Some(9), "{why}");
        assert!(why["held"].is_null());
    }
    let page = setup.say("review").out;
    assert!(page.contains("\nScanners: 2\nADDRESS") && page.ends_with("\nOther sources: 2\n"), "{page}");
}
