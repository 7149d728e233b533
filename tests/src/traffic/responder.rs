//! Answers for all hosts of the network, in one thread.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use super::{
    frame::{What, datagram, read, segment, unreachable},
    network::{Network, Reaction},
};
use crate::{
    frames::{ACK, RST, SYN},
    lab::{Namespace, Wire},
};

/// ICMP codes: host and port unreachable.
const HOST: u8 = 1;
const PORT: u8 = 3;

/// A thread that answers. It ends when dropped.
#[derive(Debug)]
pub struct Responder {
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Responder {
    /// Answers on `interface` of `namespace`, each packet after `delay`.
    pub fn start(network: &Arc<Network>, namespace: &Namespace, interface: &str, delay: Duration) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let wire = Wire::of(namespace, interface);
        let (network, ended) = (Arc::clone(network), Arc::clone(&is_over));
        let thread = thread::spawn(move || {
            let mut waiting = VecDeque::new();
            while !ended.load(Ordering::Relaxed) {
                let due = waiting
                    .front()
                    .map(|(due, _): &(Instant, _)| due.saturating_duration_since(Instant::now()));
                if let Some(frame) = wire.receive(due.unwrap_or(Duration::from_millis(20)))
                    && let Some(answer) = answer(&network, &frame)
                {
                    waiting.push_back((Instant::now() + delay, answer));
                }
                while waiting.front().is_some_and(|(due, _)| *due <= Instant::now()) {
                    waiting.pop_front().iter().for_each(|(_, answer)| wire.send_frame(answer));
                }
            }
        });
        Self { is_over, thread: Some(thread) }
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn answer(network: &Network, frame: &[u8]) -> Option<Vec<u8>> {
    let heard = read(frame)?;
    if !matches!(heard.what, What::Syn | What::Datagram | What::Segment) {
        return None;
    }
    let (link, ends) = (heard.back, [heard.to, heard.from]);
    let next = heard.sequence.wrapping_add(1);
    match network.reaction((heard.protocol, heard.to)) {
        Reaction::Answer if heard.what == What::Syn => Some(segment(link, ends, SYN | ACK, 7, next)),
        Reaction::Answer if heard.what == What::Segment => Some(segment(link, ends, ACK, 8, next)),
        Reaction::Answer => Some(datagram(link, ends)),
        _ if heard.what == What::Segment => None,
        Reaction::Refuse if heard.what == What::Syn => Some(segment(link, ends, RST | ACK, 0, next)),
        Reaction::Refuse => unreachable(link, *heard.to.ip(), PORT, frame),
        Reaction::NoHost => unreachable(link, std::net::Ipv4Addr::new(203, 0, 113, 2), HOST, frame),
        Reaction::Silence => None,
    }
}
