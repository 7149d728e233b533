//! The Debian package on a machine with systemd. Covers the replacement of Debian's own 1.2, a first scan, an
//! upgrade of the running daemon, restarts, crashes, and removal.

use std::{net::IpAddr, process::Command};

use portsentry_tests::{
    document,
    lab::{FAMILIES, Family, Lab, Machine, Reach},
};

/// `capabilities(7)`: `BPF`, `PERFMON`, `NET_ADMIN`, `DAC_READ_SEARCH`
const CAPABILITIES: &str = "000000c000001004";

/// Remains of Debian's 1.2, with modes that the administrator set.
const CLASSIC: &str = r"
mkdir -p /tmp/classic/DEBIAN /tmp/classic/etc/default /tmp/classic/usr/sbin
printf 'Package: portsentry\nVersion: 1.2-14\nArchitecture: all\nMaintainer: a test <test@localhost>\nDescription: 1.2\n' \
    > /tmp/classic/DEBIAN/control
echo /etc/default/portsentry > /tmp/classic/DEBIAN/conffiles
printf 'TCP_MODE=tcp\nUDP_MODE=udp\n' > /tmp/classic/etc/default/portsentry
echo 1.2 > /tmp/classic/usr/sbin/portsentry
dpkg-deb --build /tmp/classic /tmp/classic.deb
dpkg --install /tmp/classic.deb
sed -i 's/=tcp/=stcp/; s/=udp/=audp/' /etc/default/portsentry
";

struct Host<'lab> {
    lab: &'lab Lab,
    machine: Machine,
}

impl Host<'_> {
    fn install(&self, revision: u8) {
        self.machine.bring_package(revision, "/tmp/package.deb");
        self.machine.run("dpkg --install --force-confold /tmp/package.deb");
    }

    fn property(&self, name: &str) -> String {
        self.machine.run(&format!("systemctl show --property {name} --value portsentry")).trim().to_owned()
    }

    fn journal(&self) -> String {
        self.machine.run("journalctl --unit portsentry --output cat --no-pager")
    }

    fn is_active(&self) -> bool {
        self.property("ActiveState") == "active" && self.property("SubState") == "running"
    }

    /// Scans, and waits until the scanner is fenced.
    fn fence(&self, family: Family) -> IpAddr {
        self.scan(family, "Fenced")
    }

    /// Scans, and waits until the scanner is blocked.
    fn block(&self, family: Family) -> IpAddr {
        self.scan(family, "Blocked")
    }

    fn scan(&self, family: Family, done: &str) -> IpAddr {
        let source = self.lab.source(family);
        self.lab.nmap(source, "-sS -p 1-20 --max-retries 0");
        self.machine.wait_until("the blocked file shows the scanner", || {
            let file = self.machine.run("cat /var/lib/portsentry/portsentry.blocked");
            let about = format!("Host: {source}/{source} ");
            file.lines().any(|line| line.contains(&about) && line.ends_with(done))
        });
        source
    }
}

/// Members of `CONTROL_GROUP` look without root, also under the service's restrictions; other users may not.
fn members_look_without_root(host: &Host<'_>, blocked: IpAddr) {
    let machine = &host.machine;
    machine.run(
        "groupadd watchers; useradd --groups watchers alice; useradd bob; \
         echo 'CONTROL_GROUP=\"watchers\"' >> /etc/portsentry/portsentry.conf; systemctl restart portsentry",
    );
    for (look, expected) in [
        ("status", "blocking, without proof".to_owned()),
        ("list", format!("{blocked}  ")),
        ("top --once", format!("{blocked}  ")),
        ("history", format!("{blocked}  ")),
        (&format!("why {blocked}"), "blocked: all its packets are dropped".to_owned()),
        ("events", "PortSentry is now active and listening".to_owned()),
    ] {
        let shown = machine.run(&format!("runuser --user alice -- portsentry {look} 2>&1"));
        assert!(shown.contains(&expected), "{look}: {shown}");
        let refused = machine.run(&format!("! runuser --user bob -- portsentry {look} 2>&1"));
        assert!(refused.contains("(CONTROL_GROUP)"), "{look}: {refused}");
    }
    let refused = machine.run(&format!("! runuser --user alice -- portsentry unblock {blocked} 2>&1"));
    assert!(refused.contains("root"), "{refused}");
}

