//! The challenge in the kernel, frame by frame. The program turns a SYN to a trap into its answer, and only an
//! acknowledgement of its cookie is proof. The rule's unit tests cover the expiry of cookies, because no test can
//! set the kernel's clock.

use portsentry_common::{
    block::{Block, Proof},
    classify::Kind,
    decide::Verdict,
    judge::Action,
    settings::Settings,
};
use portsentry_tests::{
    frames::{ACK, FIN, Layer, PSH, Packet, RST, SYN, URG, seat, tcp, udp},
    kernel::InKernel,
    lab::{Segment, segment},
    namespace::with_sockets,
    outcome::{Judge, Outcome},
    scenario::Scenario,
    test_host,
};

const HOUR_NS: u64 = 3_600_000_000_000;
/// A client and a trap, over IPv4 and IPv6.
const ENDS: [(&str, &str); 2] =
    [("192.0.2.9:40000", "198.51.100.1:111"), ("[2001:db8:bad::9]:40000", "[2001:db8::1]:111")];
/// TCP's maximum segment size on Ethernet with an MTU of 1500 bytes (RFC 9293 section 3.7.1).
const SIZES: [u16; 2] = [1460, 1440];
const ISN: u32 = 0xffff_ffff;

fn challenging(settings: &mut Settings) {
    settings.fence_ns = HOUR_NS;
    settings.fence_rate = u32::MAX;
    settings.challenge_rate = u32::MAX;
    settings.first_ephemeral = 32_768;
}

fn within(change: impl FnOnce(&mut Settings) + Send, test: impl FnOnce(&mut InKernel) + Send) {
    with_sockets(&test_host::sockets(), || {
        let scenario = Scenario::with(|settings| {
            challenging(settings);
            change(settings);
        });
        test(&mut InKernel::new(&scenario));
    });
}

fn syn((client, trap): (&str, &str)) -> Packet {
    tcp(SYN).from(client).to(trap).with(Layer::Transport, 4, &ISN.to_be_bytes())
}

/// Returns the SYN with room for options, which every system sends.
fn syn_with_options(ends: (&str, &str)) -> Packet {
    syn(ends).payload(20).with(Layer::Transport, 12, &[0xa0])
}

fn acknowledgement((client, trap): (&str, &str), isn: u32, cookie: u32) -> Packet {
    tcp(ACK).from(client).to(trap).with(Layer::Transport, 4, &isn.wrapping_add(1).to_be_bytes()).with(
        Layer::Transport,
        8,
        &cookie.wrapping_add(1).to_be_bytes(),
    )
}

/// Sends `packet` and returns the answer.
fn answer(kernel: &mut InKernel, packet: &Packet) -> Segment {
    let (outcome, frame) = kernel.rewrite(&packet.frame(0));
    assert_eq!(outcome.action, Action::Answer, "{packet:?}: {outcome:?}");
    assert_eq!(outcome.counted.get("answered"), Some(&1));
    segment(&frame).expect("an answer is a TCP segment")
}

fn is_proven(kernel: &mut InKernel, packet: &Packet) -> bool {
    let outcome = kernel.judge(&packet.frame(0));
    assert_eq!(outcome.action, Action::Drop, "no acknowledgement of a trap passes");
    outcome.counted.contains_key("proven")
}

#[test]
fn a_syn_becomes_a_sound_answer() {
    within(
        |_| {},
        |kernel| {
            for (ends, size) in ENDS.into_iter().zip(SIZES) {
                for packet in [syn(ends), syn_with_options(ends), syn_with_options(ends).vlan(7)] {
                    let received = packet.frame(0);
                    let answer = answer(kernel, &packet);
                    assert_eq!(
                        [answer.source, answer.destination].map(|end| end.to_string()),
                        [ends.1, ends.0]
                    );
                    assert!(answer.is_sound, "checksums: {answer:?}");
                    assert!(answer.frame.len() <= received.len(), "no answer is longer than what it answers");
                    assert_eq!(answer.frame[..6], received[6..12], "it goes to the SYN's sender");
                    assert_eq!(answer.frame[6..12], received[..6]);
                    let network = if packet.innermost_vlan() == 0 { 14 } else { 18 };
                    assert_eq!(answer.frame[12..network], received[12..network], "tag and Ethertype");
                    let header = &answer.tcp;
                    assert!(header.syn && header.ack && !header.rst && !header.fin && !header.psh);
                    assert_eq!(header.acknowledgment_number, ISN.wrapping_add(1));
                    let offer = [[2, 4], size.to_be_bytes()].concat();
                    let has_room = packet.frame(0).len() > syn(ends).vlan(7).frame(0).len();
                    assert_eq!(header.options.as_slice(), if has_room { &offer[..] } else { &[] });
                }
            }
        },
    );
}

