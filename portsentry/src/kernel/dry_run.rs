//! Judges a packet by the rules without sending it: their environment is read from the pinned maps and the kernel's
//! sockets, and every change stays in this copy.
//!
//! It reads only the entries that the rules ask for, so that it is as fast with a million blocked sources.

mod environment;
mod fact;
mod family;
mod learned;
mod pinned;
mod scan;
mod sockets;

use std::{
    cell::RefCell,
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::Path,
};

use ipnet::IpNet;
use portsentry_common::{
    address::{Address, Ipv4, Ipv6},
    block::Block,
    bound::{Below, Horizon},
    challenge::{Constants, Secrets},
    environment::{FamilyMaps, HandshakeCount},
    failures::Failures,
    judge::{Action, judge, source_key},
    settings::Settings,
    state::NEIGHBOUR,
    tally::{Handshakes, Tally},
    token_bucket::TokenBuckets,
};

use self::pinned::{Pinned, Prefix};
pub use self::{fact::Fact, sockets::FoundSocket};
use super::{
    Error, Observer, Received, bound, heartbeat, monotonic_ns,
    per_source::{HANDSHAKES, TALLIES},
    secrets, settings_pin,
};
use crate::policy::{State, network_of, trap::pair};

/// The rules' environment for one packet and those that follow it.
#[derive(Debug)]
pub struct DryRun {
    maps: Pinned,
    settings: Settings,
    interface: u32,
    now_ns: u64,
    heartbeat_ns: u64,
    horizon: Horizon,
    secrets: Option<Secrets>,
    constants: Constants,
    has_devices_above: bool,
    buckets: RefCell<Vec<TokenBuckets>>,
    changes: RefCell<Changes>,
    facts: RefCell<Vec<Fact>>,
    failure: RefCell<Option<Error>>,
}

/// The changes that the rules would have made.
#[derive(Debug, Default)]
struct Changes {
    entries: BTreeMap<(State, IpAddr), Option<Block>>,
    tallies: BTreeMap<IpAddr, Tally>,
    handshakes: BTreeMap<IpAddr, Handshakes>,
    failures: BTreeMap<IpAddr, Failures>,
}

/// The judgement on a packet.
#[derive(Clone, Debug, PartialEq)]
pub struct Judgement {
    /// The action.
    pub action: Action,
    /// The frame afterwards: for an answer, the answer.
    pub frame: Vec<u8>,
    /// The facts that led to it, and the changes.
    pub facts: Vec<Fact>,
}

impl Observer {
    /// Prepares a dry run of packets that arrive at the interface with this index.
    pub fn dry_run(&self, interface: u32) -> Result<DryRun, Error> {
        DryRun::open(self.directory(), interface)
    }
}

impl DryRun {
    fn open(directory: &Path, interface: u32) -> Result<Self, Error> {
        let settings = settings_pin::read(directory)?;
        let maps = Pinned(directory.into());
        let raw: [u8; size_of::<Horizon>()] = maps.element(bound::HORIZON, 0)?;
        let horizon = bytemuck::pod_read_unaligned(&raw);
        let raw: [u8; size_of::<Secrets>()] = maps.element(secrets::MAP, 0)?;
        let secrets = Some(bytemuck::pod_read_unaligned(&raw));
        let raw: Option<[u8; size_of::<Constants>()]> = maps.entry("ANSWERS", interface.to_ne_bytes())?;
        let constants = raw.map_or(Constants::USUAL, |raw| bytemuck::pod_read_unaligned(&raw));
        let raw: Option<[u8; size_of::<Below>()]> = maps.entry(bound::DEVICES, interface.to_ne_bytes())?;
        let below = raw.map_or(Below::default(), |raw| bytemuck::pod_read_unaligned(&raw));
        let buckets: Vec<[u8; size_of::<TokenBuckets>()]> = maps.of_cpus("TOKEN_BUCKETS")?;
        let buckets = buckets.iter().map(|raw| bytemuck::pod_read_unaligned(raw)).collect();
        Ok(Self {
            heartbeat_ns: u64::from_ne_bytes(maps.element(heartbeat::MAP, 0)?),
            has_devices_above: below.flags & Below::HAS_ABOVE != 0,
            now_ns: monotonic_ns().unsigned_abs(),
            maps,
            settings,
            interface,
            horizon,
            secrets,
            constants,
            buckets: RefCell::new(buckets),
            changes: RefCell::default(),
            facts: RefCell::default(),
            failure: RefCell::default(),
        })
    }

    /// Returns the settings of the attached program.
    #[must_use]
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Judges `frame`, in the state that the packets judged before would have left.
    pub fn judge(&self, frame: &[u8], is_bare: bool) -> Result<Judgement, Error> {
        self.facts.take();
        let (action, frame) = if is_bare {
            let received = Received::<true>::new(frame);
            (judge(&received, self), received.into_bytes())
        } else {
            let received = Received::<false>::new(frame);
            (judge(&received, self), received.into_bytes())
        };
        match self.failure.take() {
            Some(error) => Err(error),
            None => Ok(Judgement { action, frame, facts: self.facts.take() }),
        }
    }

