//! The maps of each address family.

use aya_ebpf::{
    bindings::{BPF_ANY, BPF_NOEXIST},
    btf_maps::{Array, lpm_trie::Key},
};
use bytemuck::Pod;
use portsentry_common::{
    address::{Address, Ipv4, Ipv6},
    block::Block,
    challenge::Challenged,
    classify::Protocol,
    environment::{Entry, Environment, Relation},
    gate::Gated,
    local_hosts,
    near_ignored::{self, NearIgnored},
    state::{NEIGHBOUR, NetworkKey},
};

use crate::{
    benign::{BENIGN_TCP_V4, BENIGN_TCP_V6, BENIGN_UDP_V4, BENIGN_UDP_V6},
    gate::{GATE_V4, GATE_V6, Gate},
    maps,
    sockets::Tuple,
};

/// An address family with its own maps.
pub trait Family: Address + Gated + Challenged + Tuple {
    /// The family's gate.
    fn gate() -> &'static Gate;
    /// Makes the cache entries of this tick's moment valid, and older entries invalid. Returns the moment's token.
    fn follow(jiffies: u64) -> u64;
    /// Returns the block under exactly this address.
    fn blocked(&self) -> Option<*mut Block>;
    /// Returns the block of the narrowest network that contains the address, unless the address is ignored.
    #[inline(always)]
    fn blocked_network(self) -> Option<*mut Block> {
        let [high, low] = self.to_mapped().halves();
        let block = blocked_network(u64::from(Self::VERSION), high, low);
        (!block.is_null()).then_some(block)
    }
    /// Returns the fence under exactly this address.
    fn fenced(&self) -> Option<*mut Block>;
    /// Inserts a fence. `flags` are those of `bpf_map_update_elem`.
    fn insert_fence(self, block: &Block, flags: u32) -> Result<(), i32>;
    /// Removes a fence.
    fn remove_fence(self);
    /// Inserts a block. `flags` are those of `bpf_map_update_elem`.
    fn insert(self, block: &Block, flags: u32) -> Result<(), i32>;
    /// Returns the address's relation to this host: whether it is exempt, a neighbour, or a stranger.
    fn relation(self) -> Relation;
    /// Returns the entry of `map` for an address or its network: see [`Block::prefix`]. The entry may have expired.
    fn held_in<W: Environment>(
        source_and_key: [&Self; 2],
        may_be_alone: bool,
        env: &W,
        map: impl Fn(&Self) -> Option<*mut Block>,
    ) -> Option<*mut Block>;
    /// Returns the number of the locality that contains the address, if any.
    fn local(self) -> Option<u32>;
    /// Does the same, faster for a single local address.
    #[inline(always)]
    fn local_host(self) -> Option<u32> {
        let host = maps::LOCAL_HOSTS.get(local_hosts::slot(self)).and_then(|host| host.locality_of(self));
        host.or_else(|| self.local())
    }
    /// Whether the cache holds the address, with the port of this slot, as benign in `moment`.
    fn is_benign(self, protocol: Protocol, place: usize, moment: u64) -> bool;
    /// Caches the address, with that port, as benign in `moment`.
    fn explain(self, protocol: Protocol, place: usize, moment: u64);

    /// Enters a block unless one is in force at `now_ns`.
    #[inline(always)]
    fn enter(self, block: &Block, now_ns: u64) -> Entry {
        const EEXIST: i32 = -17;
        match self.insert(block, BPF_NOEXIST) {
            Ok(()) => Entry::Entered,
            Err(EEXIST) => {
                // SAFETY: a hash map's value stays readable while the program runs.
                let standing = self.blocked().is_some_and(|old| unsafe { stands(&*old, block, now_ns) });
                if standing {
                    Entry::Already
                } else {
                    self.insert(block, BPF_ANY).map_or(Entry::Full, |()| Entry::Entered)
                }
            }
            Err(_) => Entry::Full,
        }
    }

    /// Enters a fence unless one is in force at `now_ns`.
    #[inline(always)]
    fn enter_fence(self, block: &Block, now_ns: u64) -> Entry {
        // SAFETY: as in `enter`.
        let standing = self.fenced().is_some_and(|old| unsafe { stands(&*old, block, now_ns) });
        if standing {
            return Entry::Already;
        }
        self.insert_fence(block, BPF_ANY).map_or(Entry::Full, |()| Entry::Entered)
    }
}

/// Whether an existing entry makes a new one unnecessary: it is in force, unless it covers a single address and the
/// new one the whole network.
#[inline(always)]
fn stands(old: &Block, new: &Block, now_ns: u64) -> bool {
    !old.is_over(now_ns) && (old.prefix != 0 || new.prefix == 0)
}

