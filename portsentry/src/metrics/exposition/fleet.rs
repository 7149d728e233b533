//! Metrics of a fleet: one series for each of the other gateways.

use prometheus_client::{metrics::gauge::Gauge, registry::Registry};

use super::labels::{Counts, escaped};
use crate::metrics::{families::Gauges, stats::Snapshot};

/// Adds the metrics of a gateway with a `SHARE_SOCKET`.
pub(super) fn fleet(registry: &mut Registry, snapshot: &Snapshot) {
    let Some(is_joined) = snapshot.companion else { return };
    let companion: Gauge = Gauge::default();
    companion.set(is_joined.into());
    registry.register("share_connected", "1 if the companion is connected to SHARE_SOCKET", companion);
    let (in_force, held) = (Gauges::default(), Gauges::default());
    let (accepted, refused) = (Counts::default(), Counts::default());
    for peer in &snapshot.peers {
        let gateway = ("gateway", escaped(&peer.gateway));
        let of_gateway = vec![gateway.clone()];
        in_force.get_or_create(&of_gateway).set(i64::try_from(peer.in_force).unwrap_or(i64::MAX));
        held.get_or_create(&of_gateway).set(peer.is_held.into());
        accepted.get_or_create(&of_gateway).inc_by(peer.accepted);
        for (reason, count) in &peer.refused {
            refused.get_or_create(&vec![gateway.clone(), ("reason", (*reason).into())]).inc_by(*count);
        }
    }
    registry.register("peer_sources", "Sources blocked or fenced now because a gateway says so", in_force);
    registry.register("peer_held", "1 for each gateway that is held: its words are ignored", held);
    registry.register("peer_words", "Words of each gateway that were accepted", accepted);
    registry.register("peer_refused_words", "Words of each gateway that were refused, by reason", refused);
}
