//! By what a source is counted, limited and held: an IPv4 address, or an IPv6 network.
//!
//! A host has as many addresses of its IPv6 network as it likes. But hosts of one link share theirs with the gateway, and some
//! networks are many strangers': there each address stands for itself.

use crate::{
    address::Address,
    environment::{FamilyMaps, Relation, SourceKey},
    settings::Settings,
};

/// What `source` is held by, if it is that to this host.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "a prefix has 128 bits at the most")]
pub fn source_key<A: Address>(source: A, relation: Relation, settings: &Settings) -> SourceKey<A> {
    if settings.prefix == 0 || relation != Relation::Stranger || source.is_of_many() {
        SourceKey { address: source, prefix: 0 }
    } else {
        SourceKey { address: source.without(settings.host_bits), prefix: settings.prefix as u8 }
    }
}

/// What `source` is held by.
#[inline(always)]
pub(super) fn source_key_of<A: Address, W: FamilyMaps<A>>(source: A, env: &W) -> SourceKey<A> {
    let settings = env.settings();
    // The look-up is for IPv6 alone, where it matters.
    let needs_look = settings.prefix != 0 && !source.is_of_many();
    let relation = if needs_look { env.relation(source) } else { Relation::Stranger };
    source_key(source, relation, settings)
}
