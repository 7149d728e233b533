//! The answers that other hosts send through this one, and what they teach.
//!
//! A SYN-ACK or a datagram shows a service. A reset of a SYN, or an ICMP error that quotes the question, shows a
//! refusal. Silence shows nothing, because the answer may take another way.

use crate::{
    address::{Address, Ipv4, Ipv6},
    classify::Protocol,
    counter::Counter,
    environment::{Locality, Relation},
    frame::Bytes,
    judge::source_key,
    learned::Question,
    parse::{TCP, TcpFlags, UDP},
    scan::{Contact, Outcome, Pair, Shape, contacts::Heard},
    settings::Settings,
    tally::pair,
};

/// The meaning of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The port is served, and the answer is a SYN-ACK.
    Accepts,
    /// The port is served, and the answer is a datagram.
    Replies,
    /// The port is refused.
    Refuses,
    /// The port is served, and the answer is a segment of an established connection.
    Converses,
}

/// An address family whose answers are read at fixed offsets: IP headers without options or extensions.
pub trait Answering: Address {
    /// Length of the IP header in bytes.
    const HEADER: usize;
    /// Protocol number of ICMP in this family.
    const ICMP: u8;

    /// Returns the transport protocol's number, or `None` for another IP version, with options, or in a later fragment.
    fn carried<B: Bytes>(packet: B) -> Option<u8>;

    /// Returns the source and the destination.
    fn ends<B: Bytes>(packet: B) -> Option<[Self; 2]>;

    /// Whether the host or a packet filter refuses a port with this ICMP type and code. Errors that a host may have
    /// caused by being switched off don't count.
    fn refuses(kind: u8, code: u8) -> bool;
}

impl Answering for Ipv4 {
    const HEADER: usize = 20;
    const ICMP: u8 = 1;

    #[inline(always)]
    fn carried<B: Bytes>(packet: B) -> Option<u8> {
        /// Version 4 and a header of five words.
        const PLAIN: u8 = 0x45;
        /// The bits of the fragment's offset.
        const OFFSET: u16 = 0x1fff_u16.to_be();
        let is_plain = packet.read(0) == Some(PLAIN) && packet.read::<u16>(6)? & OFFSET == 0;
        if is_plain { packet.read(9) } else { None }
    }

    #[inline(always)]
    fn ends<B: Bytes>(packet: B) -> Option<[Self; 2]> {
        Some(packet.read::<[u32; 2]>(12)?.map(Self::from_word))
    }

    /// Port unreachable (RFC 792), and communication administratively prohibited (RFC 1122, RFC 1812).
    #[inline(always)]
    fn refuses(kind: u8, code: u8) -> bool {
        kind == 3 && matches!(code, 3 | 9 | 10 | 13)
    }
}

impl Answering for Ipv6 {
    const HEADER: usize = 40;
    const ICMP: u8 = 58;

    #[inline(always)]
    fn carried<B: Bytes>(packet: B) -> Option<u8> {
        let is_plain = packet.read::<u8>(0)? >> 4 == 6;
        if is_plain { packet.read(6) } else { None }
    }

    #[inline(always)]
    fn ends<B: Bytes>(packet: B) -> Option<[Self; 2]> {
        let [a, b, c, d] = packet.read::<[u64; 4]>(8)?;
        Some([Self::from_halves([a, b]), Self::from_halves([c, d])])
    }

    /// Administratively prohibited and port unreachable (RFC 4443 section 3.1).
    #[inline(always)]
    fn refuses(kind: u8, code: u8) -> bool {
        kind == 1 && matches!(code, 1 | 4)
    }
}

/// Length of ICMP's own header in bytes, which the quoted packet follows.
const ICMP_HEADER: usize = 8;

/// Returns the answer in an outgoing packet, given from its IP header on, and the question that it answers.
#[inline(always)]
pub fn answer<A: Answering, B: Bytes>(packet: B) -> Option<(Answer, Question<A>)> {
    let [destination, source] = A::ends(packet)?;
    let carried = A::carried(packet)?;
    if carried == A::ICMP {
        let [kind, code] = packet.read::<[u8; 2]>(A::HEADER)?;
        if !A::refuses(kind, code) {
            return None;
        }
        let quoted = packet.skip(A::HEADER + ICMP_HEADER);
        let [asked_by, destination] = A::ends(quoted)?;
        let protocol = protocol(A::carried(quoted)?)?;
        let [source_port, port] = quoted.read::<[u16; 2]>(A::HEADER)?.map(u16::from_be);
        let question = Question { source, destination, source_port, port, protocol };
        return (asked_by == source).then_some((Answer::Refuses, question));
    }
    let protocol = protocol(carried)?;
    let answer = match protocol {
        Protocol::Udp => Answer::Replies,
        Protocol::Tcp => of_segment(packet.read(A::HEADER + 13)?, packet.read(A::HEADER + 4)?)?,
    };
    let [port, source_port] = packet.read::<[u16; 2]>(A::HEADER)?.map(u16::from_be);
    Some((answer, Question { source, destination, source_port, port, protocol }))
}

#[inline(always)]
const fn protocol(number: u8) -> Option<Protocol> {
    match number {
        TCP => Some(Protocol::Tcp),
        UDP => Some(Protocol::Udp),
        _ => None,
    }
}

