//! Two network namespaces joined by a veth pair, removed at the end of the run.

use std::{
    process,
    sync::atomic::{AtomicU32, Ordering},
};

use anyhow::{Context, Result};
use portsentry_tests::{
    lab::{INTERFACE, Namespace},
    sockets::{Open, Socket},
};

use crate::paths::{OWN, SERVED};

/// Destination hardware address of this bench's frames.
const HARDWARE_ADDRESS: &str = "06:06:06:06:06:06";

/// A sender, and a host with a service.
pub(super) struct Pair {
    pub(super) sender: Namespace,
    pub(super) host: Namespace,
    _service: Open,
}

impl Pair {
    pub(super) fn new() -> Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let namespace =
            |role: &str| Namespace::new(&format!("portsentry-bench-{}-{number}-{role}", process::id()));
        let (sender, host) = (namespace("sender"), namespace("host"));
        sender.ip(&format!(
            "link set lo up\nlink add {INTERFACE} type veth peer name {INTERFACE} address {HARDWARE_ADDRESS} netns {}\n\
             link set {INTERFACE} up",
            host.name()
        ));
        host.ip(&format!(
            "link set lo up\naddress add {}/32 dev {INTERFACE}\nlink set {INTERFACE} up\n\
             route add default dev {INTERFACE}",
            OWN[0]
        ));
        // Answers to unknown addresses are not part of the measurement.
        for interface in ["all", "default", INTERFACE] {
            host.run("sysctl", &["-qw", &format!("net.ipv4.conf.{interface}.rp_filter=0")]);
        }
        // The host polls frames, as from a driver.
        host.run("ethtool", &["-K", INTERFACE, "gro", "on"]);
        let at = format!("{}:{SERVED}", OWN[0]).parse().context("an address")?;
        let service = host.enter(|| Socket::Bound(at).open());
        Ok(Self { sender, host, _service: service })
    }

    /// Returns the number of packets that the host's interface has received.
    pub(super) fn received(&self) -> Result<f64> {
        let text = self.host.run("ip", &["-j", "-s", "link", "show", INTERFACE]);
        let links: serde_json::Value = serde_json::from_str(&text)?;
        links[0]["stats64"]["rx"]["packets"].as_f64().context("`ip` counts packets")
    }

    /// Returns the number of datagrams delivered to the service. Its queue is usually full, because no process
    /// reads it.
    pub(super) fn delivered(&self) -> Result<f64> {
        let text = self.host.run("cat", &["/proc/net/snmp"]);
        let mut lines = text.lines().filter(|line| line.starts_with("Udp:"));
        let (names, values) = (lines.next().context("names")?, lines.next().context("values")?);
        let counters = names.split(' ').zip(values.split(' '));
        let errors = counters.filter(|(name, _)| ["InDatagrams", "RcvbufErrors"].contains(name));
        errors.map(|(_, value)| Ok(value.parse::<f64>()?)).sum()
    }
}
