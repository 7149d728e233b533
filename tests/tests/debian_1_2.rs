//! The change from Debian's own package of `PortSentry` 1.2 to this one, on a machine with systemd.

use portsentry_tests::lab::{Lab, Machine};

const CONFIG: &str = "/etc/portsentry/portsentry.conf";
const IGNORE: &str = "/etc/portsentry/portsentry.ignore";
const DEFAULT: &str = "/etc/default/portsentry";
const HISTORY: &str = "/var/lib/portsentry/portsentry.history";

/// An administrator's settings and what 1.2 leaves behind: a blocked source, and the ignore file that its start script makes.
const ADMINISTRATOR: &str = r#"
sed -i 's/^BLOCK_TCP=.*/BLOCK_TCP="1"/; s/^BLOCK_UDP=.*/BLOCK_UDP="1"/' /etc/portsentry/portsentry.conf
echo '192.0.2.77' >> /etc/portsentry/portsentry.ignore.static
printf 'TCP_MODE="atcp"\nUDP_MODE="sudp"\n' > /etc/default/portsentry
/usr/lib/portsentry/portsentry-build-ignore-file 2>/dev/null
echo '198.51.100.9' >> /etc/portsentry/portsentry.ignore
line='1795389179 - 11/22/2026 23:12:59 Host: 203.0.113.9/203.0.113.9 Port: 1 TCP Blocked'
echo "$line" > /var/lib/portsentry/portsentry.blocked.atcp
echo "$line" > /var/lib/portsentry/portsentry.history
"#;

/// dpkg says that this package's files are still there.
const STAYS: &str =
    "dpkg: warning: while removing portsentry, directory '/var/lib/portsentry' not empty so not removed\n";

/// Returns a machine with neither package.
fn fresh(lab: &Lab) -> Machine {
    let machine = lab.boot();
    machine.run("dpkg --purge --force-depends portsentry portsentry-xdp || :; rm -rf /etc/portsentry");
    machine.bring_package(1, "/srv/package.deb");
    machine.bring("portsentry.deb", "/srv/classic.deb");
    machine
}

/// Installs Debian's package. Its dependencies are for its start script.
fn with_classic(lab: &Lab) -> Machine {
    let machine = fresh(lab);
    machine.run("dpkg --install --force-depends /srv/classic.deb");
    assert!(machine.run(&format!("cat {DEFAULT}")).contains("TCP_MODE=\"tcp\""));
    machine
}

/// Runs an installation that has no terminal for questions. Checks that it prints nothing unusual.
fn quietly(machine: &Machine, command: &str) {
    let said = machine.run(&format!("{command} < /dev/null"));
    let said = said.replace(STAYS, "");
    for word in ["warning", "Warning", "error", "W: ", "E: ", "==>", "failed", "cannot", "can't"] {
        // The name of a library package.
        assert!(!said.replace("libgpg-error", "").contains(word), "{word}: {said}");
    }
}

fn install(machine: &Machine) {
    quietly(machine, "apt-get install --yes /srv/package.deb");
}

fn assert_works(machine: &Machine) {
    let is_active =
        || machine.run("systemctl show --property SubState --value portsentry").trim() == "running";
    machine.wait_until("the service runs", is_active);
    assert_eq!(machine.run("systemctl is-enabled portsentry").trim(), "enabled");
    let state = machine.run("dpkg-query --show --showformat '${db:Status-Status}' portsentry-xdp");
    assert_eq!(state, "installed");
}

#[test]
fn all_of_it_is_taken_over_and_stays_when_its_leavings_are_purged() {
    let lab = Lab::new();
    let machine = with_classic(&lab);
    machine.run(ADMINISTRATOR);
    let before = [CONFIG, DEFAULT].map(|path| machine.run(&format!("cat {path}")));
    install(&machine);
    assert_works(&machine);
    let holds = || {
        assert_eq!([CONFIG, DEFAULT].map(|path| machine.run(&format!("cat {path}"))), before);
        let ignore = machine.run(&format!("cat {IGNORE}"));
        for network in ["192.0.2.77", "198.51.100.9", "127.0.0.1/32"] {
            assert!(ignore.lines().any(|line| line == network), "{network}: {ignore}");
        }
        assert!(!ignore.contains("DO NOT EDIT"), "{ignore}");
        assert_eq!(ignore.matches("192.0.2.77").count(), 1, "{ignore}");
        assert!(machine.run("portsentry list").contains("203.0.113.9"));
        assert!(machine.run(&format!("cat {HISTORY}")).contains("203.0.113.9"));
        let checked = machine.run("portsentry check");
        assert!(checked.contains("-atcp -sudp") && checked.contains("192.0.2.77/32"), "{checked}");
        let arguments =
            "tr '\\0' ' ' < /proc/$(systemctl show --property MainPID --value portsentry)/cmdline";
        assert!(machine.run(arguments).contains("-atcp -sudp"));
    };
    machine.wait_until("the block is taken over", || machine.run("portsentry list").contains("203.0.113.9"));
    holds();
    assert!(machine.run("ls /etc/portsentry").contains("portsentry.ignore.static"));

    quietly(&machine, "dpkg --purge portsentry");
    let state = machine.try_run("dpkg-query --show --showformat '${db:Status-Status}' portsentry");
    assert!(!state.is_ok_and(|state| state == "config-files"), "it is gone");
    assert!(!machine.run("ls /etc/portsentry").contains("portsentry.ignore.static"));
    assert_works(&machine);
    machine.run("systemctl restart portsentry");
    assert_works(&machine);
    holds();

    // The configuration is the administrator's from now on.
    machine.bring_package(2, "/srv/package.deb");
    install(&machine);
    assert_works(&machine);
    holds();
    machine.run("dpkg --purge portsentry-xdp");
    assert_eq!(machine.run("find /etc /usr /var /run /sys/fs/bpf -name '*portsentry*'"), "", "this is left");
}

