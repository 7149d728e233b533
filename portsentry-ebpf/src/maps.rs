//! The maps, with the names that administrators see.
//!
//! The capacities here are the smallest possible; the daemon sets the configured ones when it loads the program.

use aya_ebpf::{
    Global,
    btf_maps::{Array, HashMap, LpmTrie, LruHashMap, PerCpuArray, RingBuf, SockMap},
    macros::btf_map,
};
use portsentry_common::{
    address::{Ipv4, Ipv6},
    block::Block,
    bound::{Below, Horizon, SLOTS, ServedKey, Slot},
    challenge::{Constants, NEAR_INTERFACES, NearConstants, Secrets},
    counter::Counters,
    event::Event,
    failures::Failures,
    learned::PortKey,
    local_hosts::{self, LocalHost},
    near_ignored,
    scan::{
        memory::{Probation, Suspects},
        state::State,
    },
    settings::Settings,
    state::{FlowKey, RecentKey, SteerKey},
    tally::{Handshakes, Tally},
    token_bucket::TokenBuckets,
};

/// An IPv6 address in an LPM key, whose layout has no padding for alignment.
type Octets = [u8; 16];

const BITMAP: usize = 65_536 / 64;

/// Set by the daemon before the program is loaded.
#[unsafe(no_mangle)]
pub static SETTINGS: Global<Settings> = Global::new(Settings::UNSET);

#[btf_map]
pub static WATCHED_TCP: Array<u64, BITMAP> = Array::new();
#[btf_map]
pub static WATCHED_UDP: Array<u64, BITMAP> = Array::new();
#[btf_map]
pub static ADVANCED_TCP: Array<u64, BITMAP> = Array::new();
#[btf_map]
pub static ADVANCED_UDP: Array<u64, BITMAP> = Array::new();

#[btf_map]
pub static BLOCKED_V4: HashMap<Ipv4, Block, 1> = HashMap::new();
#[btf_map]
pub static BLOCKED_V6: HashMap<Ipv6, Block, 1> = HashMap::new();
/// Blocked networks of both families, by the octets of their [`portsentry_common::state::NetworkKey`].
#[btf_map]
pub static BLOCKED_NETWORKS: LpmTrie<[u8; 24], Block, 1> = LpmTrie::new();
/// Sources that probed without proof. The oldest are evicted, because addresses can be spoofed without limit.
#[btf_map]
pub static FENCED_V4: LruHashMap<Ipv4, Block, 1> = LruHashMap::new();
#[btf_map]
pub static FENCED_V6: LruHashMap<Ipv6, Block, 1> = LruHashMap::new();
/// Time when the host last sent a packet of a flow, in nanoseconds of `CLOCK_MONOTONIC`.
#[btf_map]
pub static FLOWS: LruHashMap<FlowKey, u64, 65536> = LruHashMap::new();
/// Time when a port of another host last accepted a connection or sent a reply, in nanoseconds of `CLOCK_MONOTONIC`.
#[btf_map]
pub static LEARNED_SERVED: LruHashMap<PortKey, u64, 1> = LruHashMap::new();
/// Time when a port of another host last refused, in the same unit. It has not accepted since.
#[btf_map]
pub static LEARNED_REFUSED: LruHashMap<PortKey, u64, 1> = LruHashMap::new();
/// Failed connections by source.
#[btf_map]
pub static FAILURES: LruHashMap<Ipv6, Failures, 1> = LruHashMap::new();
/// Ports where a fenced source's SYN always reaches the network stack, as in `WATCHED_TCP`.
#[btf_map]
pub static EXCLUDED_TCP: Array<u64, BITMAP> = Array::new();
/// Constant fields of the network stack's answers, by the index of the outgoing interface.
#[btf_map]
pub static ANSWERS: HashMap<u32, Constants, 4096> = HashMap::new();
/// The same for one interface of each index modulo the number of slots, without a hash.
#[btf_map]
pub static ANSWERS_NEAR: Array<NearConstants, NEAR_INTERFACES> = Array::new();
/// Segments for which the kernel should open a connection.
#[btf_map]
pub static OPENED: LruHashMap<SteerKey, u32, 16384> = LruHashMap::new();
/// Keys of the cookies, which the daemon replaces regularly.
#[btf_map]
pub static SECRETS: Array<Secrets, 1> = Array::new();

