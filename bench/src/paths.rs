//! The important paths through the kernel program, and their lengths.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
};

use anyhow::{Context, Result, ensure};
use portsentry::kernel::OBJECT;
use portsentry_common::{
    block::Block,
    bound::{Horizon, Slot, slot, stamp},
    classify::Protocol,
    environment::Locality,
    gate::{self, Gated, Held},
    settings::{AckProbes, Response, Settings},
};
use portsentry_tests::frames::{ACK, PSH, Packet, RST, SYN, tcp, udp};

use crate::{
    machine::{self, Environment, Program, Run},
    suspects::{FENCED, Suspect},
};

const PASS: u32 = 2;
const DROP: u32 = 1;

/// A packet, and the expected result.
#[derive(Clone, Debug)]
pub struct Path {
    /// A short description.
    pub name: &'static str,
    /// The packet.
    pub packet: Packet,
    /// Whether it passes.
    pub passes: bool,
}

/// A blocked source of each address family.
pub const BLOCKED: [&str; 2] = ["192.0.2.66", "2001:db8:bad::66"];
/// An honest source beside it, whose bit in the gate is set.
pub const NEIGHBOURS: [&str; 2] = ["192.0.2.67", "2001:db8:bad::67"];
/// An honest source of each address family that shares no bit of the gate with a blocked one.
pub const HONEST: [&str; 2] = ["203.0.113.9", "2001:db8:900d::1"];
/// The host's own addresses.
pub const OWN: [&str; 2] = ["198.51.100.1", "2001:db8::1"];
/// The port of its services, over TCP and UDP.
pub const SERVED: u16 = 443;
/// A port that is not watched.
pub const UNWATCHED: u16 = 113;

/// Returns the paths, the same for IPv4 and IPv6.
#[must_use]
pub fn paths() -> Vec<Path> {
    let v4 = |port: u16| format!("198.51.100.1:{port}");
    let v6 = |port: u16| format!("[2001:db8::1]:{port}");
    let data = || tcp(PSH | ACK).payload(100);
    let datagram = || udp().payload(100);
    let sent_by = |sources: [&str; 2], packet: Packet| {
        let source = sources[usize::from(packet.destination().is_ipv6())];
        packet.from(&SocketAddr::new(source.parse().expect("an address"), 40_000).to_string())
    };
    let honest = |packet| sent_by(HONEST, packet);
    let blocked = |packet| sent_by(BLOCKED, packet);
    let neighbour = |name, packet| Path { name, packet: sent_by(NEIGHBOURS, packet), passes: true };
    let path = |name, packet| Path { name, packet: honest(packet), passes: true };
    let gone = |name, packet| Path { name, packet: blocked(packet), passes: false };
    vec![
        path("TCP data to a service, IPv4", data().to(&v4(SERVED))),
        path("TCP data to a service, IPv6", data().to(&v6(SERVED))),
        path("UDP to a service, IPv4", datagram().to(&v4(SERVED))),
        path("UDP to a service, IPv6", datagram().to(&v6(SERVED))),
        path("TCP data to a service, IPv4 in a VLAN", data().to(&v4(SERVED)).vlan(7)),
        path("TCP data to a service, IPv6 in a VLAN", data().to(&v6(SERVED)).vlan(7)),
        path("forwarded TCP data, IPv4", data().to("203.0.113.80:443")),
        path("forwarded TCP data, IPv6", data().to("[2001:db8:f::80]:443")),
        path("TCP data to a port that isn't watched, IPv4", data().to(&v4(UNWATCHED))),
        path("TCP data to a port that isn't watched, IPv6", data().to(&v6(UNWATCHED))),
        path("UDP to a port that isn't watched, IPv4", datagram().to(&v4(UNWATCHED))),
        path("UDP to a port that isn't watched, IPv6", datagram().to(&v6(UNWATCHED))),
        neighbour("TCP data from a blocked source's neighbour, IPv4", data().to(&v4(SERVED))),
        neighbour("TCP data from a blocked source's neighbour, IPv6", data().to(&v6(SERVED))),
        path("a reset, IPv4", tcp(RST).to(&v4(SERVED))),
        path("a reset, IPv6", tcp(RST).to(&v6(SERVED))),
        path("a SYN to a service, IPv4", tcp(SYN).to(&v4(SERVED))),
        path("a SYN to a service, IPv6", tcp(SYN).to(&v6(SERVED))),
        path("no IP", data().to(&v4(SERVED)).announced_as(0x0806)),
        gone("a blocked source, IPv4", tcp(SYN).to(&v4(1))),
        gone("a blocked source, IPv6", tcp(SYN).to(&v6(1))),
        gone("a blocked source, IPv4 in a VLAN", tcp(SYN).to(&v4(1)).vlan(7)),
        gone("a blocked source, IPv6 in a VLAN", tcp(SYN).to(&v6(1)).vlan(7)),
    ]
}

