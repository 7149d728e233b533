//! What outgoing answers show about other hosts' ports: which are served, and which are refused.
//!
//! A question is a packet that asks for a connection or an answer. Only an answer to a recorded question teaches, so
//! that no host can teach about another's ports, and none can accuse a source that asked nothing.

use bytemuck::{Pod, Zeroable};

use crate::{
    address::{Address, Ipv6},
    classify::{Kind, Probe, Protocol, may_answer},
    flow::Flow,
};

/// Time within which an answer must follow its question, in nanoseconds. Longer than a host needs to refuse.
pub const ANSWER_NS: u64 = 10_000_000_000;
/// Time for which a port counts as served after its last answer, in nanoseconds: a day. A service that is restarted
/// must not accuse its clients.
pub const SERVED_NS: u64 = 86_400_000_000_000;

/// Key of a learned port.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Pod, Zeroable)]
pub struct PortKey {
    /// The address to which clients send, IPv4 as IPv4-mapped.
    pub address: Ipv6,
    /// Host byte order.
    pub port: u16,
    /// IP protocol number.
    pub protocol: u8,
    /// Always 0.
    pub reserved: [u8; 5],
}

impl PortKey {
    /// Built from whole words, so that a look-up doesn't stall on a store.
    #[inline(always)]
    #[must_use]
    pub fn new([high, low]: [u64; 2], port: u16, protocol: u8) -> Self {
        bytemuck::cast([high, low, (u64::from(port) | u64::from(protocol) << 16).to_le()])
    }
}

/// The two ends of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question<A> {
    /// The host that asks.
    pub source: A,
    /// The host that is asked.
    pub destination: A,
    /// Source port, host byte order.
    pub source_port: u16,
    /// Destination port, host byte order.
    pub port: u16,
    /// The transport protocol.
    pub protocol: Protocol,
}

impl<A: Address> Question<A> {
    /// Returns the question that a packet asks.
    #[inline(always)]
    #[must_use]
    pub const fn of(flow: &Flow<A>) -> Self {
        let Probe { source_port, port, protocol, .. } = flow.probe;
        Self { source: flow.source, destination: flow.destination, source_port, port, protocol }
    }

    /// Returns the ports and the protocol in one word.
    #[inline(always)]
    #[must_use]
    pub const fn ports(&self) -> u64 {
        self.source_port as u64 | (self.port as u64) << 16 | (self.protocol as u64) << 32
    }

    /// Returns the halves of the source, and of the destination: with the ports, the arguments of a BPF function.
    #[inline(always)]
    #[must_use]
    pub fn halves(&self) -> [u64; 4] {
        let [source, destination] = [self.source, self.destination].map(|end| end.to_mapped().halves());
        [source[0], source[1], destination[0], destination[1]]
    }

    /// Returns the halves of the destination, and its port and protocol in one word.
    #[inline(always)]
    #[must_use]
    pub fn asked(&self) -> ([u64; 2], u64) {
        (self.destination.to_mapped().halves(), u64::from(self.port) | (self.protocol as u64) << 16)
    }
}

/// Whether the packet is a question: a SYN, or a datagram from a client's port to a well-known one. Other datagrams
/// may be answers.
#[inline(always)]
#[must_use]
pub const fn is_question(probe: &Probe) -> bool {
    match probe.kind {
        Kind::Syn => true,
        Kind::Udp => !may_answer(probe),
        _ => false,
    }
}

/// Returns a hash of a question, given the halves of its addresses and [`Question::ports`]. Never 0. Senders don't
/// know `key`, so that they can't construct questions with the same hash.
#[inline(always)]
#[must_use]
pub const fn hash(source: [u64; 2], destination: [u64; 2], ports: u64, key: u64) -> u64 {
    const FIRST: u64 = 0x9e37_79b9_7f4a_7c15;
    const SECOND: u64 = 0xc2b2_ae3d_27d4_eb4f;
    let mut hash = (source[0] ^ key).wrapping_mul(FIRST);
    hash = (hash ^ hash >> 32 ^ source[1]).wrapping_mul(SECOND);
    hash = (hash ^ hash >> 29 ^ destination[0]).wrapping_mul(key | 1);
    hash = (hash ^ hash >> 32 ^ destination[1]).wrapping_mul(FIRST);
    hash = (hash ^ hash >> 29 ^ ports).wrapping_mul(SECOND);
    hash ^ hash >> 32 | 1 << 63
}

const _: () = assert!(size_of::<PortKey>() == 24);

/// The maps of questions and learned ports, as the rules for incoming packets use them.
pub trait Learned<A> {
    /// Records a question.
    fn ask(&self, question: &Question<A>);

    /// Whether the port that is asked has answered within [`SERVED_NS`].
    fn has_answered(&self, question: &Question<A>, now_ns: u64) -> bool;

    /// Whether the port that is asked has refused, and hasn't answered since.
    fn has_refused(&self, question: &Question<A>) -> bool;

    /// Counts a question of the source `key` to the port `pair`, which has refused others. Returns the number of the
    /// source's failures.
    fn suspect(&self, key: A, pair: u32, now_ns: u64) -> u32;

    /// Returns the number of failures of the source `key`.
    fn failures(&self, key: A, now_ns: u64) -> u32;

    /// Forgets the failures of the source `key`.
    fn forget_failures(&self, key: A);
}

#[cfg(test)]
mod tests;