#[test]
fn a_source_that_acknowledges_the_cookie_is_blocked() {
    within(
        |_| {},
        |kernel| {
            let endings = [
                (ACK, 0, true),
                (ACK | PSH, 100, true),
                (ACK | FIN, 0, true),
                (ACK | FIN | PSH | URG, 9, true),
                (ACK | SYN, 0, false),
                (FIN, 0, false),
            ];
            for ((_, trap), (number, (flags, payload, is_proof))) in
                ENDS.into_iter().flat_map(|ends| (1..).zip(endings).map(move |ending| (ends, ending)))
            {
                let client = seat(number, trap.parse().expect("an address and port"));
                let ends = (client.to_string(), trap);
                let ends = (ends.0.as_str(), ends.1);
                let cookie = answer(kernel, &syn(ends)).tcp.sequence_number;
                assert!(!kernel.blocked().contains_key(&client.ip()), "a SYN proves nothing");
                let right = acknowledgement(ends, ISN, cookie).payload(payload);
                let right = right.with(Layer::Transport, 13, &[flags]);
                assert_eq!(is_proven(kernel, &right), is_proof, "flags {flags:#x}");
                let proof = kernel.blocked().get(&client.ip()).map(|Block { proof, .. }| *proof);
                assert_eq!(proof, is_proof.then_some(Proof::Cookie as u8));
                if is_proof {
                    let anything = udp().from(ends.0).to(trap);
                    assert_eq!(kernel.judge(&anything.frame(0)).counted.get("dropped"), Some(&1));
                }
            }
        },
    );
}

#[test]
fn a_cookie_is_good_for_its_own_connection_only() {
    let others = [
        // Another port of the client, another trap, another address of the host, another client.
        [("192.0.2.9:40001", "198.51.100.1:111"), ("[2001:db8:bad::9]:40001", "[2001:db8::1]:111")],
        [("192.0.2.9:40000", "198.51.100.1:112"), ("[2001:db8:bad::9]:40000", "[2001:db8::1]:112")],
        [("192.0.2.9:40000", "198.51.100.2:111"), ("[2001:db8:bad::9]:40000", "[2001:db8::2]:111")],
        [("192.0.2.10:40000", "198.51.100.1:111"), ("[2001:db8:bad::a]:40000", "[2001:db8::1]:111")],
    ];
    for (family, ends) in ENDS.into_iter().enumerate() {
        within(
            |_| {},
            |kernel| {
                let cookie = answer(kernel, &syn(ends)).tcp.sequence_number;
                // A source that is not fenced is not challenged.
                let other_client = others[3][family].0;
                let trap = ["198.51.100.1:79", "[2001:db8::1]:79"][family];
                answer(kernel, &tcp(SYN).from(other_client).to(trap));
                for other in others.map(|other| other[family]) {
                    assert!(!is_proven(kernel, &acknowledgement(other, ISN, cookie)), "{other:?}");
                }
                for (isn, cookie) in [
                    (ISN.wrapping_add(1), cookie),
                    (ISN, cookie.wrapping_add(1)),
                    (ISN, cookie.wrapping_sub(1)),
                    (ISN, cookie ^ 1),
                    (ISN, cookie ^ 2),
                    (ISN, !cookie),
                    (ISN, 0),
                ] {
                    assert!(!is_proven(kernel, &acknowledgement(ends, isn, cookie)), "{isn:#x} {cookie:#x}");
                }
                assert!(kernel.blocked().is_empty());
                assert!(is_proven(kernel, &acknowledgement(ends, ISN, cookie)), "the right one still is");
            },
        );
    }
}

#[test]
fn a_reset_proves_nothing() {
    for ends in ENDS {
        within(
            |_| {},
            |kernel| {
                let cookie = answer(kernel, &syn(ends)).tcp.sequence_number;
                for flags in [RST, RST | ACK] {
                    let reset = acknowledgement(ends, ISN, cookie).with(Layer::Transport, 13, &[flags]);
                    let outcome = kernel.judge(&reset.frame(0));
                    assert_eq!(outcome.action, Action::Pass, "a reset is harmless");
                    assert!(!outcome.counted.contains_key("proven"));
                }
                assert!(kernel.blocked().is_empty());
            },
        );
    }
}

