//! Learns from the answers that other hosts send through this one.

use aya_ebpf::{bindings::__sk_buff, helpers::generated::bpf_skb_pull_data};
use portsentry_common::{
    address::{Ipv4, Ipv6},
    answered::{Answer, Answering, Learning, answer, learn},
    classify::Protocol,
    counter::Counter,
    environment::{Locality, Relation},
    frame::Bytes,
    gate::Held,
    learned::Question,
    parse::UDP,
    scan::{Contact, contacts::Heard},
    settings::Settings,
};

use crate::{clock::now_ns, frame::linear, kernel::Family, learned, maps, scan, settings::settings};

/// Number of bytes of an ICMP error that are read, from its IP header on: two IPv6 headers, ICMP's, and the quoted
/// ports.
const READ: usize = 40 + 8 + 40 + 4;

/// The packet must not leave.
pub const WITHHELD: u32 = 1;
/// The packet leaves, and its source is no address of this host.
pub const OF_OTHERS: u32 = 2;

/// Learns from an outgoing IPv4 packet whose IP header starts at `offset`. Returns [`WITHHELD`], [`OF_OTHERS`] or 0.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn learn_ipv4(context: *mut __sk_buff, offset: u64) -> u32 {
    learn_from::<Ipv4>(context, offset)
}

/// The same for IPv6.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn learn_ipv6(context: *mut __sk_buff, offset: u64) -> u32 {
    learn_from::<Ipv6>(context, offset)
}

#[inline(always)]
fn learn_from<A: Family + Answering>(context: *mut __sk_buff, offset: u64) -> u32 {
    // None, Ethernet, and Ethernet with a tag.
    let offset = match offset {
        0 => 0,
        14 => 14,
        _ => 18,
    };
    let mut packet = linear(context);
    // SAFETY: a field of the context that the kernel handed to the program.
    let length = unsafe { (&raw const (*context).len).read_volatile() };
    if !packet.reaches(offset + READ) && (packet.length() as u32) < length {
        let wanted = (offset + READ) as u32;
        // SAFETY: the context comes from the kernel. The bounds are read again below.
        if unsafe { bpf_skb_pull_data(context, if length < wanted { length } else { wanted }) } != 0 {
            return 0;
        }
        packet = linear(context);
    }
    let Some((answer, question)) = answer::<A, _>(packet.skip(offset)) else { return 0 };
    let learnt = learn(answer, &question, &Learner);
    if learnt.is_withheld {
        WITHHELD
    } else if learnt.locality == Locality::Own {
        0
    } else {
        OF_OTHERS
    }
}

/// Learns from a datagram that another host sends, or from its segment of an established connection. The arguments are
/// the halves of the remote and the local address, IPv4 as IPv4-mapped, and the ports and protocol of the question that
/// it may answer.
#[inline(never)]
pub fn learn_flow_v4(_: u64, remote: u64, _: u64, local: u64, ports: u64) -> u64 {
    let [source, destination] = [remote, local].map(|low| {
        let [_, _, _, last] = Ipv6::from_halves([0, low]).words();
        Ipv4::from_word(last)
    });
    learn_flow(source, destination, ports)
}

/// The same for IPv6.
#[inline(never)]
pub fn learn_flow_v6(remote_high: u64, remote_low: u64, local_high: u64, local_low: u64, ports: u64) -> u64 {
    let [source, destination] = [[remote_high, remote_low], [local_high, local_low]].map(Ipv6::from_halves);
    learn_flow(source, destination, ports)
}

#[inline(always)]
fn learn_flow<A: Family + Answering>(source: A, destination: A, ports: u64) -> u64 {
    let (source_port, port) = (ports as u16, (ports >> 16) as u16);
    let (protocol, answer) = match (ports >> 32) as u8 {
        UDP => (Protocol::Udp, Answer::Replies),
        _ => (Protocol::Tcp, Answer::Converses),
    };
    let question = Question { source, destination, source_port, port, protocol };
    learn(answer, &question, &Learner);
    0
}

