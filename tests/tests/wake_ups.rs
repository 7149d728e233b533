//! The kernel program wakes the ring's reader for blocks of proven sources, and for no other event.

use std::time::Duration;

use portsentry_common::{classify::Kind, decide::Verdict};
use portsentry_tests::{
    frames::{ACK, Layer, Packet, SYN, tcp},
    kernel::InKernel,
    lab::segment,
    namespace::with_sockets,
    scenario::Scenario,
    test_host,
};
use tokio::time::timeout;

const ENDS: [(&str, &str); 2] =
    [("192.0.2.9:40000", "198.51.100.1:111"), ("[2001:db8:bad::9]:40000", "[2001:db8::1]:111")];
/// Another client of each.
const OTHERS: [&str; 2] = ["192.0.2.77:40000", "[2001:db8:bad:7::7]:40000"];
const ISN: u32 = 7;
/// Time in which a wake-up would have arrived. A longer one makes the test slower, a shorter one no less reliable.
const MOMENT: Duration = Duration::from_millis(50);
const PATIENCE: Duration = Duration::from_secs(30);

fn from_client((client, trap): (&str, &str), flags: u8, sequence: u32, acknowledged: u32) -> Packet {
    let packet = tcp(flags).from(client).to(trap).with(Layer::Transport, 4, &sequence.to_be_bytes());
    packet.with(Layer::Transport, 8, &acknowledged.to_be_bytes())
}

#[test]
fn only_the_block_of_a_proven_source_wakes_the_reader() {
    with_sockets(&test_host::sockets(), || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let mut kernel = InKernel::new(&Scenario::with(|settings| {
            settings.fence_ns = 3_600_000_000_000;
            settings.fence_rate = u32::MAX;
            settings.challenge_rate = u32::MAX;
            settings.first_ephemeral = 32_768;
        }));
        for (ends, other) in ENDS.into_iter().zip(OTHERS) {
            runtime.block_on(async {
                let wake_ups = kernel.ring().wake_ups().expect("the ring can be polled");
                let (_, answer) = kernel.rewrite(&from_client(ends, SYN, ISN, 0).frame(0));
                let cookie = segment(&answer).expect("an answer is a TCP segment").tcp.sequence_number;
                kernel.repeat(&tcp(SYN).from(other).to(ends.1).frame(0), 1);
                assert!(timeout(MOMENT, wake_ups.next()).await.is_err(), "an unproven probe wakes nobody");
                assert!(!kernel.told().is_empty(), "the probe is reported");
                let proof = from_client(ends, ACK, ISN + 1, cookie.wrapping_add(1));
                kernel.repeat(&proof.frame(0), 1);
                timeout(PATIENCE, wake_ups.next()).await.expect("the reader is woken");
                let told = kernel.told();
                let is_proven = |kind, verdict| kind == Kind::Connect && verdict == Verdict::Block;
                assert!(told.iter().any(|sighting| is_proven(sighting.kind, sighting.verdict)), "{told:?}");
            });
        }
    });
}
