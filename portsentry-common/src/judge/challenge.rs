//! The challenge: answers a SYN with a cookie, and recognises the acknowledgement.

use super::open::is_left_alone;
use crate::{
    challenge::{Challenged, is_answerable, is_genuine, write},
    classify::{Kind, Probe, Protocol},
    counter::Counter,
    environment::{Environment, FamilyMaps, RateLimit},
    flow::Flow,
    frame::{Frame, Rewrite},
    parse::{Datagram, Link, TcpFlags},
};

/// Rewrites a SYN into its answer with a cookie, if challenges are on and the SYN can be answered.
#[inline(always)]
pub(super) fn challenge<A, F, W>(
    frame: &F,
    link: &Link,
    datagram: &Datagram<A>,
    flow: &Flow<A>,
    now_ns: u64,
    env: &W,
) -> bool
where
    A: Challenged,
    F: Rewrite,
    W: FamilyMaps<A>,
{
    if env.settings().challenge_rate == 0
        || flow.probe.kind != Kind::Syn
        || !is_answerable(link, datagram)
        || !env.try_acquire(RateLimit::Answer, now_ns)
    {
        return false;
    }
    let Some(secrets) = env.secrets() else { return false };
    let is_written = write(frame, link, flow, secrets, &env.constants(), now_ns);
    if is_written {
        env.count(Counter::Answered);
    }
    is_written
}

/// Whether a segment acknowledges a cookie, or `None` if that wasn't checked. Any segment with ACK and neither SYN
/// nor RST completes a handshake (RFC 9293 section 3.10.7.4), even one with data or a FIN.
#[inline(always)]
pub(super) fn acknowledged<A, F, W>(
    frame: &F,
    datagram: &Datagram<A>,
    flow: &Flow<A>,
    now_ns: u64,
    env: &W,
) -> Option<bool>
where
    A: Challenged,
    F: Frame,
    W: FamilyMaps<A>,
{
    const MASK: u8 = TcpFlags::SYN | TcpFlags::RST | TcpFlags::ACK;
    let Probe { flags, protocol, port, .. } = flow.probe;
    if env.settings().challenge_rate == 0
        || protocol != Protocol::Tcp
        || flags & MASK != TcpFlags::ACK
        || !may_be_asked(port, env)
        || env.settings().opens() && !env.may_guess(&flow.source, now_ns)
        || !env.try_acquire(RateLimit::Check, now_ns)
    {
        return None;
    }
    let (Some(secrets), Some([sequence, acknowledged])) =
        (env.secrets(), frame.read::<[u32; 2]>(datagram.transport + 4))
    else {
        return None;
    };
    let [isn, cookie] = [sequence, acknowledged].map(|number| u32::from_be(number).wrapping_sub(1).to_be());
    let is_right = is_genuine(secrets, flow, isn, cookie, now_ns);
    // Correct ones are free: a client that waits for a greeting sends no second one.
    if !is_right && env.settings().opens() {
        env.count_guess(&flow.source, now_ns);
    }
    Some(is_right)
}

/// Whether a SYN to that port may have been answered with a cookie.
#[inline(always)]
fn may_be_asked<W: Environment>(port: u16, env: &W) -> bool {
    env.is_watched(Protocol::Tcp, port) || env.settings().opens() && !is_left_alone(port, env)
}

/// Whether the segment acknowledges the kernel's own SYN cookie. It completes a connection that no socket knows
/// yet.
#[inline(always)]
pub(super) fn is_cookie_of_kernel<A: Challenged, W: FamilyMaps<A>>(
    link: &Link,
    datagram: &Datagram<A>,
    flow: &Flow<A>,
    env: &W,
) -> bool {
    env.settings().opens() && is_answerable(link, datagram) && env.is_cookie_of_kernel(flow, link.length)
}