/// The environment of the rules for answers.
struct Learner;

impl<A: Family> Learning<A> for Learner {
    #[inline(always)]
    fn settings(&self) -> &Settings {
        settings()
    }

    #[inline(always)]
    fn is_enforced(&self) -> bool {
        let heartbeat_ns = maps::HEARTBEAT.get(0).copied().unwrap_or(0);
        settings().is_enforced(now_ns(), heartbeat_ns)
    }

    #[inline(always)]
    fn count(&self, counter: Counter) {
        count(counter);
    }

    #[inline(always)]
    fn locality(&self, address: A) -> Locality {
        A::local(address).into()
    }

    #[inline(always)]
    fn relation(&self, source: A) -> Relation {
        A::relation(source)
    }

    #[inline(always)]
    fn take(&self, question: &Question<A>) -> bool {
        let [source_high, source_low, high, low] = question.halves();
        learned::take(source_high, source_low, high, low, question.ports()) != 0
    }

    #[inline(always)]
    fn take_mark(&self, question: &Question<A>) -> u8 {
        let [source_high, source_low, high, low] = question.halves();
        learned::take_mark(source_high, source_low, high, low, question.ports()) as u8
    }

    #[inline(always)]
    fn heard(&self, destination: &Heard<A>) {
        scan::heard(destination);
    }

    #[inline(always)]
    fn settle_contact(&self, key: A, contact: &Contact, mark: u8) {
        let [high, low] = key.to_mapped().halves();
        scan::settle_contact(high, low, u64::from(contact.packed()) | u64::from(mark) << scan::sets::MARK_AT);
    }

    #[inline(always)]
    fn has_answered(&self, question: &Question<A>) -> bool {
        let ([high, low], what) = question.asked();
        learned::is_known(high, low, what, learned::SERVED) != 0
    }

    #[inline(always)]
    fn accept(&self, question: &Question<A>) {
        let ([high, low], what) = question.asked();
        if learned::learn(high, low, what, learned::SERVED) != 0 {
            count(Counter::LearnedServed);
        }
    }

    #[inline(always)]
    fn refuse(&self, question: &Question<A>) {
        let ([high, low], what) = question.asked();
        if learned::learn(high, low, what, learned::REFUSED) != 0 {
            count(Counter::LearnedRefused);
        }
    }

    #[inline(always)]
    fn fail(&self, key: A, pair: u32) -> u32 {
        let [high, low] = key.to_mapped().halves();
        learned::fail(high, low, pair.into(), 1) as u32
    }

    #[inline(always)]
    fn succeed(&self, key: A, pair: u32) -> u32 {
        let [high, low] = key.to_mapped().halves();
        learned::succeed(high, low, pair.into(), 0) as u32
    }

    #[inline(always)]
    fn converse(&self, key: A, pair: u32) {
        let [high, low] = key.to_mapped().halves();
        learned::succeed(high, low, pair.into(), 1);
    }

    #[inline(always)]
    fn failures(&self, key: A) -> u32 {
        let [high, low] = key.to_mapped().halves();
        learned::failures(high, low) as u32
    }

    #[inline(always)]
    fn is_fenced(&self, source: A, key: A) -> bool {
        let is_fenced = |address: &A| {
            // SAFETY: a map's value, which stays readable while the program runs.
            address.fenced().is_some_and(|fence| unsafe { !(*fence).is_over(now_ns()) })
        };
        A::gate().near(source.bit()).is_in(Held::Fenced) && (is_fenced(&key) || is_fenced(&source))
    }
}

#[inline(always)]
fn count(counter: Counter) {
    if let Some(counters) = maps::COUNTERS.get_ptr_mut(0) {
        // SAFETY: a counter's number is its word's index in `Counters`. The value belongs to this CPU, and only this
        // hook counts these.
        unsafe { *counters.cast::<u64>().add(counter as usize) += 1 };
    }
}
