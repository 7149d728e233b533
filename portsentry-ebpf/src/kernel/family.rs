//! Each address family's maps. It must not know what is asked of them.

use aya_ebpf::{
    bindings::{BPF_ANY, BPF_NOEXIST},
    btf_maps::lpm_trie::Key,
};
use portsentry_common::{
    address::{Address, Ipv4, Ipv6},
    block::Block,
    gate::Gated,
    world::Entry,
};

use crate::{maps, sockets::Tuple};

/// An address family with maps of its own.
pub trait Family: Address + Gated + Tuple {
    /// The gate's word at `index`.
    fn gate(index: u32) -> Option<&'static u64>;
    /// The gate's word at `index`, to set bits in.
    fn gate_mut(index: u32) -> Option<*mut u64>;
    /// The block of this very address.
    fn blocked(self) -> Option<*mut Block>;
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
    /// 32 bits by which two of the host's addresses can be told apart.
    fn tag(self) -> u32;

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
    fn gate(index: u32) -> Option<&'static u64> {
        maps::GATE_V4.get(index)
    }

    #[inline(always)]
    fn gate_mut(index: u32) -> Option<*mut u64> {
        maps::GATE_V4.get_ptr_mut(index)
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
    fn tag(self) -> u32 {
        self.number()
    }
}

impl Family for Ipv6 {
    #[inline(always)]
    fn gate(index: u32) -> Option<&'static u64> {
        maps::GATE_V6.get(index)
    }

    #[inline(always)]
    fn gate_mut(index: u32) -> Option<*mut u64> {
        maps::GATE_V6.get_ptr_mut(index)
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
    fn tag(self) -> u32 {
        let [a, b, c, d] = self.words();
        a ^ b.rotate_left(8) ^ c.rotate_left(16) ^ d.rotate_left(24)
    }
}