/// Returns the answer of a segment with these control bits and this sequence number. A reset that answers a SYN has
/// the number 0 and acknowledges the SYN (RFC 9293 section 3.10.7.1). Other resets end a connection. A host sends other
/// segments only on an established one.
#[inline(always)]
const fn of_segment(flags: u8, sequence: u32) -> Option<Answer> {
    const MASK: u8 = TcpFlags::FIN | TcpFlags::SYN | TcpFlags::RST | TcpFlags::ACK;
    const ACCEPTS: u8 = TcpFlags::SYN | TcpFlags::ACK;
    const REFUSES: u8 = TcpFlags::RST | TcpFlags::ACK;
    const ENDS: u8 = TcpFlags::FIN | TcpFlags::ACK;
    match flags & MASK {
        ACCEPTS => Some(Answer::Accepts),
        REFUSES if sequence == 0 => Some(Answer::Refuses),
        TcpFlags::ACK | ENDS => Some(Answer::Converses),
        _ => None,
    }
}

/// The environment of the rules for answers.
pub trait Learning<A> {
    /// The settings.
    fn settings(&self) -> &Settings;

    /// Whether fences are enforced: see `OPEN_AFTER`.
    fn is_enforced(&self) -> bool;

    /// Adds one to `counter`.
    fn count(&self, counter: Counter);

    /// Returns the owner of an address.
    fn locality(&self, address: A) -> Locality;

    /// Returns the relation of `source` to this host.
    fn relation(&self, source: A) -> Relation;

    /// Removes the record of a question. Returns `false` if there was none, or the answer is too late.
    fn take(&self, question: &Question<A>) -> bool;

    /// Removes the [`crate::scan::mark`] of a question, and returns it, or 0 if there is none.
    fn take_mark(&self, question: &Question<A>) -> u8;

    /// Records that the asked destination has answered: see [`crate::scan::hearing`].
    fn heard(&self, destination: &Heard<A>);

    /// Takes back the failure of the source `key` whose question has this mark, or makes it count as refused.
    fn settle_contact(&self, key: A, contact: &Contact, mark: u8);

    /// Whether the port has answered within [`crate::learned::SERVED_NS`].
    fn has_answered(&self, question: &Question<A>) -> bool;

    /// Records that the port has answered, and forgets its refusal.
    fn accept(&self, question: &Question<A>);

    /// Records that the port has refused.
    fn refuse(&self, question: &Question<A>);

    /// Counts a refusal of the port `pair` to the source `key`. Returns the number of its failures.
    fn fail(&self, key: A, pair: u32) -> u32;

    /// Forgets a failure of the source `key` by the port `pair`, which accepts, or takes one off. Returns the number of its
    /// failures.
    fn succeed(&self, key: A, pair: u32) -> u32;

    /// Takes a failure off the source `key`, which has a connection to the port `pair`.
    fn converse(&self, key: A, pair: u32);

    /// Returns the number of failures of the source `key`.
    fn failures(&self, key: A) -> u32;

    /// Whether `source` is fenced, alone or by its network's `key`.
    fn is_fenced(&self, source: A, key: A) -> bool;
}

/// What an answer led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Learnt {
    /// Whether the answer must not leave.
    pub is_withheld: bool,
    /// The owner of the answering address.
    pub locality: Locality,
}

/// An unknown number of failures. An `Option` would be copied with its unset number, which the kernel's verifier refuses.
const UNKNOWN: u32 = u32::MAX;

/// Learns from the answer to a question, forwarded by this host.
#[inline(always)]
pub fn learn<A: Answering, W: Learning<A>>(answer: Answer, question: &Question<A>, env: &W) -> Learnt {
    let locality = env.locality(question.destination);
    if locality == Locality::Foreign {
        return Learnt { is_withheld: false, locality };
    }
    let settings = env.settings();
    let relation = env.relation(question.source);
    let key = source_key(question.source, relation, settings).address;
    let pair = pair(question.destination, question.port);
    if answer == Answer::Converses {
        env.converse(key, pair);
        return Learnt { is_withheld: false, locality };
    }
    let mut failures = UNKNOWN;
    if env.take(question) {
        if settings.detects_scans() && question.protocol == Protocol::Tcp && relation != Relation::Exempt {
            settle_contact(answer, question, key, locality, env);
        }
        if answer != Answer::Refuses {
            env.accept(question);
            failures = env.succeed(key, pair);
        } else if !env.has_answered(question) {
            env.refuse(question);
            if relation != Relation::Exempt {
                env.count(Counter::FailedConnections);
                failures = env.fail(key, pair);
            }
        }
    }
    let has_failed = || {
        let failures = if failures == UNKNOWN { env.failures(key) } else { failures };
        failures >= settings.failed_connections()
    };
    // An open fence lets a fenced source connect to this host's own addresses.
    let is_held = settings.enforces_answers()
        && settings.blocks(question.protocol)
        && answer != Answer::Replies
        && relation != Relation::Exempt
        && !(locality == Locality::Own && settings.opens())
        && env.is_enforced()
        && (has_failed() || env.is_fenced(question.source, key));
    if is_held {
        env.count(Counter::Withheld);
    }
    Learnt { is_withheld: is_held, locality }
}

/// Settles the first contact that a question was, for the detection of scans.
#[inline(always)]
fn settle_contact<A: Answering, W: Learning<A>>(
    answer: Answer,
    question: &Question<A>,
    key: A,
    locality: Locality,
    env: &W,
) {
    let Question { destination, port, .. } = *question;
    let Settings { scan_key, scan_begun, .. } = *env.settings();
    let is_own = locality == Locality::Own;
    env.heard(&Heard { address: destination, port: if is_own { port } else { 0 } });
    let outcome = if answer == Answer::Refuses { Outcome::Refused } else { Outcome::Served };
    let contact = Contact {
        pair: Pair::with(destination, port, [scan_key, scan_begun]),
        outcome,
        // The shape adds the same to both outcomes.
        shape: Shape::Ordinary,
        is_high: port > 1023,
        is_open: false,
    };
    env.settle_contact(key, &contact, env.take_mark(question));
}

#[cfg(test)]
mod tests;
