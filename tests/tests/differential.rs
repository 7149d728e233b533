//! Compares the program with the network stack behind it. The program must have read each packet that the stack
//! answers, and the stack must never answer a fenced or blocked source.
//!
//! `DIFFERENTIAL_FRAMES` (default 20,000) is the number of packets, `DIFFERENTIAL_SEED` their seed. Failing frames
//! are kept in `tests/corpus/`, which the parity test judges in each run.

use std::{
    collections::BTreeMap,
    fs,
    io::Read,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener},
    path::Path,
    str::FromStr,
    time::Duration,
};

use bytemuck::Zeroable;
use fastrand::Rng;
use nix::{
    libc,
    net::if_::if_nametoindex,
    sched::{CpuSet, sched_setaffinity},
    unistd::Pid,
};
use portsentry::policy::{Sighting, placement::Placement};
use portsentry_common::{
    block::{Block, Origin},
    classify::Kind,
    counter::Counter,
    settings::{Response, Settings},
};
use portsentry_tests::{
    encapsulation::{Question, answer, wrap},
    kernel::InKernel,
    lab::Lab,
    scenario::Scenario,
};
use socket2::{Domain, Protocol, Socket, Type};

const FRAMES: u64 = 20_000;
const SEED: u64 = 0xd1ff;
/// Packets sent before the answers are read.
const BATCH: u16 = 200;
const SERVICE: u16 = 80;
const TRAP: u16 = 23;
const UDP_TRAP: u16 = 69;
/// The Ethernet addresses of both ends: the host's, then the scanner's.
const LINK: [u8; 12] = [2, 0, 0, 0, 1, 1, 2, 0, 0, 0, 1, 2];

/// State of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    Free,
    Fenced,
    Blocked,
}

const SOURCES: [Source; 3] = [Source::Free, Source::Fenced, Source::Blocked];

impl Source {
    /// Returns source `number` in this state. Over IPv6 each is in its own /64.
    fn address(self, number: u16, is_ipv6: bool) -> IpAddr {
        if is_ipv6 {
            Ipv6Addr::new(0x2001, 0xdb8, 0x4000 + self as u16, number, 0, 0, 0, 1).into()
        } else {
            let [high, low] = number.to_be_bytes();
            Ipv4Addr::new(198, 18, self as u8 * 8 + high, low).into()
        }
    }
}

/// A direct cable with the program at the host's end.
struct Bench {
    kernel: InKernel,
    wire: Socket,
    mtu: usize,
    what: String,
    answered: usize,
}

fn prepare(lab: &Lab, mtu: usize) -> Socket {
    for (namespace, end) in [(&lab.host, 1), (&lab.scanner, 2)] {
        namespace.ip(&format!("link set eth1 down\nlink set eth1 address 02:00:00:00:01:0{end}\nlink set eth1 mtu {mtu}\nlink set eth1 up"));
        namespace.run("ethtool", &["-K", "eth1", "tx", "off", "rxvlan", "off", "txvlan", "off"]);
    }
    lab.host.ip("address replace 198.51.100.1/32 dev lo\n\
         address replace 2001:db8:7::1/64 dev eth1 nodad\n\
         neighbour replace 203.0.113.2 lladdr 02:00:00:00:01:02 dev eth1 nud permanent\n\
         neighbour replace 2001:db8:7::2 lladdr 02:00:00:00:01:02 dev eth1 nud permanent\n\
         route replace 198.18.0.0/15 via 203.0.113.2 dev eth1\n\
         route replace 2001:db8:4000::/34 via 2001:db8:7::2 dev eth1");
    for setting in [
        "net.ipv4.icmp_ratelimit=0",
        "net.ipv4.icmp_msgs_per_sec=10000000",
        "net.ipv4.icmp_msgs_burst=10000000",
        "net.ipv6.icmp.ratelimit=0",
        "net.ipv4.tcp_syncookies=2",
        // Dropped packets leave fragments behind.
        "net.ipv4.ipfrag_time=1",
        "net.ipv4.ipfrag_high_thresh=1000000000",
        "net.ipv6.ip6frag_time=1",
        "net.ipv6.ip6frag_high_thresh=1000000000",
        "net.ipv4.conf.all.rp_filter=0",
        "net.ipv4.conf.eth1.rp_filter=0",
    ] {
        // Not every kernel has all of these settings per namespace.
        let _ = lab.host.command("sysctl").args(["-qw", setting]).output();
    }
    lab.scanner.enter(|| {
        let index = if_nametoindex("eth1").expect("the interface's index");
        let all = u16::try_from(libc::ETH_P_ALL).expect("an Ethertype");
        let socket = Socket::new(Domain::PACKET, Type::RAW, Some(Protocol::from(i32::from(all.to_be()))))
            .expect("a packet socket");
        socket.bind(&portsentry_tests::lab::link_address(all, index)).expect("a packet socket is bound");
        socket.set_recv_buffer_size(64 << 20).expect("a buffer");
        socket.set_read_timeout(Some(Duration::from_secs(5))).expect("a limit");
        socket
    })
}

