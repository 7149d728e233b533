//! Each address family's maps. It must not know what is asked of them.

use aya_ebpf::{
    bindings::{BPF_ANY, BPF_NOEXIST},
    btf_maps::lpm_trie::Key,
};
use portsentry_common::{
    address::{Address, Ipv4, Ipv6},
    block::Block,
    gate::Gated,
    state::NetworkKey,
    world::Entry,
};

use crate::{
    explained::ODD,
    gate::{GATE_V4, GATE_V6, Gate},
    maps,
    sockets::Tuple,
};

/// An address family with maps of its own.
pub trait Family: Address + Gated + Tuple {
    /// The family's gate.
    fn gate() -> &'static Gate;
    /// The block of this very address.
    fn blocked(self) -> Option<*mut Block>;
    /// The block of the narrowest network that holds the address.
    #[inline(always)]
    fn blocked_network(self) -> Option<*mut Block> {
        let [high, low] = self.to_mapped().halves();
        let block = blocked_network(u64::from(Self::VERSION), high, low);
        (!block.is_null()).then_some(block)
    }
    /// The fence around this very address.
    fn fenced(self) -> Option<*mut Block>;
    /// Inserts a fence; `flags` as of `bpf_map_update_elem`.
    fn insert_fence(self, block: &Block, flags: u32) -> Result<(), i32>;
    /// Removes a fence.
    fn remove_fence(self);
    /// Inserts a block; `flags` as of `bpf_map_update_elem`.
    fn insert(self, block: &Block, flags: u32) -> Result<(), i32>;
    /// Whether a network that is never blocked holds the address.
    fn ignored(self) -> bool;
    /// The number of the locality that holds the address, if any.
    fn local(self) -> Option<u32>;
    /// The address with a port, as a number: no two of IPv4 have the same, and hardly two of IPv6.
    fn with_port(self, port: u16) -> u64;

    /// Enters a block unless one stands that isn't over at `now_ns`.
    #[inline(always)]
    fn enter(self, block: &Block, now_ns: u64) -> Entry {
        const EEXIST: i32 = -17;
        match self.insert(block, BPF_NOEXIST) {
            Ok(()) => Entry::Entered,
            Err(EEXIST) => {
                // SAFETY: a hash map's value stays readable for the program's run.
                let standing = self.blocked().is_some_and(|block| unsafe { !(*block).is_over(now_ns) });
                if standing {
                    Entry::Already
                } else {
                    self.insert(block, BPF_ANY).map_or(Entry::Full, |()| Entry::Entered)
                }
            }
            Err(_) => Entry::Full,
        }
    }

    /// Enters a fence unless one stands that isn't over at `now_ns`.
    #[inline(always)]
    fn enter_fence(self, block: &Block, now_ns: u64) -> Entry {
        // SAFETY: as in `enter`.
        let standing = self.fenced().is_some_and(|block| unsafe { !(*block).is_over(now_ns) });
        if standing {
            return Entry::Already;
        }
        self.insert_fence(block, BPF_ANY).map_or(Entry::Full, |()| Entry::Entered)
    }
}

impl Family for Ipv4 {
    #[inline(always)]
    fn gate() -> &'static Gate {
        &GATE_V4
    }

    #[inline(always)]
    fn blocked(self) -> Option<*mut Block> {
        maps::BLOCKED_V4.get_ptr_mut(self)
    }

    #[inline(always)]
    fn fenced(self) -> Option<*mut Block> {
        maps::FENCED_V4.get_ptr_mut(self)
    }

    #[inline(always)]
    fn insert_fence(self, block: &Block, flags: u32) -> Result<(), i32> {
        maps::FENCED_V4.insert(self, block, u64::from(flags))
    }

    #[inline(always)]
    fn remove_fence(self) {
        // That there is none any more is as well.
        let _ = maps::FENCED_V4.remove(self);
    }

    #[inline(always)]
    fn insert(self, block: &Block, flags: u32) -> Result<(), i32> {
        maps::BLOCKED_V4.insert(self, block, u64::from(flags))
    }

    #[inline(always)]
    fn ignored(self) -> bool {
        maps::IGNORED_V4.get(&Key::new(32, self)).is_some()
    }

    #[inline(always)]
    fn local(self) -> Option<u32> {
        maps::LOCAL_V4.get(&Key::new(32, self)).copied()
    }

    #[inline(always)]
    fn with_port(self, port: u16) -> u64 {
        let word: u32 = bytemuck::cast(self);
        u64::from(word) | at_end(port)
    }
}

impl Family for Ipv6 {
    #[inline(always)]
    fn gate() -> &'static Gate {
        &GATE_V6
    }

    #[inline(always)]
    fn blocked(self) -> Option<*mut Block> {
        maps::BLOCKED_V6.get_ptr_mut(self)
    }

    #[inline(always)]
    fn fenced(self) -> Option<*mut Block> {
        maps::FENCED_V6.get_ptr_mut(self)
    }

    #[inline(always)]
    fn insert_fence(self, block: &Block, flags: u32) -> Result<(), i32> {
        maps::FENCED_V6.insert(self, block, u64::from(flags))
    }

    #[inline(always)]
    fn remove_fence(self) {
        // That there is none any more is as well.
        let _ = maps::FENCED_V6.remove(self);
    }

    #[inline(always)]
    fn insert(self, block: &Block, flags: u32) -> Result<(), i32> {
        maps::BLOCKED_V6.insert(self, block, u64::from(flags))
    }

    #[inline(always)]
    fn ignored(self) -> bool {
        maps::IGNORED_V6.get(&Key::new(128, self.octets)).is_some()
    }

    #[inline(always)]
    fn local(self) -> Option<u32> {
        maps::LOCAL_V6.get(&Key::new(128, self.octets)).copied()
    }

    #[inline(always)]
    fn with_port(self, port: u16) -> u64 {
        let [high, low] = self.halves();
        high.wrapping_mul(ODD).wrapping_add(low) ^ at_end(port)
    }
}

/// The block of the narrowest network of that IP version that holds the address of these halves; null for none. A
/// function of its own, as the key would take room on the stack of everybody who asks.
#[inline(never)]
fn blocked_network(version: u64, high: u64, low: u64) -> *mut Block {
    let key = NetworkKey { version, address: Ipv6::from_halves([high, low]) };
    let block = maps::BLOCKED_NETWORKS.get(&Key::new(NetworkKey::BITS, key.octets()));
    block.map_or(core::ptr::null_mut(), |block| core::ptr::from_ref(block).cast_mut())
}

/// The port where an IPv4 packet has it behind its destination and the other port, so that one load gives both.
#[inline(always)]
fn at_end(port: u16) -> u64 {
    u64::from(port.to_be()) << 48
}
