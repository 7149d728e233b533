//! Changes of the system clock. Namespaces share this clock, so the tests run on a virtual machine that `cargo
//! xtask vm` boots.

use std::{
    net::IpAddr,
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::time::TimeSpec,
    time::{ClockId, clock_gettime, clock_settime},
};
use portsentry_tests::lab::{Daemon, Family, Lab, remove_pins};

const HOUR: i64 = 3600;
/// Maximum delay until the daemon notices the end of a block on an emulated processor.
const LATE: Duration = Duration::from_secs(30);

/// Returns the wall clock's time in seconds since 1970.
fn now() -> i64 {
    clock_gettime(ClockId::CLOCK_REALTIME).expect("the time").tv_sec()
}

/// Moves the wall clock forward or back.
fn step(seconds: i64) {
    let time = TimeSpec::new(now() + seconds, 0);
    clock_settime(ClockId::CLOCK_REALTIME, time).expect("root sets the clock");
}

/// Returns the time of the source's block according to the blocked file, in seconds since 1970.
fn written(daemon: &Daemon<'_>, source: IpAddr) -> i64 {
    let records = daemon.file_about("BLOCKED_FILE", source);
    let [record] = records.as_slice() else { panic!("{records:?}") };
    let second = record.split(' ').next().unwrap_or_default();
    second.parse().unwrap_or_else(|_| panic!("{record}"))
}

#[ignore = "sets the machine's clock: `cargo xtask vm` runs it in a machine of its own"]
#[test]
fn a_block_lasts_as_long_as_ever_whatever_the_clock_is_set_to() {
    let lab = Lab::new();
    let begin = Instant::now();
    lab.portsentry("-stcp").start().kill();
    // Long enough for four starts of the daemon on this machine.
    let block_time = Duration::from_secs(begin.elapsed().as_secs() * 16 + 10);
    let setup = lab.portsentry("-stcp").with("BLOCK_TIME", &block_time.as_secs().to_string());
    let mut daemon = setup.start();
    let source = lab.source(Family::V4);
    let before = Instant::now();
    lab.nmap(source, "-sS -p 11");
    daemon.wait_for_block(source);
    let after = Instant::now();
    for seconds in [HOUR, -2 * HOUR, HOUR] {
        step(seconds);
        assert!(daemon.blocked().contains(&source), "the clock was set by {seconds} s");
        daemon.kill();
        daemon = setup.start();
        assert!(daemon.blocked().contains(&source), "it was restarted after that");
        daemon.wait_until("the file's times follow", || {
            let ago = before.elapsed().as_secs().cast_signed();
            (now() - ago - written(&daemon, source)).abs() < HOUR / 2
        });
        assert!(before.elapsed() < block_time, "this machine is too slow for this test");
    }
    // A reboot leaves only the file.
    daemon.kill();
    remove_pins(&lab.pins());
    daemon = setup.start();
    assert!(daemon.blocked().contains(&source), "the file names it");
    let latest = after + block_time + LATE;
    while daemon.blocked().contains(&source) {
        assert!(Instant::now() < latest, "it should have ended {LATE:?} ago");
        thread::sleep(Duration::from_millis(100));
    }
    assert!(before.elapsed() >= block_time, "it ended {:?} after it began at the earliest", before.elapsed());
}