/// Time of the daemon's last heartbeat, in nanoseconds of `CLOCK_MONOTONIC`.
#[btf_map]
pub static HEARTBEAT: Array<u64, 1> = Array::new();

#[btf_map]
pub static IGNORED_V4: LpmTrie<Ipv4, u32, 1> = LpmTrie::new();
#[btf_map]
pub static IGNORED_V6: LpmTrie<Octets, u32, 1> = LpmTrie::new();
/// The bitmaps before these: see [`portsentry_common::near_ignored`].
#[btf_map]
pub static NEAR_IGNORED_V4: Array<u64, { near_ignored::WORDS }> = Array::new();
#[btf_map]
pub static NEAR_IGNORED_V6: Array<u64, { near_ignored::WORDS }> = Array::new();
#[btf_map]
pub static LOCAL_V4: LpmTrie<Ipv4, u32, 1> = LpmTrie::new();
#[btf_map]
pub static LOCAL_V6: LpmTrie<Octets, u32, 1> = LpmTrie::new();
/// The table before these: see [`portsentry_common::local_hosts`].
#[btf_map]
pub static LOCAL_HOSTS: Array<LocalHost, { local_hosts::SLOTS }> = Array::new();

/// `BPF_F_MMAPABLE` (`include/uapi/linux/bpf.h` in the kernel, Linux 5.5).
const MMAPABLE: usize = 1 << 10;

/// The bound ports, by [`portsentry_common::bound::slot`].
#[btf_map]
pub static BOUND: Array<Slot, SLOTS, MMAPABLE> = Array::new();
/// The stamps that count.
#[btf_map]
pub static BOUND_HORIZON: Array<Horizon, 1> = Array::new();
/// Time when a socket bound to one address or device was last seen.
#[btf_map]
pub static SERVED: LruHashMap<ServedKey, u32, 65536> = LruHashMap::new();
/// Latest stamp in `SERVED` of a service that must see the SYN, or 0: see [`portsentry_common::bound::may_need_syn`].
#[btf_map]
pub static NEEDS_SYN: Array<u32, 1> = Array::new();
/// The watched interfaces through which packets reach device-bound sockets.
#[btf_map]
pub static DEVICES: HashMap<u32, Below, 4096> = HashMap::new();

/// Packets for the daemon's own sockets.
#[btf_map]
pub static STEERED: LruHashMap<SteerKey, u32, 1> = LruHashMap::new();
/// The daemon's sockets: TCP over IPv4 and IPv6, UDP over IPv4 and IPv6.
#[btf_map]
pub static TRAPS: SockMap<4> = SockMap::new();
#[btf_map]
pub static SOURCES: LruHashMap<Ipv6, Tally, 1> = LruHashMap::new();
/// Sources that completed handshakes. Only a source that receives packets can enter, so that no flood of spoofed
/// sources evicts one.
#[btf_map]
pub static HANDSHAKES: LruHashMap<Ipv6, Handshakes, 16384> = LruHashMap::new();
/// Sources with one failed first contact: see [`portsentry_common::scan::memory`]. The daemon sets the sizes of this map
/// and the next.
#[btf_map]
pub static SCAN_PROBATION: Array<Probation, 1, MMAPABLE> = Array::new();
/// Sources with more.
#[btf_map]
pub static SCAN_SUSPECTS: Array<Suspects, 1, MMAPABLE> = Array::new();
#[btf_map]
pub static SCAN_STATE: Array<State, 1> = Array::new();
#[btf_map]
pub static RECENT: LruHashMap<RecentKey, u64, 1> = LruHashMap::new();
#[btf_map]
pub static TOKEN_BUCKETS: PerCpuArray<TokenBuckets, 1> = PerCpuArray::new();
#[btf_map]
pub static COUNTERS: PerCpuArray<Counters, 1> = PerCpuArray::new();
#[btf_map]
pub static EVENTS: RingBuf<Event, 4096> = RingBuf::new();
