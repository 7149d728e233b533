//! Emulated network cards: what the packet table and the scans don't show on veth devices. `cargo xtask vm --drivers` boots
//! machines with them.

use std::{
    collections::BTreeSet,
    env, fs, iter,
    net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket},
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use nix::sys::{
    signal::Signal,
    socket::{setsockopt, sockopt::RcvBufForce},
};
use portsentry_tests::lab::{
    Daemon, FAMILIES, Family, INTERFACE, Lab, Probe, Talk, Wire, segment, syn, wait_within,
};

/// Drivers that run an XDP program themselves and keep it.
const NATIVE: [&str; 2] = ["igb", "virtio_net"];
/// Time limit for what takes a second at most on an emulated processor.
const PATIENCE: Duration = Duration::from_secs(30);
/// An unwatched port, and a trap.
const SERVICE: u16 = 8080;
const TRAP: u16 = 11;

/// Returns the value of a line of `ethtool --driver`.
fn driver_line(lab: &Lab, name: &str) -> String {
    let said = lab.host.run("ethtool", &["--driver", INTERFACE]);
    let line = said.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    line.unwrap_or_else(|| panic!("no {name} in {said}")).to_owned()
}

/// Returns the daemon, with challenges answered by the card's driver where it can.
fn watch(lab: &Lab) -> Daemon<'_> {
    lab.portsentry("-stcp").with("BLOCK_UNPROVEN", "0").with("CHALLENGE", "1").start()
}

/// Connects the bystander to services of the host.
fn talks(lab: &Lab) -> [Talk; 2] {
    FAMILIES.map(|family| {
        Talk::begin(&lab.host, SocketAddr::new(family.host(), SERVICE), &lab.bystander, family.bystander())
    })
}

/// A scanner proves itself and is dropped; honest clients open connections, and old ones continue.
fn assert_enforced(lab: &Lab, daemon: &Daemon<'_>, talks: &[Talk]) {
    for family in FAMILIES {
        let source = lab.source(family);
        daemon.wait_until(&format!("{source} proves itself"), || {
            lab.nmap(source, &format!("-sT -p {TRAP}"));
            daemon.blocked().contains(&source)
        });
        let before = daemon.counter("dropped");
        daemon.wait_until("what it sends is dropped", || {
            let _probe = Probe::tcp(&lab.scanner, source, SocketAddr::new(family.host(), SERVICE));
            daemon.counter("dropped") > before
        });
        assert!(!daemon.blocked().contains(&family.bystander()) && daemon.fenced().is_empty());
    }
    talks.iter().for_each(Talk::go_on);
    for counter in ["malformed_ipv4", "malformed_ipv6", "malformed_tcp", "malformed_link"] {
        assert_eq!(daemon.counter(counter), 0, "{counter}");
    }
}

#[ignore = "needs emulated cards: `cargo xtask vm --drivers` runs it"]
#[test]
fn a_card_gets_the_mode_that_its_driver_has() {
    let lab = Lab::new();
    let driver = driver_line(&lab, "driver");
    let is_native = NATIVE.contains(&driver.as_str());
    let daemon = watch(&lab);
    let mode = if is_native { "native" } else { "generic" };
    daemon.log().wait_for(&format!("{INTERFACE}: {mode} XDP"));
    let doctor = daemon.setup().say("doctor").out;
    let says_native = doctor.contains(&format!("driver {driver}: runs XDP natively\n"));
    assert_eq!(says_native, is_native, "{doctor}");
    let talks = talks(&lab);
    assert_enforced(&lab, &daemon, &talks);
}

#[ignore = "needs emulated cards: `cargo xtask vm --drivers` runs it"]
#[test]
fn jumbo_frames_are_judged() {
    let lab = Lab::new();
    for member in [&lab.host, &lab.scanner, &lab.bystander] {
        member.ip(&format!("link set {INTERFACE} mtu 9000"));
    }
    let daemon = watch(&lab);
    let talks = talks(&lab);
    assert_enforced(&lab, &daemon, &talks);
}

