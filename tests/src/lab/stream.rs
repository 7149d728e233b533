//! A stream of packets from one source. The host answers them as long as nothing drops them.

use std::{
    io::Read,
    net::IpAddr,
    process::{Child, Stdio},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::{Family, Lab, Namespace};

/// Echo requests. Ends when dropped.
pub struct Stream(Child);

impl Lab {
    /// Starts sending five hundred echo requests a second from `source` to the host, without an end.
    pub fn keep_sending(&self, source: IpAddr) -> Stream {
        Stream::start(&self.scanner, source, "0.002")
    }
}

impl Stream {
    /// Starts sending echo requests from `source`, in `namespace`, to the host, without an end. `interval` is in seconds.
    pub fn start(namespace: &Namespace, source: IpAddr, interval: &str) -> Self {
        Self::to(namespace, source, Family::of(source).host(), interval)
    }

    /// The same, to this address of the host.
    pub fn to(namespace: &Namespace, source: IpAddr, host: IpAddr, interval: &str) -> Self {
        let mut ping = namespace.command("ping");
        // Quiet, because it would wait for somebody to read a line about each answer.
        ping.args(["-n", "-q", "-i", interval, "-I", &source.to_string(), &host.to_string()]);
        Self(ping.stdout(Stdio::piped()).spawn().expect("`ping`"))
    }

    /// Stops, and returns the number of packets sent and of answers received. The last answer may be missing.
    ///
    /// # Panics
    ///
    /// If `ping` prints no summary.
    pub fn end(mut self) -> (usize, usize) {
        let process = Pid::from_raw(self.0.id().cast_signed());
        kill(process, Signal::SIGINT).expect("a signal is sent");
        let mut text = String::new();
        self.0.stdout.take().expect("a pipe").read_to_string(&mut text).expect("text");
        self.0.wait().expect("it ends");
        let summary = text.lines().find(|line| line.contains("packets transmitted")).expect("a summary");
        let mut numbers = summary.split_whitespace().filter_map(|word| word.parse().ok());
        (numbers.next().expect("a number"), numbers.next().expect("another"))
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // It has already ended if `end` was called.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
