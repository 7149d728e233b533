//! The maps of the fast path, which the model has none of.

use portsentry_common::{address::Address, classify::Protocol, environment::FastMaps};

use super::Model;

/// None: the kernel program saves time by them, and reaches the same verdict without.
impl<A: Address> FastMaps<A> for Model {
    fn may_be_blocked(&self, _: u32) -> bool {
        true
    }

    fn is_known_benign(&self, _: A, _: u16, _: Protocol, _: u16) -> bool {
        false
    }
}