/// The ignore file that 1.2's start script made may be missing, and its configuration as it was shipped.
#[test]
fn a_removed_1_2_that_nobody_configured_is_replaced() {
    let lab = Lab::new();
    let machine = with_classic(&lab);
    machine.run("echo '192.0.2.77' >> /etc/portsentry/portsentry.ignore.static");
    machine.run("dpkg --remove portsentry; rm -f /etc/portsentry/portsentry.ignore");
    install(&machine);
    assert_works(&machine);
    let shipped = machine.run(&format!("cat {CONFIG}"));
    assert_eq!(shipped, include_str!("../../etc/portsentry.conf"));
    assert!(machine.run(&format!("cat {IGNORE}")).contains("\n192.0.2.77\n"));
    // What the administrator adds where he always did is read, too.
    machine.run("echo '192.0.2.78' >> /etc/portsentry/portsentry.ignore.static");
    machine.wait_until("the change is followed", || {
        machine.run("journalctl --unit portsentry --output cat").contains("portsentry.ignore reloaded")
    });
    let checked = machine.run("portsentry check");
    assert!(
        checked.contains("192.0.2.78/32") && checked.contains("portsentry.ignore.static, which is read, too")
    );
}

#[test]
fn a_first_installation_and_an_upgrade_print_nothing_unusual() {
    let lab = Lab::new();
    let machine = fresh(&lab);
    install(&machine);
    assert_works(&machine);
    machine.bring_package(2, "/srv/package.deb");
    install(&machine);
    assert_works(&machine);
    assert_eq!(
        machine.run("ls /etc/portsentry"),
        "notify.conf\nportsentry.conf\nportsentry.conf.d\nportsentry.ignore\n"
    );
    let examples = machine.run("ls /usr/share/doc/portsentry-xdp/examples");
    for example in ["grafana-portsentry.json", "kill-commands.conf", "prometheus-portsentry.rules.yml"] {
        assert!(examples.contains(example), "{examples}");
    }
    for file in ["changelog.gz", "changelog.Debian.gz", "NEWS.Debian", "upgrading.md"] {
        machine.run(&format!("test -s /usr/share/doc/portsentry-xdp/{file}"));
    }
}

/// An installation that fails leaves the configuration as it was.
#[test]
fn an_installation_that_fails_brings_the_configuration_back() {
    let lab = Lab::new();
    let machine = with_classic(&lab);
    machine.run(ADMINISTRATOR);
    let files = [CONFIG, DEFAULT, IGNORE];
    let read = || files.map(|path| machine.run(&format!("cat {path}")));
    let before = read();
    // A file of another package in the way of the unpacking.
    machine.run(
        "mkdir -p /srv/other/DEBIAN /srv/other/usr/share/man/man5; \
         echo x > /srv/other/usr/share/man/man5/portsentry.conf.5.gz; \
         printf 'Package: other\\nVersion: 1\\nArchitecture: all\\nMaintainer: a <a@b>\\nDescription: x\\n' \
             > /srv/other/DEBIAN/control; \
         dpkg --remove portsentry; dpkg-deb --build /srv/other /srv/other.deb; dpkg --install /srv/other.deb",
    );
    assert!(machine.try_run("dpkg --install /srv/package.deb < /dev/null").is_err());
    assert_eq!(read(), before);
    assert!(!machine.run("ls /etc/portsentry /etc/default").contains("set-aside"));
    machine.run("dpkg --purge other");
    install(&machine);
    assert_works(&machine);
    assert_eq!(read()[..2], before[..2]);
}
