//! Sends packets through a gateway, from one veth pair to another. The gateway runs portsentry on both interfaces, or
//! nothing.

use std::{
    process,
    sync::atomic::{AtomicU32, Ordering},
};

use anyhow::{Context, Result, ensure};
use nix::net::if_::if_nametoindex;
use portsentry::policy::placement::Placement;
use portsentry_common::settings::{Answers, Settings};
use portsentry_tests::lab::{INTERFACE, Namespace};

use crate::{
    bed::{Bed, Making},
    paths::{paths, settings},
    rate::{Measurement, in_turns},
    report::Report,
    sender::Sender,
};

/// The packet.
const SENT: &str = "forwarded TCP data, IPv4";
/// Packets in a run.
const FRAMES: u32 = 200_000;
/// The gateway's interface towards the receiver.
const OUT: &str = "eth1";
/// The destination hardware address of this bench's frames, and another for the receiver.
const GATEWAY: &str = "06:06:06:06:06:06";
const RECEIVER: &str = "06:06:06:06:06:07";
/// The gateways.
const GUARDS: [(&str, Option<Answers>); 3] = [
    ("nobody", None),
    ("portsentry, ANSWERS off", Some(Answers::Off)),
    ("portsentry, ANSWERS enforce", Some(Answers::Enforce)),
];

/// A sender, a gateway and a receiver.
struct Way {
    sender: Namespace,
    gateway: Namespace,
    receiver: Namespace,
    bed: Option<Box<Bed>>,
}

/// Measures all gateways in turns.
pub(crate) fn rates(rounds: u32, report: &mut Report) -> Result<()> {
    let path = paths().into_iter().find(|path| path.name == SENT).context("a path")?;
    let ways = GUARDS.map(|(name, answers)| Ok((name, Way::new(&path.packet, answers)?)));
    let ways = ways.into_iter().collect::<Result<Vec<_>>>()?;
    let mut measurements: Vec<Measurement<'_>> = Vec::new();
    for (name, way) in &ways {
        let sender = Sender::restoring(&way.sender, path.packet.frame(0))?;
        let measure = move || way.measure(&sender);
        measurements.push((format!("forwarded: {name}"), Box::new(measure)));
    }
    report.forwarded = in_turns(measurements, rounds)?;
    Ok(())
}

impl Way {
    fn new(packet: &portsentry_tests::frames::Packet, answers: Option<Answers>) -> Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let [sender, gateway, receiver] = ["sender", "gateway", "receiver"]
            .map(|role| Namespace::new(&format!("portsentry-bench-way-{}-{number}-{role}", process::id())));
        sender.ip(&format!(
            "link set lo up\nlink add {INTERFACE} type veth peer name {INTERFACE} address {GATEWAY} netns {}\n\
             link set {INTERFACE} up",
            gateway.name()
        ));
        receiver.ip(&format!(
            "link add {INTERFACE} address {RECEIVER} type veth peer name {OUT} netns {}\nlink set {INTERFACE} up",
            gateway.name()
        ));
        let target = packet.destination().ip();
        gateway.ip(&format!(
            "link set lo up\nlink set {INTERFACE} up\nlink set {OUT} up\nroute add {target} dev {OUT}\n\
             neigh add {target} lladdr {RECEIVER} dev {OUT}"
        ));
        gateway.run("sysctl", &["-qw", "net.ipv4.ip_forward=1"]);
        for interface in ["all", "default", INTERFACE] {
            gateway.run("sysctl", &["-qw", &format!("net.ipv4.conf.{interface}.rp_filter=0")]);
        }
        // The gateway polls frames, as from a driver.
        gateway.run("ethtool", &["-K", INTERFACE, "gro", "on"]);
        let bed = answers.map(|answers| gateway.enter(|| guard(answers)).map(Box::new)).transpose()?;
        Ok(Self { sender, gateway, receiver, bed })
    }

    /// Returns the packets per second that the receiver got. Fails unless the gateway forwarded nearly all that it
    /// received. The margin is for frames in flight.
    fn measure(&self, sender: &Sender<'_>) -> Result<f64> {
        let count = || [&self.gateway, &self.receiver].map(|at| at.frames(INTERFACE, "rx"));
        let before = count();
        let took = sender.send(FRAMES)?;
        let after = count();
        let [received, forwarded] = [0, 1].map(|at| after[at] - before[at]);
        ensure!(
            forwarded * 100 > received * 85,
            "{forwarded} of {received} were forwarded, {} portsentry",
            if self.bed.is_some() { "with" } else { "without" }
        );
        Ok(f64::from(u32::try_from(forwarded)?) / took)
    }
}

/// Makes portsentry watch both interfaces of this network namespace.
fn guard(answers: Answers) -> Result<Bed> {
    let settings = Settings { event_rate: 0, fence_ns: 1, answers: answers as u8, ..settings() };
    let mut bed = Making { settings, ..Making::new(1_000) }.load()?;
    for interface in [INTERFACE, OUT] {
        bed.kernel.attach_traffic(if_nametoindex(interface)?, 1500)?;
        bed.kernel.attach(interface, Placement::Auto)?;
    }
    Ok(bed)
}
