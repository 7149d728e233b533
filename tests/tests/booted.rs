//! The package on a machine that boots under systemd, with real reboots: `cargo xtask vm --systemd` boots it, and runs these
//! tests in the order of its list.

mod running;

use std::{
    fs,
    net::{IpAddr, SocketAddr},
    path::Path,
    process::Command,
    time::Duration,
};

use portsentry_tests::lab::{Family, Namespace, Probe, Stream, wait_within};
use serde_json::Value;

/// The watched card. Its network is set up by systemd-networkd.
const CARD: &str = "eth0";
const TRAP: u16 = 11;
/// Long enough for a start of the daemon on an emulated processor.
const PATIENCE: Duration = Duration::from_mins(4);
/// The source that is blocked before the first reboot.
const BLOCKED: u16 = 150;
/// Others, which no packet has used before.
const HONEST: u16 = 160;

/// Runs a script, which must succeed, and returns its output. If it fails, the failure message has the journal's end.
fn run(script: &str) -> String {
    let output = Command::new("sh").args(["-euc", script]).output().expect("`sh`");
    let text =
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    if !output.status.success() {
        let journal = Command::new("journalctl").args(["--boot", "--lines", "60", "--no-pager"]).output();
        let journal = journal
            .map_or_else(|error| error.to_string(), |it| String::from_utf8_lossy(&it.stdout).into_owned());
        panic!("{script}: {}\n{text}\n{journal}", output.status);
    }
    text
}

fn property(name: &str) -> String {
    run(&format!("systemctl show --property {name} --value portsentry")).trim().to_owned()
}

/// The service's lines since the last boot.
fn journal() -> String {
    run("journalctl --boot --unit portsentry --output cat --no-pager")
}

fn wait_until(what: &str, holds: impl Fn() -> bool) {
    wait_within(PATIENCE, || format!("in vain: {what}\n{}", journal()), holds);
}

/// Whether the service runs, according to systemd.
fn is_active() -> bool {
    property("ActiveState") == "active" && property("SubState") == "running"
}

/// Whether the kernel blocks `source`.
fn is_blocked(source: IpAddr) -> bool {
    run("portsentry list --state blocked --json").contains(&format!("\"{source}\""))
}

fn address(number: u16) -> IpAddr {
    Family::V4.member(number)
}

/// The machine's other two cards, in namespaces, on one network with the watched one.
struct Others {
    scanner: Namespace,
    bystander: Namespace,
}

impl Others {
    fn new() -> Self {
        let others = Self { scanner: Namespace::new("scanner"), bystander: Namespace::new("bystander") };
        for (namespace, card, number) in [(&others.scanner, "eth1", 2), (&others.bystander, "eth2", 3)] {
            // A card comes back some time after the namespace of an earlier test is gone.
            wait_until(card, || Path::new("/sys/class/net").join(card).exists());
            run(&format!("ip link set {card} down; ip link set {card} netns {}", namespace.name()));
            namespace.ip(&format!(
                "link set lo up\nlink set {card} up\naddress add {}/24 dev {card}\n",
                address(number)
            ));
        }
        others
    }

    /// Returns a source of the scanner.
    fn source(&self, number: u16) -> IpAddr {
        let source = address(number);
        self.scanner.ip(&format!("address replace {source}/24 dev eth1"));
        source
    }

    /// Returns a client of the bystander.
    fn client(&self, number: u16) -> IpAddr {
        let source = address(number);
        self.bystander.ip(&format!("address replace {source}/24 dev eth2"));
        source
    }

    /// A scanner at a new address is blocked.
    fn block(&self, number: u16) -> IpAddr {
        let source = self.source(number);
        wait_until("a scanner is blocked", || {
            let _probe = Probe::tcp(&self.scanner, source, SocketAddr::new(Family::V4.host(), TRAP));
            is_blocked(source)
        });
        source
    }

    /// Sends from the blocked source and an honest client while `act` runs. Nothing of the former gets through, and
    /// everything of the latter.
    fn under_traffic(&self, blocked: IpAddr, act: impl FnOnce()) {
        let client = self.client(HONEST);
        // Both know the host's hardware address from now on.
        self.bystander.run("ping", &["-n", "-c", "3", "-I", &client.to_string(), "192.0.2.1"]);
        let [held, honest] = [(&self.scanner, blocked), (&self.bystander, client)]
            // An emulated processor has other work, too.
            .map(|(by, at)| Stream::start(by, at, "0.01"));
        act();
        let (sent, answered) = held.end();
        assert!(sent > 20 && answered == 0, "{answered} of {sent} packets of a blocked source got through");
        let (sent, answered) = honest.end();
        println!("{sent} honest packets, {answered} answered");
        assert!(answered > 20 && sent - answered <= 1, "of {sent} honest packets, {answered} were answered");
    }
}