#[test]
fn nobody_is_challenged_who_should_not_be() {
    type Case = (&'static str, fn(&mut Settings), Packet);
    let cases: [Case; 6] = [
        ("challenges are off", |settings| settings.challenge_rate = 0, syn(ENDS[0])),
        ("an ignored source", |_| {}, tcp(SYN).from("192.0.2.241:40000").to(ENDS[0].1)),
        ("a port with a service", |_| {}, tcp(SYN).from(ENDS[0].0).to("198.51.100.1:80")),
        ("a port that isn't watched", |_| {}, tcp(SYN).from(ENDS[0].0).to("198.51.100.1:113")),
        ("a packet with IPv4 options", |_| {}, syn(ENDS[0]).ipv4_options(4)),
        ("another probe than a SYN", |_| {}, tcp(FIN).from(ENDS[0].0).to(ENDS[0].1)),
    ];
    for (what, change, packet) in cases {
        within(change, |kernel| {
            let sent = packet.frame(0);
            let (outcome, left) = kernel.rewrite(&sent);
            assert_ne!(outcome.action, Action::Answer, "{what}");
            assert_eq!(left, sent, "{what}: the frame is left alone");
        });
    }
}

#[test]
fn answers_are_limited() {
    const RATE: u32 = 3;
    within(
        |settings| settings.challenge_rate = RATE,
        |kernel| {
            // The kernel's clock may reach the next second meanwhile.
            let answered = (0..100u8).filter(|client| {
                let packet = tcp(SYN).from(&format!("192.0.2.{client}:40000")).to(ENDS[0].1);
                kernel.judge(&packet.frame(0)).action == Action::Answer
            });
            let answered = answered.count();
            assert!((RATE as usize..=2 * RATE as usize).contains(&answered), "{answered} answers");
        },
    );
}

/// Completes a handshake between `client` and `trap`. Returns the outcome of the acknowledgement.
fn shake(kernel: &mut InKernel, client: &str, trap: &str) -> Outcome {
    let ends = (client, trap);
    let cookie = answer(kernel, &syn(ends)).tcp.sequence_number;
    let outcome = kernel.judge(&acknowledgement(ends, ISN, cookie).frame(0));
    assert_eq!(outcome.action, Action::Drop, "{ends:?}");
    assert_eq!(outcome.counted.get("proven"), Some(&1), "{ends:?}");
    outcome
}

fn told(outcome: &Outcome) -> Option<(Kind, Verdict, u32, Proof)> {
    outcome.told.first().map(|told| (told.kind, told.verdict, told.hits, told.proof))
}

#[test]
fn handshakes_with_one_trap_block_nobody() {
    for (client, traps) in [
        ("192.0.2.9", ["198.51.100.1:111", "198.51.100.1:79"]),
        ("192.0.2.10", ["198.51.100.1:111", "198.51.100.2:79"]),
        ("192.0.2.11", ["198.51.100.1:111", "203.0.113.9:79"]),
        ("[2001:db8:bad::9]", ["[2001:db8::1]:111", "[2001:db8::1]:79"]),
    ] {
        within(
            |settings| settings.proof_traps = 2,
            |kernel| {
                // A browser retries from several ports.
                for port in 40_000..40_010 {
                    let outcome = shake(kernel, &format!("{client}:{port}"), traps[0]);
                    let expected = (Kind::Connect, Verdict::Fence, 1, Proof::None);
                    assert_eq!(told(&outcome), Some(expected), "{client}:{port}");
                    assert!(kernel.blocked().is_empty());
                }
                let outcome = shake(kernel, &format!("{client}:40010"), traps[1]);
                assert_eq!(told(&outcome), Some((Kind::Connect, Verdict::Block, 2, Proof::Cookie)));
                assert_eq!(kernel.blocked().len(), 1);
            },
        );
    }
}

/// One wrong port at all addresses of a name counts as one mistake; a sweep doesn't.
#[test]
fn one_port_at_four_addresses_blocks_nobody_and_a_sweep_of_more_does() {
    for (client, hosts) in [
        ("192.0.2.9", ["198.51.100.1", "198.51.100.2", "203.0.113.1", "203.0.113.8", "203.0.113.9"]),
        (
            "[2001:db8:bad::9]",
            ["[2001:db8::1]", "[2001:db8::2]", "[2001:db8:100::1]", "[2001:db8:100::2]", "[2001:db8:100::3]"],
        ),
    ] {
        within(
            |settings| settings.proof_traps = 2,
            |kernel| {
                for host in &hosts[..4] {
                    let outcome = shake(kernel, &format!("{client}:40000"), &format!("{host}:111"));
                    assert_eq!(told(&outcome).map(|told| told.1), Some(Verdict::Fence), "{host}");
                    assert!(kernel.blocked().is_empty(), "{host}");
                }
                let outcome = shake(kernel, &format!("{client}:40000"), &format!("{}:111", hosts[4]));
                assert_eq!(told(&outcome), Some((Kind::Connect, Verdict::Block, 2, Proof::Cookie)));
            },
        );
    }
}

#[test]
fn a_client_of_a_service_is_spared_up_to_four_times_as_many_traps() {
    let [v4, v6] = test_host::PEERS;
    for (peer, own, trap) in [
        (v4.to_owned(), "198.51.100.1:8080", "198.51.100.1"),
        (format!("[{v6}]"), "[2001:db8::1]:8080", "[2001:db8::1]"),
    ] {
        within(
            |settings| settings.proof_traps = 2,
            |kernel| {
                answer(kernel, &syn((&format!("{peer}:40000"), &format!("{trap}:111"))));
                let data = tcp(ACK | PSH).from(&format!("{peer}:50000")).to(own).payload(9);
                assert_eq!(kernel.judge(&data.frame(0)).action, Action::Pass, "its connection goes on");
                for (traps, port) in (1..).zip(101..=107) {
                    let outcome = shake(kernel, &format!("{peer}:40001"), &format!("{trap}:{port}"));
                    assert_eq!(told(&outcome), Some((Kind::Connect, Verdict::Fence, traps, Proof::None)));
                }
                let outcome = shake(kernel, &format!("{peer}:40001"), &format!("{trap}:108"));
                assert_eq!(told(&outcome), Some((Kind::Connect, Verdict::Block, 8, Proof::Cookie)));
            },
        );
    }
}

#[test]
fn a_full_map_frees_nobody() {
    for (first, second, trap) in [
        ("192.0.2.9", "192.0.2.10", "198.51.100.1:111"),
        ("[2001:db8:bad::9]", "[2001:db8:bad:1::9]", "[2001:db8::1]:111"),
    ] {
        with_sockets(&test_host::sockets(), || {
            let scenario = Scenario { max_blocked: 1, ..Scenario::with(challenging) };
            let mut kernel = InKernel::new(&scenario);
            let outcome = shake(&mut kernel, &format!("{first}:40000"), trap);
            assert_eq!(outcome.counted.get("blocked"), Some(&1));
            for port in 40_000..40_005 {
                let outcome = shake(&mut kernel, &format!("{second}:{port}"), trap);
                assert_eq!(outcome.counted.get("blocked_full"), Some(&1));
                let service = tcp(SYN).from(&format!("{second}:50000")).to(&trap.replace(":111", ":443"));
                let outcome = kernel.judge(&service.frame(0));
                assert_eq!(outcome.action, Action::Drop, "{second} is still fenced: {outcome:?}");
            }
        });
    }
}

#[test]
fn a_cookie_of_a_host_behind_us_proves_and_reaches_nobody() {
    for ends in [("192.0.2.9:40000", "203.0.113.9:111"), ("[2001:db8:bad::9]:40000", "[2001:db8:100::9]:111")]
    {
        for flags in [ACK, ACK | PSH, ACK | FIN] {
            within(
                |_| {},
                |kernel| {
                    let cookie = answer(kernel, &syn(ends)).tcp.sequence_number;
                    for wrong in [cookie.wrapping_add(1), cookie ^ 1, 0] {
                        let other = acknowledgement(ends, ISN, wrong).with(Layer::Transport, 13, &[flags]);
                        let outcome = kernel.judge(&other.frame(0));
                        assert_eq!(
                            outcome.action,
                            Action::Pass,
                            "it may belong to a connection of that host's"
                        );
                        assert_eq!(outcome.counted.get("passed_fenced"), Some(&1));
                    }
                    let right = acknowledgement(ends, ISN, cookie).with(Layer::Transport, 13, &[flags]);
                    assert!(is_proven(kernel, &right), "flags {flags:#x}");
                    assert_eq!(kernel.blocked().len(), 1);
                },
            );
        }
    }
}

#[test]
fn a_fence_leaves_traps_open_where_nothing_is_challenged() {
    within(
        |settings| {
            settings.challenge_rate = 0;
            settings.traps = Settings::TCP_TRAPS;
        },
        |kernel| {
            for (client, own) in [("192.0.2.9", "198.51.100.1"), ("[2001:db8:bad::9]", "[2001:db8::1]")] {
                let mut syn = |port: u16| {
                    let packet = tcp(SYN).from(&format!("{client}:40000")).to(&format!("{own}:{port}"));
                    kernel.judge(&packet.frame(0)).action
                };
                assert_eq!(syn(111), Action::Drop, "a probe fences");
                assert_eq!(syn(1025), Action::Pass, "the daemon's own socket takes it");
                assert_eq!(syn(443), Action::Drop, "a service is closed to it");
                assert_eq!(syn(112), Action::Drop, "and so is what nobody takes");
            }
        },
    );
}
