//! The lengths of the paths through the kernel program.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
};

use anyhow::{Context, Result, ensure};
use portsentry::kernel::OBJECT;
use portsentry_common::{
    address::{Address, Ipv4, Ipv6},
    block::Block,
    bound::{Horizon, Slot, slot, stamp},
    challenge::{Constants, NearConstants},
    classify::Protocol,
    environment::Locality,
    gate::{self, Gated, Held},
    local_hosts::{self, LocalHost},
    settings::{Answers, ScanDetection, Settings},
    token_bucket::TokenBuckets,
};
use portsentry_tests::frames::{SYN, tcp};

use crate::{
    cases::{UNSERVED_SYNS, in_family},
    leaving::{BEHIND, Leaving},
    machine::{self, Environment, Program, Run},
    paths::{BLOCKED, FENCED, OWN, Path, SERVED, UNWATCHED, paths, settings},
    sources::{FAMILIES, Family},
    suspects::Suspect,
};

/// The interface on which all frames arrive.
const INTERFACE: u32 = 1;
const PASS: u32 = 2;
const DROP: u32 = 1;

/// Counts each path's instructions and calls.
pub fn count() -> Result<BTreeMap<String, Run>> {
    let mut counts = count_settled(&settings())?;
    // The same with answers that decide, for honest packets.
    let learning = Settings { fence_ns: 1, answers: Answers::Enforce as u8, ..settings() };
    let honest = count_settled(&learning)?.into_iter();
    let honest = honest.filter(|(name, _)| HONEST.iter().any(|honest| name.starts_with(honest)));
    counts.extend(honest.map(|(name, run)| (format!("{name}, ANSWERS enforce"), run)));
    for (name, suspect) in Suspect::named() {
        let program = Program::parse(OBJECT, "portsentry", &suspect.response.settings())?;
        let mut env = env(&program)?;
        // The first run only fills the benign-flow cache's head.
        machine::run(&program, &mut env, &suspect.frame).context(name.clone())?;
        let run = machine::run(&program, &mut env, &suspect.frame).context(name.clone())?;
        ensure!(run.action == suspect.action, "{name}: {run:?}");
        counts.insert(name, run);
    }
    for family in FAMILIES {
        for (what, scans) in UNSERVED_SYNS {
            let name = in_family(what, family);
            let run = count_unserved(family, scans).context(name.clone())?;
            counts.insert(name, run);
        }
    }
    for (name, _, leaving) in Leaving::named() {
        let run = count_leaving(&leaving).context(name.clone())?;
        ensure!(run.action == leaving.result, "{name}: {run:?}");
        counts.insert(name, run);
    }
    Ok(counts)
}

/// Counts the path of a new source's SYN to an own port that is neither watched nor served.
fn count_unserved(family: Family, scans: ScanDetection) -> Result<Run> {
    /// Two sources, the first of which fills the benign-flow cache's head.
    const SOURCES: [[&str; 2]; 2] = [
        ["203.0.113.9:40000", "203.0.113.10:40000"],
        ["[2001:db8:900d::1]:40000", "[2001:db8:900e::1]:40000"],
    ];
    let settings = Settings { scans: scans as u8, scan_key: 7, ..settings() };
    let mut program = Program::parse(OBJECT, "portsentry", &settings)?;
    // The last two sets on probation lead to one set of suspects.
    program.enlarge("SCAN_PROBATION", 2);
    let mut env = env(&program)?;
    // As in a flood: the daemon has been told of as many contacts as it is in a second.
    let buckets = TokenBuckets { contact_ns: 1_000_000_000, ..TokenBuckets::default() };
    env.enter(&program, "TOKEN_BUCKETS", &[0; 4], bytemuck::bytes_of(&buckets))?;
    let to = SocketAddr::new(OWN[family as usize].parse()?, UNWATCHED).to_string();
    let mut runs = Vec::new();
    for from in SOURCES[family as usize] {
        let frame = tcp(SYN).from(from).to(&to).payload(100).frame(0);
        runs.push(machine::run(&program, &mut env, &frame)?);
    }
    ensure!(runs.iter().all(|run| run.action == PASS), "{runs:?}");
    runs.pop().context("two runs")
}

/// Counts the path of a packet that leaves: an answer, after its question.
fn count_leaving(leaving: &Leaving) -> Result<Run> {
    let settings = leaving.settings();
    let [received, leaves] =
        ["portsentry", "portsentry_egress"].map(|name| Program::parse(OBJECT, name, &settings));
    let (received, leaves) = (received?, leaves?);
    let mut env = env(&received)?;
    let ask = |env: &mut Environment| -> Result<()> {
        leaving.question.iter().try_for_each(|frame| machine::run(&received, env, frame).map(drop))
    };
    if leaving.is_known {
        ask(&mut env)?;
        machine::leave(&leaves, &mut env, &leaving.frame, leaving.is_forwarded)?;
    }
    ask(&mut env)?;
    machine::leave(&leaves, &mut env, &leaving.frame, leaving.is_forwarded)
}

/// The beginnings of the names of honest packets.
const HONEST: [&str; 4] =
    ["TCP data to a service, IP", "UDP to a service", "a SYN to a service", "forwarded TCP data"];

/// Counts the paths of [`paths`] with a filled benign-flow cache.
fn count_settled(settings: &Settings) -> Result<BTreeMap<String, Run>> {
    let program = Program::parse(OBJECT, "portsentry", settings)?;
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
    for (address, locality) in OWN
        .map(|address| (address, Locality::Own))
        .into_iter()
        .chain(BEHIND.map(|address| (address, Locality::Protected)))
    {
        let octets = octets(address);
        let length = u32::try_from(octets.len() * 8)?;
        let map = if octets.len() == 4 { "LOCAL_V4" } else { "LOCAL_V6" };
        let key = [&length.to_le_bytes()[..], &octets].concat();
        env.enter(program, map, &key, &(locality as u32).to_le_bytes())?;
    }
    for address in OWN {
        let (slot, host) = local_host(address.parse().context("an address")?);
        env.enter(program, "LOCAL_HOSTS", &slot.to_le_bytes(), bytemuck::bytes_of(&host))?;
        env.listen([&octets(address)[..], &SERVED.to_be_bytes()].concat());
    }
    let near = NearConstants { interface: INTERFACE, constants: Constants::USUAL };
    env.enter(program, "ANSWERS_NEAR", &INTERFACE.to_le_bytes(), bytemuck::bytes_of(&near))?;
    // The daemon's state at rest: it sees every bind, and saw listeners on all addresses a moment ago.
    let now = stamp(0);
    let horizon = Horizon { open: now, bound: now, dumped: now, is_complete: 1, traps: [0; 4], is_flat: 1 };
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

/// Returns an own address's slot in the table of local addresses, and its entry.
fn local_host(address: IpAddr) -> (u32, LocalHost) {
    fn entry<A: Address>(address: A) -> (u32, LocalHost) {
        (local_hosts::slot(address), LocalHost::new(address, Locality::Own as u32))
    }
    match address {
        IpAddr::V4(address) => entry(Ipv4::from(address)),
        IpAddr::V6(address) => entry(Ipv6::from(address)),
    }
}

/// Enters a source in a map of blocked or fenced sources, and in the gate.
fn hold(program: &Program, env: &mut Environment, address: &str, (held, map): (Held, &str)) -> Result<()> {
    let (gate, bit) = match address.parse().context("an address")? {
        IpAddr::V4(address) => (".bss.gate_v4", Ipv4::from(address).bit()),
        IpAddr::V6(address) => (".bss.gate_v6", Ipv6::from(address).bit()),
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
