//! The fast path, which decides nearly every frame.

use core::hint::cold_path;

use super::Action;
use crate::{
    address::{Ipv4, Ipv6},
    classify::{self, Protocol},
    environment::FastMaps,
    frame::{Bytes, Frame},
    gate::Near,
    parse::{CUSTOMER_TAG, ETHERTYPE, IP, IPV4, IPV6, Plain, TAG},
};

/// Result of the [`fast_path`], which decides nearly every frame with the same result as [`super::slow_path()`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FastPath {
    /// The action for the frame.
    Decided(Action),
    /// An IPv4 packet whose source may be in these maps. [`super::suspect_state`] checks that.
    SuspectIpv4(Near),
    /// An IPv6 packet whose source may be in these maps.
    SuspectIpv6(Near),
    /// An IPv4 SYN of a free source. [`super::slow_path_free`] decides: floods consist of these, and no cheaper check
    /// decides many.
    SynIpv4,
    /// An IPv6 SYN of a free source.
    SynIpv6,
    /// Undecided: [`super::precheck()`] is next.
    Unsettled,
}

/// The fast path, for the most frequent packets: segments of connections and datagrams, with at most one VLAN tag
/// (IEEE 802.1Q), to a destination and port known to be benign. It is a straight line that calls no function and
/// saves no registers. It checks neither lengths nor IPv6's version, because a cached flow is benign whatever they
/// are.
///
/// Each branch passes its own result to `then`: if the results were merged, the compiler would have to branch on
/// them again.
#[inline(always)]
pub fn fast_path<F, W, R>(frame: &F, env: &W, then: impl Fn(FastPath) -> R) -> R
where
    F: Frame,
    W: FastMaps<Ipv4> + FastMaps<Ipv6>,
{
    let bytes = frame.bytes();
    let packet = bytes.skip(ETHERTYPE);
    let unsettled = || {
        cold_path();
        then(FastPath::Unsettled)
    };
    let is_tagged = || packet.read(0) == Some(CUSTOMER_TAG) && packet.reaches(TAG + COMMON);
    if bytes.reaches(ETHERTYPE + AMPLE) {
        return fast_path_from(packet, env, &then, || {
            if is_tagged() { fast_path_from(packet.skip(TAG), env, &then, unsettled) } else { unsettled() }
        });
    }
    if !bytes.reaches(ETHERTYPE + COMMON) {
        return unsettled();
    }
    fast_path_at_short(packet, env, &then, || {
        if is_tagged() { fast_path_at_short(packet.skip(TAG), env, &then, unsettled) } else { unsettled() }
    })
}

/// The maps of the fast path for a packet whose source is known to be free, although the gate's bit is set.
pub struct Clear<W>(
    /// The maps.
    pub W,
);

impl<A, W: FastMaps<A>> FastMaps<A> for Clear<W> {
    #[inline(always)]
    fn near(&self, _: u32) -> Near {
        Near(0)
    }

    #[inline(always)]
    fn is_known_benign(&self, destination: A, ending: u16, protocol: Protocol, port: u16) -> bool {
        self.0.is_known_benign(destination, ending, protocol, port)
    }
}

/// Number of bytes up to TCP's control bits over IPv6, counted from the `EtherType`, so that one bounds check
/// covers all reads.
const AMPLE: usize = IP + 54;
/// Number of bytes up to TCP's control bits over IPv4. Ethernet sends no frame shorter than 60 bytes.
const COMMON: usize = IP + 40;

/// Runs the fast path on a packet from its `EtherType` on. Returns `otherwise` unless it is ordinary IPv4 or IPv6.
#[inline(always)]
fn fast_path_from<B, W, R>(packet: B, env: &W, then: impl Fn(FastPath) -> R, otherwise: impl Fn() -> R) -> R
where
    B: Bytes,
    W: FastMaps<Ipv4> + FastMaps<Ipv6>,
{
    fast_path_at_short(packet, env, &then, || {
        if packet.read(0) == Some(IPV6) {
            return fast_path_as::<Ipv6, _, _, _>(
                packet,
                (FastPath::SuspectIpv6, FastPath::SynIpv6),
                env,
                &then,
            );
        }
        cold_path();
        otherwise()
    })
}

/// Runs the fast path on a packet that may be shorter than [`AMPLE`], such as a bare acknowledgement over IPv4.
#[inline(always)]
fn fast_path_at_short<B, W, R>(
    packet: B,
    env: &W,
    then: impl Fn(FastPath) -> R,
    otherwise: impl Fn() -> R,
) -> R
where
    B: Bytes,
    W: FastMaps<Ipv4>,
{
    if packet.read(0) == Some(IPV4) {
        return fast_path_as::<Ipv4, _, _, _>(packet, (FastPath::SuspectIpv4, FastPath::SynIpv4), env, then);
    }
    otherwise()
}

#[inline(always)]
fn fast_path_as<A, B, W, R>(
    packet: B,
    (suspect, syn): (fn(Near) -> FastPath, FastPath),
    env: &W,
    then: impl Fn(FastPath) -> R,
) -> R
where
    A: Plain,
    B: Bytes,
    W: FastMaps<A>,
{
    if !A::is_in_place(packet) {
        cold_path();
        return then(FastPath::Unsettled);
    }
    let Some(prefix) = A::prefix(packet) else { return then(FastPath::Unsettled) };
    let near = env.near(A::bit_of(prefix));
    if !near.is_none() {
        cold_path();
        return then(suspect(near));
    }
    let Some(carrier) = A::carrier(packet) else { return then(FastPath::Unsettled) };
    if A::is_tcp(carrier) && A::tcp(packet).is_some_and(classify::is_ack) {
        return fast_path_at_port::<A, _, _, _>(packet, Protocol::Tcp, env, then);
    }
    if A::is_udp(carrier) {
        return fast_path_at_port::<A, _, _, _>(packet, Protocol::Udp, env, then);
    }
    cold_path();
    if A::is_tcp(carrier) && A::is_syn(packet) {
        return then(syn);
    }
    then(FastPath::Unsettled)
}

#[inline(always)]
fn fast_path_at_port<A, B, W, R>(packet: B, protocol: Protocol, env: &W, then: impl Fn(FastPath) -> R) -> R
where
    A: Plain,
    B: Bytes,
    W: FastMaps<A>,
{
    if let (Some(port), Some(ending), Some(destination)) =
        (A::port(packet), A::destination_ending(packet), A::destination(packet))
        && env.is_known_benign(destination, ending, protocol, port)
    {
        return then(FastPath::Decided(Action::Pass));
    }
    cold_path();
    then(FastPath::Unsettled)
}
