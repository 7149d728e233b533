//! A separate network namespace for a thread, with the test host's addresses and sockets.

use std::{
    io::Write,
    net::UdpSocket,
    panic::resume_unwind,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use nix::{
    sched::{CloneFlags, unshare},
    unistd::geteuid,
};

use crate::{
    sockets::Socket,
    test_host::{OWN, PEERS},
};

/// Runs `test` in a new network namespace with `sockets` open. For `BPF_PROG_TEST_RUN`, frames arrive on the
/// namespace's loopback interface.
pub fn with_sockets<T: Send>(sockets: &[Socket], test: impl FnOnce() -> T + Send) -> T {
    assert!(
        geteuid().is_root(),
        "this test loads the kernel program and creates a network namespace: run it as root"
    );
    let in_namespace = || {
        unshare(CloneFlags::CLONE_NEWNET).expect("a new network namespace");
        bring_up();
        let open: Vec<_> = sockets.iter().map(Socket::open).collect();
        let result = test();
        drop(open);
        result
    };
    thread::scope(|scope| scope.spawn(in_namespace).join()).unwrap_or_else(|panic| resume_unwind(panic))
}

fn bring_up() {
    let mut script = "link set lo up\n".to_owned();
    for address in OWN.iter().chain(&PEERS) {
        let length = if address.contains(':') { "128 nodad" } else { "32" };
        let (length, flags) = length.split_once(' ').unwrap_or((length, ""));
        script.extend(["address add ", address, "/", length, " dev lo ", flags, "\n"]);
    }
    let mut ip = Command::new("ip")
        .args(["-batch", "-"])
        .stdin(Stdio::piped())
        .spawn()
        .expect("`ip` of the Debian package iproute2");
    ip.stdin.take().expect("a pipe").write_all(script.as_bytes()).expect("`ip` reads its script");
    assert!(ip.wait().expect("`ip` ends").success(), "`ip` refused:\n{script}");
    for address in OWN.iter().chain(&PEERS) {
        await_route(address);
    }
}

/// Waits until the kernel has a route to `address`, an IPv6 address of this namespace. The kernel adds it
/// asynchronously.
fn await_route(address: &str) {
    const PATIENCE: Duration = Duration::from_secs(10);
    let start = Instant::now();
    let connect = || UdpSocket::bind((address, 0)).and_then(|socket| socket.connect((address, 9)));
    while let Err(error) = connect() {
        assert!(start.elapsed() < PATIENCE, "{address} can't be reached: {error}");
        thread::yield_now();
    }
}