impl Bench {
    fn new(wire: Socket, mode: Placement, mtu: usize) -> Self {
        // Every probe is reported and passes, so that the stack can answer it.
        let scenario = Scenario::with(|settings: &mut Settings| {
            settings.tcp_response = Response::Report as u8;
            settings.udp_response = Response::Report as u8;
            settings.remembers = 0;
        });
        let mut kernel = InKernel::new(&Scenario { ring_size: 1 << 22, ..scenario });
        let held = Block { origin: Origin::Trigger as u8, ..Block::zeroed() };
        for number in 0..BATCH {
            for is_ipv6 in [false, true] {
                let [fenced, blocked] =
                    [Source::Fenced, Source::Blocked].map(|source| source.address(number, is_ipv6));
                kernel.kernel().fenced.insert(fenced, &held).expect("a fence is written");
                kernel.kernel().blocked.insert(blocked, &held).expect("a block is written");
            }
        }
        kernel.kernel().renew_gates().expect("the gates are filled");
        kernel.kernel().attach("eth1", mode).unwrap_or_else(|error| panic!("{error}"));
        Self { kernel, wire, mtu, what: format!("{mode:?}, MTU {mtu}"), answered: 0 }
    }

    fn send(&self, frame: &[u8]) {
        self.wire.send(frame).unwrap_or_else(|error| panic!("{} bytes: {error}", frame.len()));
    }

    /// Returns the recipients of answers, and whether each answer is a SYN-ACK. Stops at the answer to a plain SYN
    /// that is sent last.
    fn answers(&self, last: &Question) -> BTreeMap<IpAddr, bool> {
        let mut random = Rng::with_seed(0);
        // Wraps it until the result is a single plain packet.
        let plain = std::iter::repeat_with(|| wrap(&mut random, last, LINK, 1500)).find(|frames| {
            frames.len() == 1 && frames[0].len() < 100 && frames[0][12..16] == [8, 0, 0x45, 0]
        });
        self.send(&plain.expect("a plain packet")[0]);
        let mut answers = BTreeMap::new();
        let mut bytes = vec![0; 1 << 16];
        loop {
            let length = (&self.wire).read(&mut bytes).expect("the last question is answered");
            // Sent frames come back on the same socket, with the scanner's own address.
            if length < 14 || bytes[6..12] != LINK[..6] {
                continue;
            }
            let Some((to, is_open)) = answer(&bytes[..length]) else { continue };
            if to.ip() == last.source.ip() {
                return answers;
            }
            answers.insert(to.ip(), is_open);
        }
    }