/// Returns the settings for most paths.
#[must_use]
pub fn settings() -> Settings {
    Settings {
        event_rate: 1000,
        trigger: 1,
        tcp_response: Response::Block as u8,
        udp_response: Response::Block as u8,
        ack_probes: AckProbes::Report as u8,
        remembers: 1,
        keeps_served: 1,
        ..Settings::UNSET
    }
}

/// Counts each path's instructions and calls.
pub fn count() -> Result<BTreeMap<String, Run>> {
    let mut counts = count_settled()?;
    for (name, suspect) in Suspect::named() {
        let program = Program::parse(OBJECT, "portsentry", &suspect.response.settings())?;
        let mut env = env(&program)?;
        // The first run only fills the benign-flow cache's head.
        machine::run(&program, &mut env, &suspect.frame).context(name.clone())?;
        let run = machine::run(&program, &mut env, &suspect.frame).context(name.clone())?;
        ensure!(run.action == suspect.action, "{name}: {run:?}");
        counts.insert(name, run);
    }
    Ok(counts)
}

/// Counts the paths of [`paths`] with a filled benign-flow cache.
fn count_settled() -> Result<BTreeMap<String, Run>> {
    let program = Program::parse(OBJECT, "portsentry", &settings())?;
    let mut env = env(&program)?;
    let count = |path: Path| {
        let frame = path.packet.frame(0);
        let first = machine::run(&program, &mut env, &frame).context(path.name)?;
        let run = machine::run(&program, &mut env, &frame).context(path.name)?;
        let action = if path.passes { PASS } else { DROP };
        ensure!([first.action, run.action] == [action; 2], "{}: {first:?}, then {run:?}", path.name);
        Ok((path.name.to_owned(), run))
    };
    paths().into_iter().map(count).collect()
}

/// Watches all ports but one, opens a service on another, and blocks a source of each address family.
fn env(program: &Program) -> Result<Environment> {
    let mut env = Environment::new(program);
    for map in ["ADVANCED_TCP", "ADVANCED_UDP"] {
        for word in 0_u32..1024 {
            let bits = if word == u32::from(UNWATCHED) / 64 { !(1 << (UNWATCHED % 64)) } else { u64::MAX };
            env.enter(program, map, &word.to_le_bytes(), &bits.to_le_bytes())?;
        }
    }
    for address in OWN {
        let octets = octets(address);
        let length = u32::try_from(octets.len() * 8)?;
        let map = if octets.len() == 4 { "LOCAL_V4" } else { "LOCAL_V6" };
        let key = [&length.to_le_bytes()[..], &octets].concat();
        env.enter(program, map, &key, &(Locality::Own as u32).to_le_bytes())?;
        env.listen([&octets[..], &SERVED.to_be_bytes()].concat());
    }
    // The daemon's state at rest: it sees every bind, and saw listeners on all addresses a moment ago.
    let now = stamp(0);
    let horizon = Horizon { open: now, bound: now, dumped: now, is_complete: 1, traps: [0; 4] };
    env.enter(program, "BOUND_HORIZON", &[0; 4], bytemuck::bytes_of(&horizon))?;
    for (protocol, version) in
        [(Protocol::Tcp, 4), (Protocol::Tcp, 6), (Protocol::Udp, 4), (Protocol::Udp, 6)]
    {
        let index = u32::try_from(slot(protocol, version, SERVED))?;
        let seen = Slot { bound: now + 1, open: now + 1 };
        env.enter(program, "BOUND", &index.to_le_bytes(), bytemuck::bytes_of(&seen))?;
    }
    for (addresses, held, maps) in [
        (BLOCKED, Held::Blocked, ["BLOCKED_V4", "BLOCKED_V6"]),
        (FENCED, Held::Fenced, ["FENCED_V4", "FENCED_V6"]),
    ] {
        for (address, map) in addresses.into_iter().zip(maps) {
            hold(program, &mut env, address, (held, map))?;
        }
    }
    Ok(env)
}

/// Enters a source in a map of blocked or fenced sources, and in the gate.
fn hold(program: &Program, env: &mut Environment, address: &str, (held, map): (Held, &str)) -> Result<()> {
    let (gate, bit) = match address.parse().context("an address")? {
        IpAddr::V4(address) => (".bss.gate_v4", portsentry_common::address::Ipv4::from(address).bit()),
        IpAddr::V6(address) => (".bss.gate_v6", portsentry_common::address::Ipv6::from(address).bit()),
    };
    let block: Block = bytemuck::Zeroable::zeroed();
    env.enter(program, map, &octets(address), bytemuck::bytes_of(&block))?;
    env.set_bits(program, gate, gate::HEAD * 8 + gate::word_of(bit) * 4, gate::mask_of(bit, held))
}

fn octets(address: &str) -> Vec<u8> {
    match address.parse().expect("an address") {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}
