//! fail2ban from Debian's package and portsentry on one machine, configured as in the document.

use std::{io::Write, process::Stdio};

use portsentry_tests::{
    document,
    lab::{FAMILIES, Lab, Machine},
};

const DOCUMENT: &str = "docs/coming-from-psad-and-fail2ban.md";
const HISTORY: &str = "/var/lib/portsentry/portsentry.history";
const PORTSENTRY: &str = r#"
dpkg --install /tmp/portsentry.deb
sed -i 's/^BLOCK_\(TCP\|UDP\)=.*/BLOCK_\1="1"/' /etc/portsentry/portsentry.conf
systemctl restart portsentry
"#;
/// Debian's only jail reads sshd's log and uses a firewall program, neither of which exists here.
const FAIL2BAN: &str = r"
dpkg --install /tmp/fail2ban.deb /tmp/python3-systemd.deb
rm /etc/fail2ban/jail.d/defaults-debian.conf
printf '[DEFAULT]\nbanaction = nftables\n' > /etc/fail2ban/jail.d/firewall.local
";
/// A jail for another log, whose bans portsentry enforces.
const JAIL: &str = "[other]\nenabled = true\nfilter = portsentry\nlogpath = /tmp/other.log\n";

/// A machine with both programs, and the document's files that `written` names.
fn machine(lab: &Lab, text: &str, written: &[&str]) -> Machine {
    let machine = lab.boot();
    machine
        .run("dpkg --purge --force-depends portsentry portsentry-xdp fail2ban || :; rm -rf /etc/portsentry");
    machine.bring_package(1, "/tmp/portsentry.deb");
    machine.run(PORTSENTRY);
    machine.wait_until("there is a history", || machine.try_run(&format!("cat {HISTORY}")).is_ok());
    // Copied only now, because the service makes systemd mount the machine's own `/tmp`.
    machine.bring("fail2ban.deb", "/tmp/fail2ban.deb");
    machine.bring("python3-systemd.deb", "/tmp/python3-systemd.deb");
    machine.run(FAIL2BAN);
    for path in written {
        write(&machine, path, &document::block_below(text, path).expect("a file"));
    }
    let action = document::block_below(text, "and in a jail:").expect("an action");
    let action = if written.iter().any(|path| path.contains("/action.d/")) { action } else { String::new() };
    write(&machine, "/etc/fail2ban/jail.d/other.local", &format!("{JAIL}{action}"));
    machine.run(": > /tmp/other.log; systemctl restart fail2ban");
    machine.wait_until("fail2ban answers", || machine.try_run("fail2ban-client ping").is_ok());
    machine
}

fn write(machine: &Machine, path: &str, text: &str) {
    let (read, mut write) = std::io::pipe().expect("a pipe");
    write.write_all(text.as_bytes()).expect("a pipe takes a page");
    drop(write);
    machine.write(path, Stdio::from(read));
}

#[test]
fn fail2ban_bans_who_is_proven_and_has_portsentry_block_whom_it_bans() {
    let text = document::read(DOCUMENT);
    let lab = Lab::new();
    let machine = machine(
        &lab,
        &text,
        &[
            "/etc/fail2ban/jail.d/portsentry.local",
            "/etc/fail2ban/filter.d/portsentry-2.local",
            "/etc/fail2ban/action.d/portsentry-block.local",
        ],
    );
    for family in FAMILIES {
        let [unproven, proven] = [lab.source(family), lab.source(family)];
        lab.nmap(unproven, "-sS -p 79 --max-retries 0");
        machine.wait_until("the history has the first", || {
            machine.run(&format!("cat {HISTORY}")).contains(&unproven.to_string())
        });
        lab.nmap(proven, "-sT -p 79,109");
        let banned = || machine.run("fail2ban-client get portsentry banip");
        machine.wait_until("the second is banned", || banned().contains(&proven.to_string()));
        assert!(!banned().contains(&unproven.to_string()), "{}", banned());
    }
    let commands = document::commands(&text, |program| program.starts_with("fail2ban-"));
    assert_eq!(commands.len(), 2, "{commands:#?}");
    let said: String = commands.iter().map(|command| machine.run(&command.line)).collect();
    assert!(said.contains("OK: configuration test is successful"), "{said}");
    assert!(said.contains("2 matched"), "both proven sources, and no other: {said}");

    let listed = || machine.run("portsentry list --json");
    for source in FAMILIES.map(|family| lab.source(family)) {
        machine.run(&format!("fail2ban-client set other banip {source}"));
        machine.wait_until("portsentry blocks it", || listed().contains(&source.to_string()));
        machine.run(&format!("fail2ban-client set other unbanip {source}"));
        machine.wait_until("it blocks it no more", || !listed().contains(&source.to_string()));
    }
    machine.run("fail2ban-client set other banip 127.0.0.5");
    machine.wait_until("the refusal is logged", || {
        machine.run("cat /var/log/fail2ban.log").contains("127.0.0.5 can't be the address of another host")
    });
}

#[test]
fn fail2ban_reads_the_journal() {
    let lab = Lab::new();
    let machine = machine(
        &lab,
        &document::read(DOCUMENT),
        &["/etc/fail2ban/jail.d/portsentry-journal.local", "/etc/fail2ban/filter.d/portsentry-journal.local"],
    );
    for family in FAMILIES {
        let [unproven, proven] = [lab.source(family), lab.source(family)];
        lab.nmap(unproven, "-sS -p 79 --max-retries 0");
        machine.wait_until("the journal has the first", || {
            machine.run("journalctl --unit portsentry PORTSENTRY_EVENT=fence").contains(&unproven.to_string())
        });
        lab.nmap(proven, "-sT -p 79,109");
        let banned = || machine.run("fail2ban-client get portsentry-journal banip");
        machine.wait_until("the second is banned", || banned().contains(&proven.to_string()));
        assert!(!banned().contains(&unproven.to_string()), "{}", banned());
    }
}
