//! The precheck, for packets that the fast path leaves undecided: no look-up except in the ports' bitmaps.

use super::{Action, benign::may_be_cached};
use crate::{
    address::{Ipv4, Ipv6},
    classify::{self, Kind, Protocol},
    environment::{Environment, FamilyMaps},
    frame::{Bytes, Frame},
    parse::{IP, Network, Plain, near_link},
};

/// The precheck: reads all VLAN tags, checks the lengths, and looks the port up in the bitmaps. `is_clear` means
/// that the source is neither blocked nor fenced. Returns `None` if only [`super::slow_path()`] can decide.
#[inline(always)]
pub fn precheck<F, W>(frame: &F, is_clear: bool, env: &W) -> Option<Action>
where
    F: Frame,
    W: FamilyMaps<Ipv4> + FamilyMaps<Ipv6>,
{
    let bytes = frame.bytes();
    let link = near_link(bytes)?;
    let packet = bytes.skip(link.length - IP);
    match link.network {
        Network::Ipv4 => precheck_as::<Ipv4, _, _>(packet, is_clear, env),
        Network::Ipv6 => precheck_as::<Ipv6, _, _>(packet, is_clear, env),
        Network::Other => Some(Action::Pass),
        Network::Buried => None,
    }
}

#[inline(always)]
fn precheck_as<A, B, W>(packet: B, is_clear: bool, env: &W) -> Option<Action>
where
    A: Plain,
    B: Bytes,
    W: FamilyMaps<A>,
{
    let beginning = packet.read(0)?;
    let prefix = A::prefix(packet)?;
    if !is_clear && !env.near(A::bit_of(prefix)).is_none() || !A::begins(beginning) {
        return None;
    }
    let carrier = A::carrier(packet)?;
    if A::is_tcp(carrier) {
        let control = A::tcp(packet)?;
        let is_sound = || A::is_sound_tcp(packet, control);
        return precheck_port::<A, _, _>(
            packet,
            Protocol::Tcp,
            classify::tcp(control.flags()),
            is_sound,
            env,
        );
    }
    if A::is_udp(carrier) {
        let is_sound = || A::is_sound_udp(packet);
        return precheck_port::<A, _, _>(packet, Protocol::Udp, Some(Kind::Udp), is_sound, env);
    }
    (A::is_plain(carrier) && A::is_sound(packet, |_| true)).then_some(Action::Pass)
}

/// Whether the packet may be a question, whose answer is awaited (see [`super::contact()`]), or a first contact (see
/// [`super::scan()`]).
#[inline(always)]
fn may_ask<W: Environment>(kind: Option<Kind>, port: u16, env: &W) -> bool {
    const WELL_KNOWN: u16 = 1024;
    let settings = env.settings();
    kind == Some(Kind::Syn) && settings.notes_syns()
        || kind == Some(Kind::Udp) && port < WELL_KNOWN && settings.learns()
}

/// Checks a packet that may be a probe of this kind.
#[inline(always)]
fn precheck_port<A, B, W>(
    packet: B,
    protocol: Protocol,
    kind: Option<Kind>,
    is_sound: impl Fn() -> bool,
    env: &W,
) -> Option<Action>
where
    A: Plain,
    B: Bytes,
    W: FamilyMaps<A>,
{
    let port = A::port(packet)?;
    let destination = A::destination(packet)?;
    let may_be_cached = kind.is_some_and(may_be_cached);
    if may_be_cached && env.is_known_benign(destination, destination.ending(), protocol, port) {
        return Some(Action::Pass);
    }
    if !is_sound() || kind.is_some() && (env.is_watched(protocol, port) || may_ask(kind, port, env)) {
        return None;
    }
    if may_be_cached {
        env.remember(destination, protocol, port);
    }
    Some(Action::Pass)
}
