//! From a source's proof at one gateway to its last packet that gets through at the others, with packets every millisecond.
//! `docs/fleet.md` says how its figures are measured, with more proofs and optimised programs.

use std::{
    env,
    net::{IpAddr, SocketAddr, UdpSocket},
    sync::mpsc::{Sender, channel},
    thread,
    time::{Duration, Instant},
};

use portsentry_tests::lab::{Daemon, Family, Fleet, Lab, Namespace, Portsentry, fleet::Process};
use serde_json::json;
use socket2::{Domain, Socket, Type};

const NAMES: [&str; 3] = ["gw1", "gw2", "gw3"];
/// Port of a service at each gateway.
const SERVICE: u16 = 9999;
/// A port with a trap.
const TRAP: u16 = 11;
/// Interval between two packets.
const SPACING: Duration = Duration::from_millis(1);
/// Number of packets that get through before the proof.
const BEFORE: u32 = 20;
/// Number of packets in a row that don't get through, after which none will.
const SILENCE: u32 = 150;
const PATIENCE: Duration = Duration::from_mins(1);
/// Limits with `FLEET_PROOFS`, and beside the death of the server that leads the state.
const LIMIT: Duration = Duration::from_millis(20);
const LIMIT_AT_DEATH: Duration = Duration::from_millis(70);

/// A gateway with a service.
struct Member<'a> {
    lab: &'a Lab,
    setup: Portsentry<'a>,
    daemon: Daemon<'a>,
    service: UdpSocket,
    _companion: Process,
}

impl<'a> Member<'a> {
    fn start(fleet: &Fleet, lab: &'a Lab, index: usize) -> Self {
        let host = Family::V4.host();
        let service = lab.host.enter(|| UdpSocket::bind((host, SERVICE))).expect("a socket");
        service.set_nonblocking(true).expect("a socket");
        let setup = lab.portsentry("-stcp").with("BLOCK_UNPROVEN", "0").with("CHALLENGE", "1");
        let setup = setup.with("XDP_MODE", "generic").in_fleet("*").with("GATEWAY_NAME", NAMES[index]);
        let daemon = setup.start();
        let companion = fleet.start_companion(index, &setup.share_socket());
        Self { lab, setup, daemon, service, _companion: companion }
    }

    /// Waits until it hears all others.
    fn wait_for_others(&self) {
        self.daemon.wait_until("the other gateways are heard", || {
            let report = self.setup.say("peers --json").json();
            report["peers"].as_array().map_or(0, Vec::len) == NAMES.len() - 1
        });
    }

    /// Sends packets from a source to the service until they are dropped. Says when they get through. Returns the moment at which
    /// the last one that got through was sent.
    fn last_that_gets_through(&self, source: IpAddr, gets_through: &Sender<()>) -> Instant {
        let to = SocketAddr::new(Family::V4.host(), SERVICE);
        let sender = self.lab.scanner.enter(|| UdpSocket::bind((source, 0))).expect("a socket");
        let (mut sent, mut last, mut count) = (Vec::new(), 0, 0);
        for number in 0_u32.. {
            sent.push(Instant::now());
            sender.send_to(&number.to_be_bytes(), to).expect("a packet");
            thread::sleep(SPACING);
            let mut packet = [0; 4];
            while let Ok((4, from)) = self.service.recv_from(&mut packet) {
                if from.ip() == source {
                    (last, count) = (u32::from_be_bytes(packet), count + 1);
                    if count == BEFORE {
                        gets_through.send(()).expect("the test waits");
                    }
                }
            }
            if count >= BEFORE && number > last + SILENCE {
                break;
            }
            assert!(sent[0].elapsed() < PATIENCE, "{source} is still not dropped");
        }
        sent[usize::try_from(last).expect("a number")]
    }
}

/// Has a source prove itself. Returns the moment before.
fn prove(scanner: &Namespace, source: IpAddr) -> Instant {
    let trap = SocketAddr::new(Family::V4.host(), TRAP);
    scanner.enter(|| {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        socket.bind(&SocketAddr::new(source, 0).into()).expect("an address");
        let begun = Instant::now();
        socket.connect_timeout(&trap.into(), PATIENCE).expect("the trap answers");
        begun
    })
}

