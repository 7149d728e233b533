//! The key by which a source is counted, limited and blocked: an IPv4 address, or an IPv6 network.
//!
//! A host can use any address of its IPv6 network. But hosts on one link share their network with the gateway, and
//! unrelated hosts share some networks. In these each address counts as a separate source.

use crate::{
    address::Address,
    environment::{FamilyMaps, Relation, SourceKey},
    settings::Settings,
};

/// Returns the key of `source`, given its relation to this host.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "a prefix has at most 128 bits")]
pub fn source_key<A: Address>(source: A, relation: Relation, settings: &Settings) -> SourceKey<A> {
    if settings.prefix == 0 || relation != Relation::Stranger || source.is_of_many() {
        SourceKey { address: source, prefix: 0 }
    } else {
        SourceKey { address: source.without(settings.host_bits), prefix: settings.prefix as u8 }
    }
}

/// Returns the key of `source`.
#[inline(always)]
pub(super) fn source_key_of<A: Address, W: FamilyMaps<A>>(source: A, env: &W) -> SourceKey<A> {
    let settings = env.settings();
    // Only IPv6 needs the look-up.
    let needs_look = settings.prefix != 0 && !source.is_of_many();
    let relation = if needs_look { env.relation(source) } else { Relation::Stranger };
    source_key(source, relation, settings)
}