impl Family for Ipv4 {
    #[inline(always)]
    fn gate() -> &'static Gate {
        &GATE_V4
    }

    #[inline(always)]
    fn follow(jiffies: u64) -> u64 {
        GATE_V4.follow(jiffies)
    }

    #[inline(always)]
    fn blocked(&self) -> Option<*mut Block> {
        maps::BLOCKED_V4.get_ptr_mut(self)
    }

    #[inline(always)]
    fn fenced(&self) -> Option<*mut Block> {
        maps::FENCED_V4.get_ptr_mut(self)
    }

    #[inline(always)]
    fn insert_fence(self, block: &Block, flags: u32) -> Result<(), i32> {
        maps::FENCED_V4.insert(self, block, u64::from(flags))
    }

    #[inline(always)]
    fn remove_fence(self) {
        // A missing entry is no error.
        let _ = maps::FENCED_V4.remove(self);
    }

    #[inline(always)]
    fn insert(self, block: &Block, flags: u32) -> Result<(), i32> {
        maps::BLOCKED_V4.insert(self, block, u64::from(flags))
    }

    #[inline(always)]
    fn relation(self) -> Relation {
        if !is_set(&maps::NEAR_IGNORED_V4, self.near_ignored()) {
            return Relation::Stranger;
        }
        relation(maps::IGNORED_V4.get(Whole::of(bytemuck::cast::<_, [u32; 1]>(self)).key()))
    }

    #[inline(always)]
    fn held_in<W: Environment>(
        [_, key]: [&Self; 2],
        _: bool,
        _: &W,
        map: impl Fn(&Self) -> Option<*mut Block>,
    ) -> Option<*mut Block> {
        map(key)
    }

    #[inline(always)]
    fn local(self) -> Option<u32> {
        maps::LOCAL_V4.get(Whole::of(bytemuck::cast::<_, [u32; 1]>(self)).key()).copied()
    }

    #[inline(always)]
    fn is_benign(self, protocol: Protocol, place: usize, moment: u64) -> bool {
        let entry = explained_v4(self, moment);
        match protocol {
            Protocol::Tcp => BENIGN_TCP_V4.holds(place, entry),
            Protocol::Udp => BENIGN_UDP_V4.holds(place, entry),
        }
    }

    #[inline(always)]
    fn explain(self, protocol: Protocol, place: usize, moment: u64) {
        let entry = explained_v4(self, moment);
        match protocol {
            Protocol::Tcp => BENIGN_TCP_V4.enter(place, entry),
            Protocol::Udp => BENIGN_UDP_V4.enter(place, entry),
        }
    }
}

impl Family for Ipv6 {
    #[inline(always)]
    fn gate() -> &'static Gate {
        &GATE_V6
    }

    #[inline(always)]
    fn follow(jiffies: u64) -> u64 {
        GATE_V6.follow_secretly(jiffies)
    }

    #[inline(always)]
    fn blocked(&self) -> Option<*mut Block> {
        maps::BLOCKED_V6.get_ptr_mut(self)
    }

    #[inline(always)]
    fn fenced(&self) -> Option<*mut Block> {
        maps::FENCED_V6.get_ptr_mut(self)
    }

    #[inline(always)]
    fn insert_fence(self, block: &Block, flags: u32) -> Result<(), i32> {
        maps::FENCED_V6.insert(self, block, u64::from(flags))
    }

    #[inline(always)]
    fn remove_fence(self) {
        // A missing entry is no error.
        let _ = maps::FENCED_V6.remove(self);
    }

    #[inline(always)]
    fn insert(self, block: &Block, flags: u32) -> Result<(), i32> {
        maps::BLOCKED_V6.insert(self, block, u64::from(flags))
    }

    #[inline(always)]
    fn relation(self) -> Relation {
        if !is_set(&maps::NEAR_IGNORED_V6, self.near_ignored()) {
            return Relation::Stranger;
        }
        relation(maps::IGNORED_V6.get(Whole::of(self.words()).key()))
    }

    #[inline(always)]
    fn held_in<W: Environment>(
        [source, key]: [&Self; 2],
        may_be_alone: bool,
        env: &W,
        map: impl Fn(&Self) -> Option<*mut Block>,
    ) -> Option<*mut Block> {
        if let Some(block) = map(key) {
            // SAFETY: a field of a map's value.
            let prefix = unsafe { (*block).prefix };
            // SAFETY: as above. An expired entry must not hide the entry of the address alone.
            let is_over = || unsafe { (*block).is_over(env.now_ns()) };
            if prefix == 0 && key == source || prefix != 0 && !is_over() && is_stranger(source) {
                return Some(block);
            }
        }
        if may_be_alone && key != source { map(source) } else { None }
    }

    #[inline(always)]
    fn local(self) -> Option<u32> {
        let [high, low] = self.halves();
        Some(local_network(high, low) as u32)
    }

    #[inline(always)]
    fn is_benign(self, protocol: Protocol, place: usize, moment: u64) -> bool {
        let entry = explained_v6(self, moment);
        match protocol {
            Protocol::Tcp => BENIGN_TCP_V6.holds(place, entry),
            Protocol::Udp => BENIGN_UDP_V6.holds(place, entry),
        }
    }

    #[inline(always)]
    fn explain(self, protocol: Protocol, place: usize, moment: u64) {
        let entry = explained_v6(self, moment);
        match protocol {
            Protocol::Tcp => BENIGN_TCP_V6.enter(place, entry),
            Protocol::Udp => BENIGN_UDP_V6.enter(place, entry),
        }
    }
}

