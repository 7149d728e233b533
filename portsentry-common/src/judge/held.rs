//! By what a source is counted, limited and held: an IPv4 address, or an IPv6 network.
//!
//! A host has as many addresses of its IPv6 network as it likes. But hosts of one link share theirs with the gateway, and some
//! networks are many strangers': there each address stands for itself.

use crate::{
    address::Address,
    settings::Settings,
    world::{Held, Hosts, Kinship},
};

/// What `source` is held by, if it is that to this host.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "a prefix has 128 bits at the most")]
pub fn held_as<A: Address>(source: A, kinship: Kinship, settings: &Settings) -> Held<A> {
    if settings.prefix == 0 || kinship != Kinship::Stranger || source.is_of_many() {
        Held { key: source, prefix: 0 }
    } else {
        Held { key: source.without(settings.host_bits), prefix: settings.prefix as u8 }
    }
}

/// What `source` is held by.
#[inline(always)]
pub(super) fn held<A: Address, W: Hosts<A>>(source: A, world: &W) -> Held<A> {
    let settings = world.settings();
    // The look-up is for IPv6 alone, where it matters.
    let needs_look = settings.prefix != 0 && !source.is_of_many();
    let kinship = if needs_look { world.kinship(source) } else { Kinship::Stranger };
    held_as(source, kinship, settings)
}
