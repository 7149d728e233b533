//! Requests and changes of the host delay neither the log nor the watchdog nor the ring.

use std::{
    io::{Read, Write},
    os::unix::net::UnixStream,
    path::Path,
    process::{Child, Stdio},
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
    thread,
    time::{Duration, Instant},
};

use portsentry_tests::lab::{Daemon, INTERFACE, Lab, Namespace, Wire, stranger};

/// Maximum delay until a probe is logged.
const SOON: Duration = Duration::from_secs(3);

/// Returns the delay until a probe of a new source is logged.
fn latency(daemon: &Daemon<'_>, wire: &Wire, number: u16) -> Duration {
    let source = stranger(number);
    let begin = Instant::now();
    wire.probe(source);
    daemon.log().wait_for(&source.to_string());
    begin.elapsed()
}

/// Sends probes from new sources. The log must soon have each of them.
fn assert_prompt(daemon: &Daemon<'_>, wire: &Wire) {
    for number in 1..=5 {
        let late = latency(daemon, wire, number);
        assert!(late < SOON, "probe {number} was logged after {late:?}");
    }
}

/// Makes a request repeatedly, and counts the answers; those that there is no room for count, too.
fn ask(path: &Path, request: &str, is_over: &AtomicBool, answers: &AtomicU32) {
    while !is_over.load(Ordering::Relaxed) {
        let mut said = String::new();
        let asked = UnixStream::connect(path).and_then(|mut stream| {
            stream.write_all(format!("{{\"v\":1,\"do\":{request}}}\n").as_bytes())?;
            stream.read_to_string(&mut said)
        });
        let is_answer = said.contains("\"ok\"") || said.contains("\"busy\"");
        answers.fetch_add(u32::from(asked.is_ok() && is_answer), Ordering::Relaxed);
    }
}

/// Stops the other threads when a test ends, even by a panic.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Asserts that the log is prompt while eight clients repeat `requests` without a pause.
fn assert_prompt_beside(requests: &[&str]) {
    const ANSWERS: u32 = 500;
    let lab = Lab::new();
    let setup = lab.portsentry("-stcp");
    let daemon = setup.start();
    let wire = Wire::mouth(&lab.scanner);
    let path = setup.path("CONTROL_SOCKET");
    let (is_over, answers) = (AtomicBool::new(false), AtomicU32::new(0));
    thread::scope(|scope| {
        for client in 0..8 {
            let request = requests[client % requests.len()];
            let (path, is_over, answers) = (&path, &is_over, &answers);
            scope.spawn(move || ask(path, request, is_over, answers));
        }
        let _over = Over(&is_over);
        daemon.wait_until("it answers", || answers.load(Ordering::Relaxed) >= ANSWERS);
        assert_prompt(&daemon, &wire);
    });
}

#[test]
fn requests_at_the_control_socket_dont_put_off_the_log() {
    assert_prompt_beside(&["\"status\""]);
}

#[test]
fn looking_doesnt_put_off_the_log() {
    assert_prompt_beside(&[
        "\"list\"",
        "\"history\"",
        "\"top\"",
        "\"why\",\"address\":\"198.51.100.1\"",
        "\"status\",\"report\":true",
    ]);
}

/// Changes a route repeatedly. Ends when dropped.
struct Churn(Child);

impl Churn {
    fn begin(namespace: &Namespace, gateway: &str) -> Self {
        let script = format!(
            "i=0; while :; do i=$(( (i + 1) % 250 )); echo \"route replace 198.18.$i.0/24 via {gateway} dev {INTERFACE}\"; \
             sleep 0.03; done | ip -batch -"
        );
        let mut command = namespace.command("sh");
        let child = command.args(["-c", &script]).stderr(Stdio::null()).spawn().expect("a shell");
        Self(child)
    }
}

impl Drop for Churn {
    fn drop(&mut self) {
        // Dropping it closes its pipe.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Whether the namespace has a route of the churn.
fn has_churned(namespace: &Namespace) -> bool {
    namespace.run("ip", &["route", "show", "198.18.60.0/24"]).contains("198.18.60.0")
}

#[test]
fn changes_of_routes_dont_put_off_the_log() {
    let lab = Lab::new();
    let setup = lab.portsentry("-stcp");
    let daemon = setup.start();
    let wire = Wire::mouth(&lab.scanner);
    let _churn = Churn::begin(&lab.host, "192.0.2.2");
    daemon.wait_until("routes change", || has_churned(&lab.host));
    assert_prompt(&daemon, &wire);
}