/// A trie's key with the full prefix length. Aya's [`Key`] has the same layout but is packed. It would be built
/// byte by byte, and the look-up would stall on each store.
#[repr(C)]
struct Whole<const WORDS: usize> {
    length: u32,
    words: [u32; WORDS],
}

impl<const WORDS: usize> Whole<WORDS> {
    #[inline(always)]
    const fn of(words: [u32; WORDS]) -> Self {
        Self { length: u32::BITS * WORDS as u32, words }
    }

    /// Returns the key of a trie with data of this length.
    #[inline(always)]
    fn key<K: Pod>(&self) -> &Key<K> {
        const { assert!(size_of::<Key<K>>() == size_of::<Self>()) };
        // SAFETY: a length followed by data, for which any bits are valid. The types have the same size, and this
        // one has the stricter alignment.
        unsafe { &*(&raw const *self).cast() }
    }
}

/// Returns the block of the narrowest network that contains the address of this IP version, given by its halves.
/// Returns null without a block, or if the address is ignored. A separate function, because the keys would take
/// room on every caller's stack.
#[inline(never)]
fn blocked_network(version: u64, high: u64, low: u64) -> *mut Block {
    let address = Ipv6::from_halves([high, low]);
    let key = Whole::of(bytemuck::cast::<_, [u32; 6]>(NetworkKey { version, address }));
    let Some(block) = maps::BLOCKED_NETWORKS.get(key.key()) else { return core::ptr::null_mut() };
    let [_, _, _, last] = address.words();
    let relation = if version == u64::from(Ipv4::VERSION) {
        Ipv4::from_word(last).relation()
    } else {
        address.relation()
    };
    if relation == Relation::Exempt { core::ptr::null_mut() } else { core::ptr::from_ref(block).cast_mut() }
}

/// Returns the number of the locality that contains the IPv6 address with these halves, or 0 for none. A separate
/// function, to save stack.
#[inline(never)]
fn local_network(high: u64, low: u64) -> u64 {
    let words = Ipv6::from_halves([high, low]).words();
    maps::LOCAL_V6.get(Whole::of(words).key()).copied().unwrap_or(0).into()
}

/// Whether `bit` is set in a bitmap.
#[inline(always)]
fn is_set(map: &Array<u64, { near_ignored::WORDS }>, bit: u16) -> bool {
    map.get(u32::from(bit) / 64).copied().unwrap_or(0) >> (bit % 64) & 1 != 0
}

/// Returns the relation for a value of the ignored maps: see [`NEIGHBOUR`].
#[inline(always)]
fn relation(value: Option<&u32>) -> Relation {
    match value {
        None => Relation::Stranger,
        Some(&NEIGHBOUR) => Relation::Neighbour,
        Some(_) => Relation::Exempt,
    }
}

/// Whether `source` is held by its network. A separate function, to save stack.
#[inline(never)]
fn is_stranger(source: &Ipv6) -> bool {
    source.relation() == Relation::Stranger
}

/// Returns the cache entry of an address.
#[inline(always)]
fn explained_v4(address: Ipv4, moment: u64) -> [u64; 1] {
    [u64::from(bytemuck::cast::<_, u32>(address)) | moment]
}

/// Returns the cache entry of an IPv6 address, which fills both words: see [`Gate::follow_secretly`].
#[inline(always)]
fn explained_v6(address: Ipv6, moment: u64) -> [u64; 2] {
    let [high, low] = address.halves();
    [high, low ^ moment]
}