#[ignore = "needs emulated cards: `cargo xtask vm --drivers` runs it"]
#[test]
fn offloads_change_under_traffic() {
    let lab = Lab::new();
    let daemon = watch(&lab);
    let talks = talks(&lab);
    let mut accepted = 0;
    for offload in ["rx", "tx", "gso", "gro", "lro", "rxvlan", "txvlan"] {
        for state in ["off", "on"] {
            // Not every driver has each.
            let changed = lab.host.command("ethtool").args(["-K", INTERFACE, offload, state]).output();
            accepted += u32::from(changed.expect("`ethtool`").status.success());
            talks.iter().for_each(Talk::go_on);
        }
    }
    assert!(accepted > 0, "the driver refuses each change");
    assert_enforced(&lab, &daemon, &talks);
}

#[ignore = "needs emulated cards: `cargo xtask vm --drivers` runs it"]
#[test]
fn rings_and_channels_change_under_traffic() {
    let lab = Lab::new();
    let daemon = watch(&lab);
    let talks = talks(&lab);
    for words in [
        ["-G", "rx", "128"],
        ["-G", "tx", "128"],
        ["-G", "rx", "256"],
        ["-L", "combined", "2"],
        ["-L", "combined", "1"],
    ] {
        let [what, name, number] = words;
        let changed = lab.host.command("ethtool").args([what, INTERFACE, name, number]).output();
        println!("{what} {name} {number}: {}", changed.expect("`ethtool`").status);
        talks.iter().for_each(Talk::go_on);
    }
    assert_enforced(&lab, &daemon, &talks);
}

#[ignore = "needs emulated cards: `cargo xtask vm --drivers` runs it"]
#[test]
fn a_link_that_flaps_stays_watched() {
    let lab = Lab::new();
    let daemon = watch(&lab);
    let talks = talks(&lab);
    for _ in 0..5 {
        lab.host.ip(&format!("link set {INTERFACE} down\nlink set {INTERFACE} up"));
        daemon.wait_until("the link is up", || {
            lab.host.run("ip", &["link", "show", INTERFACE]).contains("LOWER_UP")
        });
        lab.host.ip(&format!("address replace {}/64 dev {INTERFACE} nodad", Family::V6.host()));
        talks.iter().for_each(Talk::go_on);
    }
    assert_enforced(&lab, &daemon, &talks);
}

/// Unbinds the card from its driver, or binds it.
fn rebind(lab: &Lab, bus: &str) {
    let device = Path::new("/sys/bus/pci/devices").join(bus);
    let driver: PathBuf = fs::canonicalize(device.join("driver")).expect("a driver");
    for what in ["unbind", "bind"] {
        fs::write(driver.join(what), bus).unwrap_or_else(|error| panic!("{what} {bus}: {error}"));
    }
    lab.plug_in_host_again();
}

/// Whether the card has queues for a native program's own use: one for each processor.
fn has_spare_queues(lab: &Lab) -> bool {
    let said = lab.host.run("ethtool", &["-l", INTERFACE]);
    let numbers = said.lines().filter_map(|line| line.strip_prefix("Combined:")?.trim().parse().ok());
    let numbers: Vec<usize> = numbers.collect();
    let processors = thread::available_parallelism().map_or(1, usize::from);
    matches!(numbers[..], [most, set] if set + processors <= most)
}

#[ignore = "needs emulated cards: `cargo xtask vm --drivers` runs it"]
#[test]
fn a_card_that_gets_its_driver_again_is_watched_again() {
    let lab = Lab::new();
    let bus = driver_line(&lab, "bus-info");
    if driver_line(&lab, "driver") == "virtio_net" && has_spare_queues(&lab) {
        println!("not run: Linux 6.12 waits forever for such a card to go (docs/kernels.md)");
        return;
    }
    let daemon = watch(&lab);
    rebind(&lab, &bus);
    daemon.wait_until("the program is attached again", || lab.is_attached());
    let talks = talks(&lab);
    assert_enforced(&lab, &daemon, &talks);
}