/// The program was attached to the card, in generic mode, and the blocks were in force, when the network was about to be set up.
/// It becomes native once the card is configured.
fn assert_armed_before_the_network() {
    assert!(is_active(), "{}\n{}", run("systemctl status --no-pager portsentry || :"), journal());
    let links: Value = serde_json::from_str(&fs::read_to_string("/run/witness").expect("it is recorded"))
        .expect("JSON of `ip`");
    let card = links.as_array().into_iter().flatten().find(|link| link["ifname"] == CARD);
    let card = card.unwrap_or_else(|| panic!("no {CARD} in {links}"));
    assert!(card["xdp"]["prog"]["id"].is_number(), "no program: {card}\n{}", journal());
    // `XDP_ATTACHED_SKB`
    assert_eq!(card["xdp"]["mode"], 2, "it is native already: {card}");
    assert_eq!(card["addr_info"].as_array().map(Vec::len), Some(0), "it has an address: {card}");
    wait_until("it is native", || {
        run(&format!("ip link show {CARD}")).split_whitespace().any(|word| word == "xdp")
    });
    let listed = fs::read_to_string("/run/witness.blocked").expect("it is recorded");
    assert!(listed.contains(&format!("\"{}\"", address(BLOCKED))), "{listed}");
    let problems = run("journalctl --boot --no-pager | grep -i 'ordering cycle' || :");
    assert_eq!(problems, "", "systemd leaves units out");
    assert!(is_active() && property("NRestarts") == "0", "{}", journal());
    println!("{}", run("systemd-analyze critical-chain network.target portsentry.service || :"));
}

/// What holds after each boot: the old block, and the watch. `number` is a new scanner.
fn assert_all_holds(number: u16) {
    assert_armed_before_the_network();
    let others = Others::new();
    let old = others.source(BLOCKED);
    assert!(is_blocked(old));
    others.under_traffic(old, || {
        let new = others.block(number);
        assert!(!is_blocked(others.client(HONEST)), "{new} is another one");
    });
}

#[ignore = "needs a machine with systemd: `cargo xtask vm --systemd` runs it"]
#[test]
fn a_scanner_is_blocked() {
    Others::new().block(BLOCKED);
    wait_until("the file names it", || {
        run("cat /var/lib/portsentry/portsentry.blocked").contains(&address(BLOCKED).to_string())
    });
}

#[ignore = "needs a machine with systemd: `cargo xtask vm --systemd` runs it"]
#[test]
fn after_a_reboot_the_block_holds_before_the_network_is_up() {
    assert_all_holds(151);
}

#[ignore = "needs a machine with systemd: `cargo xtask vm --systemd` runs it"]
#[test]
fn with_a_full_disk_it_starts_and_blocks_and_writes_once_there_is_room() {
    let full = fs::write("/var/lib/room", vec![1; 1 << 20]);
    assert_eq!(full.map_err(|error| error.kind()), Err(std::io::ErrorKind::StorageFull));
    assert_all_holds(152);
    let new = address(152).to_string();
    run("rm --force /full-* /var/lib/room");
    wait_until("the file names who was blocked without it", || {
        run("cat /var/lib/portsentry/portsentry.blocked").contains(&new)
    });
    assert!(is_active(), "{}", journal());
}

/// The machine boots with a clock that is three days late, and gets the time from a server afterwards.
#[ignore = "needs a machine with systemd: `cargo xtask vm --systemd` runs it"]
#[test]
fn with_a_clock_that_jumps_the_blocks_hold() {
    let day = || run("date +%s").trim().parse::<u64>().expect("a time") / 86_400;
    let late = day();
    assert_all_holds(153);
    run("date --set '3 days'");
    assert_eq!(day(), late + 3, "the clock has jumped");
    let held = [BLOCKED, 153].map(address);
    wait_until("the file's times follow", || {
        let file = run("cat /var/lib/portsentry/portsentry.blocked");
        let times = file.lines().filter_map(|line| line.split(' ').next()?.parse::<u64>().ok());
        times.fold(u64::MAX, u64::min) / 86_400 + 1 >= late + 3
    });
    assert!(held.into_iter().all(is_blocked), "{}", journal());
    let others = Others::new();
    others.under_traffic(others.source(BLOCKED), || {
        others.block(154);
    });
}

#[ignore = "needs a machine with systemd: `cargo xtask vm --systemd` runs it"]
#[test]
fn with_a_root_that_is_read_only_it_starts_and_blocks() {
    let options = run("findmnt --noheadings --output OPTIONS /");
    assert!(options.starts_with("ro"), "{options}");
    assert_all_holds(155);
    assert!(is_active(), "{}", journal());
}