/// Has a source prove itself at one gateway. Returns the times until the others dropped it.
fn measure(members: &[Member<'_>], at: usize) -> Vec<Duration> {
    // The labs' networks have the same addresses.
    let sources: Vec<IpAddr> = members.iter().map(|member| member.lab.source(Family::V4)).collect();
    let source = sources[0];
    let others = members.iter().enumerate().filter(|(index, _)| *index != at);
    let (sender, receiver) = channel();
    thread::scope(|scope| {
        let streams: Vec<_> = others
            .map(|(_, other)| {
                let sender = sender.clone();
                scope.spawn(move || other.last_that_gets_through(source, &sender))
            })
            .collect();
        for _ in &streams {
            receiver.recv_timeout(PATIENCE).expect("packets get through before the proof");
        }
        let proven = prove(&members[at].lab.scanner, source);
        let last = streams.into_iter().map(|stream| stream.join().expect("a stream"));
        last.map(|last| last.saturating_duration_since(proven)).collect()
    })
}

/// Prints percentiles. Returns the 99th.
fn percentiles(what: &str, mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    let at = |share: usize| times[(times.len() * share).div_ceil(100).saturating_sub(1)];
    println!("{what}: {} times, p50 {:?}, p99 {:?}, longest {:?}", times.len(), at(50), at(99), at(100));
    at(99)
}

/// Returns the number of proofs at each gateway, and whether the times are limited.
fn proofs() -> (usize, bool) {
    let text = env::var("FLEET_PROOFS").ok();
    (text.as_ref().map_or(2, |text| text.parse().expect("FLEET_PROOFS is a number")), text.is_some())
}

#[test]
fn a_source_that_proved_itself_is_soon_dropped_at_the_others() {
    let (proofs, is_measured) = proofs();
    let fleet = Fleet::new(&NAMES);
    let labs = [Lab::routed(), Lab::routed(), Lab::routed()];
    let members = [0, 1, 2].map(|index| Member::start(&fleet, &labs[index], index));
    members.iter().for_each(Member::wait_for_others);
    let mut times = Vec::new();
    for at in 0..NAMES.len() {
        (0..proofs).for_each(|_| times.extend(measure(&members, at)));
    }
    let usual = percentiles("proof here to drop there", times);
    let leader = fleet.leader("gw1");
    let mut times = Vec::new();
    for number in 0..proofs {
        thread::scope(|scope| {
            if number == proofs / 2 {
                scope.spawn(|| fleet.kill_server(leader));
            }
            times.extend(measure(&members, 0));
        });
    }
    let at_death = percentiles("the same, the state's leader killed midway", times);
    assert!(!is_measured || usual <= LIMIT, "{usual:?}");
    assert!(!is_measured || at_death <= LIMIT_AT_DEATH, "{at_death:?}");
}

#[test]
fn a_flood_of_a_captured_gateway_hardly_delays_a_drop() {
    let (proofs, is_measured) = proofs();
    let fleet = Fleet::new(&NAMES);
    let labs = [Lab::routed(), Lab::routed(), Lab::routed()];
    let members = [0, 1, 2].map(|index| Member::start(&fleet, &labs[index], index));
    members.iter().for_each(Member::wait_for_others);
    let frames = (0..1000).map(|number| {
        let address = [203, 0, 113, u8::try_from(number % 256).expect("a byte")];
        let block = json!({"address": IpAddr::from(address), "since": 1, "proof": "cookie"});
        let word = json!({"word": "block", "gateway": "gw3", "said": 0, "blocks": [block]});
        let text = json!({"run": fastrand::u64(..), "number": number, "words": [word]}).to_string();
        format!("PUB ps.v1.news.gw3 {}\r\n{text}\r\n", text.len())
    });
    let frames: String = frames.collect();
    let times = thread::scope(|scope| {
        // Three million messages, if the servers take them meanwhile.
        let flood = scope.spawn(|| fleet.flood_as(2, &frames, if is_measured { 3000 } else { 50 }));
        let mut times = Vec::new();
        for _ in 0..proofs.max(2) {
            times.extend(measure(&members[..2], 0));
        }
        println!("the flood is over: {}", flood.is_finished());
        flood.join().expect("it floods");
        times
    });
    let late = percentiles("beside a flood", times);
    assert!(!is_measured || late <= LIMIT, "{late:?}");
}