    fn batch(&mut self, random: &mut Rng, seed: u64) {
        let before = self.kernel.kernel().counters().expect("counters are read");
        let mut asked = Vec::new();
        for number in 0..BATCH {
            let is_ipv6 = random.bool();
            let source = SOURCES[random.usize(..SOURCES.len())];
            let own = if is_ipv6 { "2001:db8::1" } else { "198.51.100.1" };
            let is_syn = random.u8(..4) > 0;
            let port = match (is_syn, random.bool()) {
                (true, true) => SERVICE,
                (true, false) => TRAP,
                (false, _) => UDP_TRAP,
            };
            let question = Question {
                source: SocketAddr::new(source.address(number, is_ipv6), 10_000 + number),
                destination: SocketAddr::new(own.parse().expect("an address"), port),
                is_syn,
            };
            let frames = wrap(random, &question, LINK, self.mtu);
            frames.iter().for_each(|frame| self.send(frame));
            asked.push((source, question, frames));
        }
        let last = Question {
            source: SocketAddr::new(Source::Free.address(BATCH, false), 9),
            destination: "198.51.100.1:23".parse().expect("an end"),
            is_syn: true,
        };
        let answers = self.answers(&last);
        let told: BTreeMap<IpAddr, Sighting> =
            self.kernel.told().into_iter().map(|sighting| (sighting.source, sighting)).collect();
        let after = self.kernel.kernel().counters().expect("counters are read");
        let served = after.get(Counter::Served) - before.get(Counter::Served);
        self.answered += answers.len();
        // A first fragment whose header can't be read is reported instead.
        let is_counted = |(source, is_open): &(&IpAddr, &bool)| **is_open && !told.contains_key(*source);
        let open = answers.iter().filter(is_counted).count();
        assert!(
            u64::try_from(open).expect("a count") <= served,
            "DIFFERENTIAL_SEED={seed}, {}: {open} SYN-ACKs, and {served} SYNs that were seen to go to a service",
            self.what
        );
        for (source, question, frames) in &asked {
            let Some(is_open) = answers.get(&question.source.ip()) else { continue };
            let told = told.get(&question.source.ip());
            let is_read = |told: &Sighting| {
                let kind = if question.is_syn { Kind::Syn } else { Kind::Udp };
                let ends = [told.source_port, told.port];
                let is_itself =
                    told.kind == kind && ends == [question.source.port(), question.destination.port()];
                // For a fragment, the program may only report an unreadable header.
                is_itself || frames.len() > 1 && [Kind::Fragment, Kind::Chain].contains(&told.kind)
            };
            // A SYN to a service is reported only as a fragment.
            let is_seen = told.map_or(*is_open, is_read);
            if *source != Source::Free || !is_seen {
                let kept = keep(frames, seed);
                panic!(
                    "DIFFERENTIAL_SEED={seed}, {}: {source:?} {question:?} was answered (open: {is_open}), {told:?} told; \
                     {kept}\n{frames:02x?}",
                    self.what,
                );
            }
        }
    }
}

#[test]
fn the_program_has_read_every_packet_that_the_stack_answers() {
    let (frames, seed) = (number("DIFFERENTIAL_FRAMES", FRAMES), number("DIFFERENTIAL_SEED", SEED));
    let lab = Lab::new();
    lab.plug_in_second(&lab.scanner);
    let mut random = Rng::with_seed(seed);
    let ways = [
        (Placement::Native, 1500),
        (Placement::Native, 9000),
        (Placement::Generic, 1500),
        (Placement::Generic, 9000),
    ];
    for (mode, mtu) in ways {
        let wire = prepare(&lab, mtu);
        let random = &mut random;
        lab.host.enter(move || {
            // A single CPU's queue keeps the order.
            let mut cpus = CpuSet::new();
            cpus.set(0).expect("a first CPU");
            sched_setaffinity(Pid::from_raw(0), &cpus).expect("this thread stays on a CPU");
            let _service = TcpListener::bind(("::", SERVICE)).expect("a service");
            let mut bench = Bench::new(wire, mode, mtu);
            let batches = frames.div_ceil(4 * u64::from(BATCH));
            for _ in 0..batches {
                bench.batch(random, seed);
            }
            let asked = batches * u64::from(BATCH);
            println!("{}: {} of {asked} answered", bench.what, bench.answered);
            // A third of the sources are free, and nearly all of their packets are accepted.
            let answered = u64::try_from(bench.answered).expect("a count");
            assert!(answered * 5 > asked, "{}: {answered} of {asked} were answered", bench.what);
            bench.kernel.kernel().remove_pins().expect("the program is detached");
        });
    }
}

/// Keeps frames in the corpus.
fn keep(frames: &[Vec<u8>], seed: u64) -> String {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let kept = frames.iter().zip(1..).map(|(frame, part)| {
        let name = format!("stack-{seed:x}-{}-{part}.frame", frame.len());
        fs::write(corpus.join(&name), frame).map_or_else(|error| error.to_string(), |()| name)
    });
    format!("kept in tests/corpus: {}", kept.collect::<Vec<_>>().join(", "))
}

/// Reads a number from an environment variable.
fn number(name: &str, default: u64) -> u64 {
    let parse = |text: String| u64::from_str(&text).unwrap_or_else(|error| panic!("{name}={text}: {error}"));
    std::env::var(name).map_or(default, parse)
}
