//! Metrics of a fleet: those of the companion, and one series for each of the other gateways.

use prometheus_client::{
    metrics::{family::Family, gauge::Gauge},
    registry::{Registry, Unit},
};

use super::labels::{Counts, escaped};
use crate::{
    metrics::{
        families::{Gauges, Labels, Seconds},
        stats::{FleetStats, ShareStats, Snapshot},
    },
    policy::peers::Millis,
};

type OfGateways = Family<Labels, Seconds>;

/// Adds the metrics of a gateway with a `SHARE_SOCKET`.
pub(super) fn fleet(registry: &mut Registry, snapshot: &Snapshot) {
    let Some(fleet) = &snapshot.fleet else { return };
    let help = "1 if the companion is connected to SHARE_SOCKET";
    registry.register("share_connected", help, gauge(fleet.is_joined.into()));
    if let Some(share) = &fleet.share {
        self::share(registry, share);
    }
    peers(registry, fleet);
}

/// Adds what the companion reports.
fn share(registry: &mut Registry, share: &ShareStats) {
    let count = |count: usize| gauge(i64::try_from(count).unwrap_or(i64::MAX));
    registry.register("share_servers", "Servers of the fleet", count(share.servers));
    let help = "Servers of the fleet that the companion is connected to. It uses two";
    registry.register("share_servers_connected", help, count(share.connected));
    let help = "Words of this gateway that the fleet's state has yet to store";
    registry.register("share_waiting_words", help, count(share.waiting));
    if let Some(end) = share.certificate {
        let expiry = Seconds::default();
        expiry.set(seconds_of(end));
        let help = "End of the companion's certificate since the Unix epoch";
        registry.register_with_unit("share_certificate_expiry_timestamp", help, Unit::Seconds, expiry);
    }
}

fn peers(registry: &mut Registry, fleet: &FleetStats) {
    let (blocks, in_force, held) = (Gauges::default(), Gauges::default(), Gauges::default());
    let (accepted, refused) = (Counts::default(), Counts::default());
    let (offset, heard) = (OfGateways::default(), OfGateways::default());
    for peer in &fleet.peers {
        let gateway = ("gateway", escaped(&peer.gateway));
        let of_gateway = vec![gateway.clone()];
        blocks.get_or_create(&of_gateway).set(i64::try_from(peer.blocks).unwrap_or(i64::MAX));
        in_force.get_or_create(&of_gateway).set(i64::try_from(peer.in_force).unwrap_or(i64::MAX));
        held.get_or_create(&of_gateway).set(peer.is_held.into());
        let ahead = seconds_of(peer.offset.unsigned_abs());
        offset.get_or_create(&of_gateway).set(if peer.offset < 0 { -ahead } else { ahead });
        if let Some(time) = peer.heard {
            heard.get_or_create(&of_gateway).set(seconds_of(time));
        }
        accepted.get_or_create(&of_gateway).inc_by(peer.accepted);
        for (reason, count) in &peer.refused {
            refused.get_or_create(&vec![gateway.clone(), ("reason", (*reason).into())]).inc_by(*count);
        }
    }
    registry.register(
        "peer_blocks",
        "Blocks that each gateway says, also those that are not in force",
        blocks,
    );
    registry.register("peer_sources", "Sources blocked or fenced now because a gateway says so", in_force);
    registry.register("peer_held", "1 for each gateway that is held: its words are ignored", held);
    let meaning = "Seconds by which this host's clock is ahead of the gateway's";
    registry.register_with_unit("peer_clock_offset", meaning, Unit::Seconds, offset);
    let meaning = "Time of each gateway's last word since the Unix epoch";
    registry.register_with_unit("peer_last_heard_timestamp", meaning, Unit::Seconds, heard);
    registry.register("peer_words", "Words of each gateway that were accepted", accepted);
    registry.register("peer_refused_words", "Words of each gateway that were refused, by reason", refused);
}

fn gauge(value: i64) -> Gauge {
    let gauge = Gauge::default();
    gauge.set(value);
    gauge
}

/// Returns milliseconds in seconds.
fn seconds_of(millis: Millis) -> f64 {
    std::time::Duration::from_millis(millis).as_secs_f64()
}