/// The tag that a card strips is no part of the frame that a native program sees.
#[ignore = "needs emulated cards: `cargo xtask vm --drivers` runs it"]
#[test]
fn answers_to_challenges_carry_the_tag() {
    let lab = Lab::new();
    let [host, scanner] = [1, 2].map(|last| IpAddr::from(Ipv4Addr::new(198, 51, 100, last)));
    for (member, address) in [(&lab.host, host), (&lab.scanner, scanner)] {
        member.ip(&format!(
            "link add link {INTERFACE} name tag7 type vlan id 7\nlink set tag7 up\naddress add {address}/24 dev tag7"
        ));
    }
    let daemon = watch(&lab);
    daemon.wait_until("it proves itself through the VLAN", || {
        drop(lab.scanner.connect_from(scanner, SocketAddr::new(host, TRAP), Duration::from_secs(3)));
        daemon.blocked().contains(&scanner)
    });
}

/// Returns how many packets the host's card says it has received.
fn received(lab: &Lab) -> u64 {
    // It makes e1000 ask the card, which it does every two seconds otherwise.
    lab.host.run("ethtool", &["--statistics", INTERFACE]);
    lab.host.frames(INTERFACE, "rx")
}

/// Moves the frames that each wire has received to its list.
fn collect(wires: &[Wire; 2], frames: &mut [Vec<Vec<u8>>; 2]) {
    for (wire, frames) in wires.iter().zip(frames) {
        frames.extend(iter::from_fn(|| wire.receive(Duration::ZERO)));
    }
}

/// A card whose driver runs no XDP programs never is without one: it keeps the generic program that it got before it was configured.
/// One that gets a native program instead has none for a moment.
#[ignore = "needs emulated cards: `cargo xtask vm --drivers` runs it"]
#[test]
fn the_card_a_capture_at_the_other_end_and_the_daemon_count_the_same() {
    const ROUNDS: u64 = 40;
    const FRAMES: u64 = 25;
    let lab = Lab::new();
    let is_native = NATIVE.contains(&driver_line(&lab, "driver").as_str());
    let daemon = watch(&lab);
    let is_settled = || {
        let modes = ["native XDP", "generic XDP, because"].map(|mode| format!("{INTERFACE}: {mode}"));
        modes.iter().any(|mode| daemon.log().count(mode) > 0)
    };
    for family in FAMILIES {
        let source = lab.source(family);
        assert_eq!(daemon.setup().say(&format!("block {source}")).code, 0);
        if is_native {
            daemon.wait_until("the program is native", is_settled);
        }
        let captures = [Wire::open(&lab.scanner), Wire::open(&lab.bystander)];
        let mut frames = [Vec::new(), Vec::new()];
        let [card, dropped] = [received(&lab), daemon.counter("dropped")];
        let frame = syn(SocketAddr::new(source, 40_000), SocketAddr::new(family.host(), SERVICE));
        let mouth = Wire::mouth(&lab.scanner);
        let mut rounds = 0;
        while rounds < ROUNDS || !is_settled() {
            rounds += 1;
            (0..FRAMES).for_each(|_| mouth.send_frame(&frame));
            wait_within(
                PATIENCE,
                || {
                    let [card, dropped] = [received(&lab) - card, daemon.counter("dropped") - dropped];
                    format!(
                        "of {} frames the card received {card}, and {dropped} were dropped",
                        rounds * FRAMES
                    )
                },
                || daemon.counter("dropped") >= dropped + rounds * FRAMES,
            );
            // Before a capture's buffer is full.
            collect(&captures, &mut frames);
        }
        daemon.wait_until("the card counts them", || received(&lab) >= card + rounds * FRAMES);
        collect(&captures, &mut frames);
        let is_from = |frame: &&Vec<u8>| segment(frame).is_some_and(|it| it.source.ip() == source);
        let is_to = |frame: &&Vec<u8>| segment(frame).is_some_and(|it| it.destination.ip() == source);
        let sent = frames[0].iter().filter(is_from).count() as u64;
        let others = frames.iter().flatten().filter(|frame| !is_from(frame)).count() as u64;
        let answers = frames.iter().flatten().filter(is_to).count();
        let [card, dropped] = [received(&lab) - card, daemon.counter("dropped") - dropped];
        println!("{sent} sent, {dropped} dropped, {card} received by the card, {others} other frames");
        assert_eq!((sent, answers), (dropped, 0), "those dropped are those sent, and none is answered");
        assert!((sent..=sent + others).contains(&card), "{card} of {sent} and at most {others} others");
    }
}