    /// Returns the handshakes of `source` with traps, including one with the trap at `destination`.
    #[must_use]
    pub fn handshakes(&self, source: IpAddr, destination: SocketAddr) -> HandshakeCount {
        let count = match (source, destination.ip()) {
            (IpAddr::V4(source), _) => self.shake(Ipv4::from(source), destination),
            (IpAddr::V6(source), _) => self.shake(Ipv6::from(source), destination),
        };
        self.facts.take();
        count
    }

    fn shake<A: Address>(&self, source: A, destination: SocketAddr) -> HandshakeCount {
        let relation = FamilyMaps::<A>::relation(self, source);
        let key = source_key(source, relation, &self.settings);
        self.count_handshake(key.address, pair(destination), self.now_ns)
    }

    fn note(&self, fact: Fact) {
        let mut facts = self.facts.borrow_mut();
        // The rules ask several times for some facts.
        if !facts.contains(&fact) {
            facts.push(fact);
        }
    }

    /// Returns the value, or the default after a failure, which ends the dry run.
    fn known<T: Default>(&self, read: Result<T, Error>) -> T {
        read.unwrap_or_else(|error| {
            self.failure.borrow_mut().get_or_insert(error);
            T::default()
        })
    }

    /// Returns the entry under exactly this address.
    fn entry(&self, state: State, address: IpAddr) -> Option<Block> {
        if let Some(changed) = self.changes.borrow().entries.get(&(state, address)) {
            return *changed;
        }
        let [v4, v6] = match state {
            State::Blocked => ["BLOCKED_V4", "BLOCKED_V6"],
            State::Fenced => ["FENCED_V4", "FENCED_V6"],
        };
        let raw: Option<[u8; size_of::<Block>()]> = self.known(match address {
            IpAddr::V4(address) => self.maps.entry(v4, address.octets()),
            IpAddr::V6(address) => self.maps.entry(v6, address.octets()),
        });
        raw.map(|raw| bytemuck::pod_read_unaligned(&raw))
    }

    fn set_entry(&self, state: State, address: IpAddr, block: Option<Block>) {
        self.changes.borrow_mut().entries.insert((state, address), block);
    }

    /// Changes the fence that holds `source`, if there is one.
    fn change_fence<A: Address, T>(&self, source: &A, change: impl FnOnce(&mut Block) -> T) -> Option<T> {
        let (network, mut fence) = self.held(State::Fenced, source)?;
        let result = change(&mut fence);
        self.set_entry(State::Fenced, network.addr(), Some(fence));
        Some(result)
    }

    /// Returns the entry that holds `source`, alone or with its network, even if it has expired.
    fn held<A: Address>(&self, state: State, source: &A) -> Option<(IpNet, Block)> {
        let key = source.without(self.settings.host_bits);
        let address = ip(*source);
        if A::VERSION == 4 {
            return self.entry(state, address).map(|block| (address.into(), block));
        }
        if let Some(block) = self.entry(state, ip(key)) {
            let is_near = block.prefix != 0 && !block.is_over(self.now_ns) && self.is_stranger(address);
            if block.prefix == 0 && key == *source || is_near {
                return Some((network_of(ip(key), block.prefix), block));
            }
        }
        self.entry(state, address).map(|block| (address.into(), block))
    }

    fn is_stranger(&self, address: IpAddr) -> bool {
        self.ignored(address).is_none()
    }

    /// Returns the value of the ignored maps for an address.
    fn ignored(&self, address: IpAddr) -> Option<u32> {
        let value = self.known(match address {
            IpAddr::V4(address) => self.maps.narrowest("IGNORED_V4", 32, address.octets()),
            IpAddr::V6(address) => self.maps.narrowest("IGNORED_V6", 128, address.octets()),
        });
        value.map(u32::from_ne_bytes)
    }

    /// Returns the narrowest network of the ignored maps that contains an address, with its value.
    fn ignoring(&self, address: IpAddr) -> Option<(IpNet, u32)> {
        let network = |length: u32, address: IpAddr| {
            IpNet::new(address, u8::try_from(length).ok()?).ok().map(|network| network.trunc())
        };
        let all: Vec<(u32, IpAddr, [u8; 4])> = match address {
            IpAddr::V4(_) => {
                let all: Vec<Prefix<4, 4>> = self.known(self.maps.prefixes("IGNORED_V4"));
                all.into_iter()
                    .map(|(length, octets, value)| (length, Ipv4Addr::from(octets).into(), value))
                    .collect()
            }
            IpAddr::V6(_) => {
                let all: Vec<Prefix<16, 4>> = self.known(self.maps.prefixes("IGNORED_V6"));
                all.into_iter()
                    .map(|(length, octets, value)| (length, Ipv6Addr::from(octets).into(), value))
                    .collect()
            }
        };
        let holding = all.into_iter().filter_map(|(length, octets, value)| {
            let network = network(length, octets)?;
            network.contains(&address).then(|| (network, u32::from_ne_bytes(value)))
        });
        holding.max_by_key(|(network, _)| network.prefix_len())
    }
}

/// Returns the address in its own family.
fn ip<A: Address>(address: A) -> IpAddr {
    let mapped = Ipv6Addr::from(address.to_mapped());
    if A::VERSION == 4 { mapped.to_canonical() } else { mapped.into() }
}