#[test]
fn a_package_lives_from_the_first_scan_to_the_purge() {
    let lab = Lab::new();
    let service = lab.serve_tcp(8080);
    let host = Host { machine: lab.boot(), lab: &lab };
    let machine = &host.machine;
    // Packages that this machine inherits from the test system.
    machine.run("dpkg --purge --force-depends portsentry portsentry-xdp || :; rm -rf /etc/portsentry");
    machine.run(CLASSIC);

    host.install(1);
    assert!(host.is_active(), "{}", host.journal());
    let classic = machine.run("dpkg-query --show --showformat '${db:Status-Status}' portsentry || :");
    assert_eq!(classic, "config-files", "1.2 is gone");
    assert!(machine.run("systemctl is-enabled portsentry").contains("enabled"));
    let process = host.property("MainPID");
    let arguments = machine.run(&format!("tr '\\0' ' ' < /proc/{process}/cmdline"));
    assert!(arguments.contains("-stcp -audp"), "the administrator's modes are kept: {arguments}");

    // The shipped configuration doesn't block. (Other tests cover fences of unproven sources.)
    machine.run(
        "sed -i 's/^BLOCK_TCP=.*/BLOCK_TCP=\"1\"/; s/^BLOCK_UNPROVEN=.*/BLOCK_UNPROVEN=\"1\"/' \
             /etc/portsentry/portsentry.conf; systemctl reload portsentry",
    );
    machine.wait_until("it reloads", || host.journal().contains("Configuration reloaded"));
    let sources = FAMILIES.map(|family| host.block(family));
    let status = machine.run(&format!("cat /proc/{process}/status"));
    let user = machine.run("id --user portsentry").trim().to_owned();
    assert!(status.contains(&format!("Uid:\t{user}\t{user}\t{user}\t{user}\n")), "{status}");
    assert!(status.contains(&format!("CapEff:\t{CAPABILITIES}\n")), "{status}");
    assert!(!host.journal().contains("landlock"), "{}", host.journal());
    let shown = host.property("StatusText");
    assert_eq!(
        shown,
        "blocking, without proof; UDP is only observed; watching 1 interfaces, 2 sources blocked or fenced"
    );

    members_look_without_root(&host, sources[0]);

    // A blocked source gets no answer while the daemon is upgraded, restarted and killed.
    let senders = sources.map(|source| lab.keep_sending(source));
    let honest = lab.keep_sending(lab.source(Family::V4));
    host.install(2);
    assert!(machine.run("dpkg-query --show --showformat '${Version}' portsentry-xdp").ends_with("-2"));
    assert_ne!(host.property("MainPID"), process, "another process runs");
    assert!(host.is_active());
    machine.run("systemctl restart portsentry");
    machine.run("kill -9 $(systemctl show --property MainPID --value portsentry)");
    machine.wait_until("systemd starts it anew", || host.property("NRestarts") == "1" && host.is_active());
    for sender in senders {
        let (sent, answered) = sender.end();
        assert!(sent > 100 && answered == 0, "{answered} of {sent} packets of a blocked source got through");
    }
    let (sent, answered) = honest.end();
    assert!(answered > 100 && sent - answered <= 1, "of {sent} honest packets, {answered} were answered");
    let late = host.block(Family::V4);
    for source in sources.into_iter().chain([late]) {
        assert!(!service.answers(&lab.scanner, source, Reach::Unexpected), "{source} gets through");
    }
    service.assert_open_to_bystander(&lab);
    assert!(machine.run("man --where 8 portsentry; man --where 5 portsentry.conf").lines().count() == 2);

    machine.run("dpkg --purge portsentry-xdp portsentry");
    let left = machine.run("find /etc /usr /var /run /sys/fs/bpf -name '*portsentry*'");
    assert_eq!(left, "", "this is left");
    assert!(machine.try_run("getent passwd portsentry").is_err(), "its user is left");
    for source in sources {
        let host = Family::of(source).host();
        assert!(service.answers_at(&lab.scanner, source, host, Reach::Expected), "{source} is still blocked");
    }
}

/// Lines in the rotated file and the new one are whole, and the daemon needs no signal.
#[test]
fn its_files_are_rotated_while_it_runs() {
    const FILES: [&str; 2] = ["/var/lib/portsentry/portsentry.history", "/var/log/portsentry.json"];
    let lab = Lab::new();
    let host = Host { machine: lab.boot(), lab: &lab };
    let machine = &host.machine;
    machine.run("dpkg --purge --force-depends portsentry portsentry-xdp || :; rm -rf /etc/portsentry");
    host.install(1);
    machine.run(
        "sed -i 's/^BLOCK_TCP=.*/BLOCK_TCP=\"1\"/' /etc/portsentry/portsentry.conf; \
         echo 'JSON_LOG=\"/var/log/portsentry.json\"' >> /etc/portsentry/portsentry.conf; \
         systemctl restart portsentry",
    );
    let names =
        |file: &str, source: IpAddr| machine.run(&format!("cat {file}")).contains(&source.to_string());
    let before = host.fence(Family::V4);
    FILES.iter().for_each(|file| machine.wait_until("it is told", || names(file, before)));
    let tried = machine.run("logrotate --debug /etc/logrotate.d/portsentry 2>&1");
    assert!(!tried.contains("error:") && FILES.iter().all(|file| tried.contains(file)), "{tried}");
    machine.run("logrotate --force --state /tmp/state /etc/logrotate.d/portsentry");
    for file in FILES {
        assert!(names(&format!("{file}.1"), before) && !names(file, before), "{file} was not rotated");
    }
    let after = host.fence(Family::V6);
    for file in FILES {
        machine.wait_until("the new file is written to", || names(file, after));
        assert!(!names(&format!("{file}.1"), after), "{file}.1 is still written to");
    }
    assert!(host.is_active(), "{}", host.journal());
}

/// systemd's rating of the unit's hardening, from 0 (best) to 10 (none). It counts neither `TemporaryFileSystem` nor a closed
/// `DevicePolicy`, which do here what `PrivateTmp` and `PrivateDevices` can't do on a read-only root.
#[test]
fn the_unit_is_hardened() {
    let root = document::root();
    let mut command = Command::new("systemd-analyze");
    command.args(["security", "--offline=true", "--threshold=34", "--no-pager"]);
    let checked = command.arg(root.join("pkg/portsentry.service")).output().expect("`systemd-analyze`");
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stdout));
}