/// Ends the sender, also if the test fails.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Datagrams of an honest client, each with its number. `REPLACEMENTS` sets how often the program is replaced.
#[ignore = "needs emulated cards: `cargo xtask vm --drivers` runs it"]
#[test]
fn no_frame_is_lost_while_programs_are_replaced() {
    let replacements = env::var("REPLACEMENTS").map_or(20, |text| text.parse().expect("a number"));
    let lab = Lab::new();
    let daemon = watch(&lab);
    let at = SocketAddr::new(Family::V4.host(), SERVICE);
    let service = lab.host.enter(|| UdpSocket::bind(at)).expect("a service");
    // The receiver may have to wait for its processor, which is emulated.
    setsockopt(&service, RcvBufForce, &(16 << 20)).expect("a large buffer");
    service.set_read_timeout(Some(Duration::from_secs(5))).expect("a limit");
    let sender = lab.bystander.enter(|| UdpSocket::bind(SocketAddr::new(Family::V4.bystander(), 0)));
    let (sender, is_over) = (sender.expect("a client"), AtomicBool::new(false));
    // The first program may have reset the card.
    daemon.wait_until("the card's link is up", || {
        sender.send_to(&[], at).is_ok() && service.recv(&mut [0; 4]).is_ok()
    });
    let (sent, received) = thread::scope(|scope| {
        let sending = scope.spawn(|| {
            let mut number = 0_u32;
            while !is_over.load(Ordering::Relaxed) {
                sender.send_to(&number.to_be_bytes(), at).expect("a datagram");
                number += 1;
                thread::sleep(Duration::from_millis(2));
            }
            number
        });
        let receiving = scope.spawn(|| {
            let (mut numbers, mut datagram) = (BTreeSet::new(), [0; 4]);
            while let Ok(length) = service.recv(&mut datagram) {
                // The first ones are empty.
                numbers.extend((length > 0).then_some(u32::from_be_bytes(datagram)));
            }
            numbers
        });
        let end = End(&is_over);
        for round in 1..=replacements {
            daemon.signal(Signal::SIGHUP);
            daemon.wait_until("its program is replaced", || {
                daemon.log().count("Configuration reloaded") == round
            });
        }
        drop(end);
        (sending.join().expect("a number"), receiving.join().expect("numbers"))
    });
    println!("{replacements} replacements: {sent} datagrams");
    let lost: Vec<u32> = (0..sent).filter(|number| !received.contains(number)).collect();
    assert!(lost.is_empty(), "{} of {sent} are lost: {lost:?}", lost.len());
}

/// igb refuses a larger MTU while a native program is attached, and a native program while the MTU is larger.
#[ignore = "needs emulated cards: `cargo xtask vm --drivers` runs it"]
#[test]
fn a_card_gets_a_larger_mtu_although_the_daemon_started_before() {
    let lab = Lab::new();
    if driver_line(&lab, "driver") == "vmxnet3" {
        println!(
            "not run: qemu's vmxnet3 loses large frames if its MTU is changed without LRO (docs/kernels.md)"
        );
        return;
    }
    let is_native = NATIVE.contains(&driver_line(&lab, "driver").as_str());
    lab.host.ip(&format!("address flush dev {INTERFACE}"));
    let daemon = watch(&lab);
    if is_native {
        daemon.log().wait_for(&format!("{INTERFACE}: generic XDP, until it is configured"));
    }
    for member in [&lab.host, &lab.scanner, &lab.bystander] {
        member.ip(&format!("link set {INTERFACE} mtu 9000"));
    }
    for family in FAMILIES {
        let (address, length) = (family.host(), family.prefix());
        lab.host.ip(&format!("address replace {address}/{length} dev {INTERFACE} nodad"));
    }
    if is_native {
        let ends = ["native XDP, now that it is configured", "generic XDP, because the driver reported"];
        daemon.wait_until("its mode is settled", || ends.iter().any(|line| daemon.log().count(line) > 0));
        println!(
            "{:?}",
            daemon.log().lines().iter().filter(|line| line.contains(" XDP")).collect::<Vec<_>>()
        );
    }
    let talks = talks(&lab);
    assert_enforced(&lab, &daemon, &talks);
}
