//! The program for outgoing packets: it is looked after, its place is shown, and it is replaced without a gap.

use std::{
    env, fs,
    net::SocketAddr,
    path::PathBuf,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::Duration,
};

use nix::{net::if_::if_nametoindex, sys::signal::Signal};
use portsentry_tests::{
    frames::{ACK, Layer, RST, tcp},
    kernel::InKernel,
    lab::{Daemon, Family, INTERFACE, Lab, Probe, Wire, segment},
    scenario::{Scenario, learning},
};

use super::gateway_answers::{make_gateway, watching};

/// Returns the index of an interface of the host.
fn index(lab: &Lab, interface: &str) -> u32 {
    lab.host.enter(|| if_nametoindex(interface)).expect("the interface's index")
}

/// Returns the pin of the program for outgoing packets of an interface.
fn pin(daemon: &Daemon<'_>, interface: &str) -> PathBuf {
    daemon.pins().join("egress").join(index(daemon.lab(), interface).to_string())
}

/// Detaches the program for outgoing packets, but leaves its pin. Without links, removes the queueing discipline.
fn detach(daemon: &Daemon<'_>, interface: &str) {
    let host = &daemon.lab().host;
    let pin = pin(daemon, interface);
    if pin.exists() {
        host.run("bpftool", &["link", "detach", "pinned", &pin.display().to_string()]);
    } else {
        host.run("tc", &["qdisc", "del", "dev", interface, "clsact"]);
    }
}

#[test]
fn a_program_that_others_have_detached_is_attached_again() {
    let lab = Lab::new();
    let daemon = lab.portsentry("-stcp").with("INTERFACES", INTERFACE).start();
    let said = |command| daemon.setup().say(command).out;
    let seen = format!("seen on {INTERFACE} by ");
    for round in 1..=2 {
        assert!(said("status").contains(&seen), "{}", said("status"));
        assert!(said("doctor").contains("outgoing packets are seen by "), "{}", said("doctor"));
        detach(&daemon, INTERFACE);
        assert!(said("status").contains(&format!("not seen on {INTERFACE}")), "{}", said("status"));
        assert!(said("doctor").contains("another program has detached PortSentry's"), "{}", said("doctor"));
        let news = "the program for outgoing packets is attached again";
        daemon.wait_until("it is attached again", || daemon.log().count(news) == round);
    }
    assert!(said("status").contains(&seen), "{}", said("status"));
}

/// The second interface shows when the daemon has looked.
#[test]
fn a_removed_pin_comes_back_with_a_reload_and_not_before() {
    let lab = Lab::new();
    lab.plug_in_second(&lab.bystander);
    let daemon = lab.portsentry("-stcp").with("INTERFACES", "eth0,eth1").start();
    if !daemon.pins().join("egress").exists() {
        println!("skipped: this kernel has no TCX");
        return;
    }
    let pin = pin(&daemon, "eth0");
    fs::remove_file(&pin).expect("a pin");
    daemon.log().wait_for("its pin was removed; `portsentry reload` attaches it again");
    for round in 1..=2 {
        detach(&daemon, "eth1");
        let news = "eth1: the program for outgoing packets is attached again";
        daemon.wait_until("the daemon looks", || daemon.log().count(news) == round);
    }
    assert!(!pin.exists() && daemon.log().count("eth0: the program for outgoing packets") == 0);
    assert_eq!(daemon.setup().say("reload").code, 0);
    assert!(pin.exists());
}

#[test]
fn a_program_before_ours_is_named() {
    let lab = Lab::new();
    let daemon = lab.portsentry("-stcp").with("INTERFACES", INTERFACE).start();
    if !daemon.pins().join("egress").exists() {
        println!("skipped: this kernel has no TCX");
        return;
    }
    let said = |command| daemon.setup().say(command).out;
    assert!(said("doctor").contains("by TCX, before all other programs"), "{}", said("doctor"));
    let other = lab.host.enter(|| {
        let mut other = InKernel::new(&Scenario::with(learning));
        other.kernel().attach_traffic(index(&lab, INTERFACE), 1500).expect("another program is attached");
        other
    });
    assert!(said("doctor").contains("only those that portsentry_egre"), "{}", said("doctor"));
    let status = daemon.setup().say("status --json").json();
    let after = &status["interfaces"][0]["outgoing"]["after"];
    assert_eq!(after.as_array().map(Vec::len), Some(1), "{status}");
    drop(other);
}

/// In each replacement the next program must withhold from the first packet on. `REPLACEMENTS` sets their number.
#[test]
fn no_answer_to_a_fenced_source_leaves_while_programs_are_replaced() {
    const PAUSE: Duration = Duration::from_micros(200);
    let replacements = env::var("REPLACEMENTS").map_or(4, |text| text.parse().expect("a number"));
    let lab = Lab::new();
    let behind = make_gateway(&lab);
    let source = lab.source(Family::V4);
    let daemon = watching(&lab, "enforce").start();
    let _probe = Probe::tcp(&lab.scanner, source, SocketAddr::new(behind, 11));
    daemon.wait_until("it is fenced", || daemon.fenced().contains(&source));
    lab.host.ip("link set eth1 address 02:00:00:00:00:71\n");
    let refusal = tcp(RST | ACK).numbers(0, 1);
    let ends = [SocketAddr::new(behind, 2000), SocketAddr::new(source, 40_000)];
    let frame = refusal.from(&ends[0].to_string()).to(&ends[1].to_string());
    let frame = frame.with(Layer::Link, 0, &[2, 0, 0, 0, 0, 0x71]).frame(0);
    let (mouth, ear) = (Wire::mouth_at(&lab.bystander, "eth1"), Wire::ear(&lab.scanner, Family::V4));
    let (is_over, sent) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                mouth.send_frame(&frame);
                sent.fetch_add(1, Ordering::Relaxed);
                thread::sleep(PAUSE);
            }
        });
        for round in 1..=replacements {
            let before = daemon.counter("withheld");
            daemon.wait_until("answers are withheld", || daemon.counter("withheld") > before);
            daemon.signal(Signal::SIGHUP);
            daemon.wait_until("its program is replaced", || {
                daemon.log().count("Configuration reloaded") == round
            });
        }
        is_over.store(true, Ordering::Relaxed);
    });
    let (sent, withheld) = (sent.into_inner(), daemon.counter("withheld"));
    println!("{replacements} replacements: {sent} refusals sent, {withheld} withheld");
    assert!(withheld > sent / 2 && withheld <= sent, "{sent} were sent, {withheld} withheld");
    let leaked = std::iter::from_fn(|| ear.receive(Duration::ZERO));
    let leaked = leaked.filter_map(|frame| segment(&frame)).filter(|found| found.source == ends[0]).count();
    assert_eq!(leaked, 0, "of {sent}");
}
