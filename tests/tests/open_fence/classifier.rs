//! An expert's classifier. With each kind of question it asks 2,000 ports, ten of them served, and checks whether
//! the answers separate the ten from the others. Where PortSentry answers for every port, no question does. Where
//! services answer, only those that `docs/proof.md` names do.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr, TcpListener},
    thread,
    time::{Duration, Instant},
};

use portsentry_tests::{
    frames::{ACK, CWR, Checksum, ECE, Extension, FIN, Layer, PSH, Packet, RST, SYN, URG, tcp, udp},
    lab::{FAMILIES, Family, INTERFACE, Lab, Wire, hardware_address},
};

use super::{SIZE, TRAP, WAYS, Way, open};

const FIRST: u16 = 20_000;
const PORTS: u16 = 2000;
const SERVED: usize = 10;
/// Number of sources, which take turns because each has its own rate limit.
const SOURCES: u16 = 100;
const FIRST_SOURCE: u16 = 150;
/// A sequence number that is unlikely to be near those of other segments.
const STRANGE: u32 = 0x1234_5678;
/// As Linux sends them.
const OPTIONS: [u8; 20] = [2, 4, 5, 180, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7];

/// One packet of a question. Its port and its two numbers are filled in when it is sent.
#[derive(Clone, Copy)]
struct Step {
    flags: u8,
    /// Added to the sequence number.
    ahead: u32,
    /// The acknowledged number, relative to the sequence number of the previous answer.
    acknowledges: Option<u32>,
    change: fn(Packet) -> Packet,
}

const fn step(flags: u8, ahead: u32) -> Step {
    Step { flags, ahead, acknowledges: None, change: |it| it }
}

/// A question to a port.
struct Question {
    name: &'static str,
    steps: Vec<Step>,
    /// Whether the first step gets an answer. If so, its delay is compared, too.
    is_answered: bool,
    /// Time to wait for answers after the last step.
    patience: Duration,
}

const MOMENT: Duration = Duration::from_millis(200);
/// Longer than Linux takes to repeat a SYN-ACK.
const REPEAT: Duration = Duration::from_millis(1500);

fn questions(way: Way, family: Family) -> Vec<Question> {
    let ask = |name, steps: &[Step], is_answered, patience| Question {
        name,
        steps: steps.to_vec(),
        is_answered,
        patience,
    };
    let syn = step(SYN, 0);
    let changed = |change| [Step { change, ..syn }];
    let mut questions = vec![
        ask("one SYN", &[syn], true, MOMENT),
        ask("a SYN with Linux's options", &changed(|it| it.tcp_options(&OPTIONS)), true, MOMENT),
        ask("a SYN with ECN", &[step(SYN | ECE | CWR, 0)], true, MOMENT),
        ask("a SYN with other flags", &[step(SYN | PSH | URG, 0)], false, MOMENT),
        ask("a SYN that finishes", &[step(SYN | FIN, 0)], false, MOMENT),
        ask("the same SYN again", &[syn, syn], true, MOMENT),
        ask("a SYN with another number", &[syn, step(SYN, STRANGE)], true, MOMENT),
        ask("a SYN behind a reset", &[syn, step(RST, 1), step(SYN, STRANGE)], true, MOMENT),
        ask("waiting for a repetition", &[syn], true, REPEAT),
        ask(
            "a wrong acknowledgement",
            &[syn, Step { acknowledges: Some(STRANGE), ..step(ACK, 1) }],
            true,
            MOMENT,
        ),
        ask(
            "a right acknowledgement with a wrong number",
            &[syn, Step { acknowledges: Some(1), ..step(ACK, STRANGE) }],
            true,
            MOMENT,
        ),
        ask("a wrong checksum", &changed(|it| it.checksum(Checksum::Zero)), false, MOMENT),
        ask("data", &changed(|it| it.payload(5)), false, MOMENT),
        ask("options of IP", &changed(with_ip_options), false, MOMENT),
        ask("a fragment", &changed(|it| it.first_fragment(24)), false, MOMENT),
        ask("a long TCP header", &changed(|it| it.with(Layer::Transport, 12, &[0xf0])), false, MOMENT),
        // A service always offers one.
        ask("no segment size", &changed(|it| it.tcp_options(&[])), way == Way::Accept, MOMENT),
        ask(
            "no segment size, in a frame of Ethernet's least length",
            &changed(|it| it.tcp_options(&[]).padding(6)),
            way == Way::Accept,
            MOMENT,
        ),
        // Only a peer on the same machine may leave it so.
        ask("a checksum of the pseudo-header", &changed(|it| it.checksum(Checksum::Partial)), true, MOMENT),
        ask("a datagram", &changed(as_datagram), false, MOMENT),
    ];
    for (name, flags) in [("FIN", FIN), ("nothing", 0), ("XMAS", FIN | PSH | URG), ("ACK", ACK), ("RST", RST)]
    {
        questions.push(ask(name, &[step(flags, 0)], false, MOMENT));
    }
    if family == Family::V4 {
        let change = |it: Packet| it.with(Layer::Network, 10, &[0x12, 0x34]);
        questions.push(ask("a wrong checksum of IP", &changed(change), false, MOMENT));
    }
    questions
}

fn with_ip_options(packet: Packet) -> Packet {
    if packet.destination().is_ipv4() {
        packet.ipv4_options(4)
    } else {
        packet.extension(Extension::HopByHop(1))
    }
}

#[expect(clippy::needless_pass_by_value, reason = "a change takes a packet")]
fn as_datagram(packet: Packet) -> Packet {
    let (source, destination) = (packet.source(0).to_string(), packet.destination().to_string());
    udp().payload(12).from(&source).to(&destination)
}

/// A port's answers to a question.
#[derive(Default)]
struct Answers {
    /// Sequence number of the first answer to a SYN, and its time.
    first: Option<(u32, Instant)>,
    /// The bytes of each answer that don't differ by chance.
    faces: Vec<Vec<u8>>,
    /// Difference between the sequence numbers of the last and the first answer to a SYN.
    change: Option<u32>,
    /// Delay of the first answer, in seconds.
    delay: Option<f64>,
}

impl Answers {
    fn delay(&self) -> Option<f64> {
        self.delay
    }

    fn number(&self) -> Option<f64> {
        self.first.map(|(number, _)| number.into())
    }
}

/// Asks questions from fenced sources.
struct Expert {
    wire: Wire,
    family: Family,
    sources: Vec<IpAddr>,
    /// The source port, a different one for each question.
    port: u16,
}

impl Expert {
    /// Asks all ports, and returns their answers.
    fn ask(&mut self, question: &Question) -> Vec<Answers> {
        let mut answers: Vec<_> = (0..PORTS).map(|_| Answers::default()).collect();
        self.port += 1;
        for (round, step) in question.steps.iter().enumerate() {
            let is_awaited = round == 0 && question.is_answered;
            for index in 0..PORTS {
                let at = usize::from(index);
                let frame = self.frame(index, step, answers[at].first.map_or(0, |(number, _)| number));
                let begin = Instant::now();
                if !is_awaited {
                    self.wire.send_frame(&frame);
                    self.listen(&mut answers, Duration::ZERO, None);
                    continue;
                }
                // A busy machine may lose a frame.
                for _ in 0..5 {
                    self.wire.send_frame(&frame);
                    self.listen(&mut answers, MOMENT, Some(at));
                    if answers[at].first.is_some() {
                        break;
                    }
                }
                let is_silent = index == 20 && answers[..=at].iter().all(|answer| answer.first.is_none());
                assert!(!is_silent, "{:?}: nothing answers {}", self.family, question.name);
                answers[at].delay =
                    answers[at].first.map(|(_, heard)| heard.duration_since(begin).as_secs_f64());
            }
        }
        self.listen(&mut answers, question.patience, None);
        if question.steps.len() == 1 && question.patience == MOMENT {
            // If asking takes long, answers are repeated; another question covers that.
            answers.iter_mut().for_each(|answer| answer.faces.dedup());
        }
        answers
    }

    /// Records answers for `patience`, or until the port `until` has answered.
    fn listen(&self, answers: &mut [Answers], patience: Duration, until: Option<usize>) {
        let deadline = Instant::now() + patience;
        while let Some(frame) = self.wire.receive(deadline.saturating_duration_since(Instant::now())) {
            let heard = Instant::now();
            let Some((port, number, face)) = face(&frame, self.family, self.port) else { continue };
            let Some(answer) = answers.get_mut(usize::from(port.wrapping_sub(FIRST))) else { continue };
            answer.faces.push(face);
            match (answer.first, number) {
                (None, Some(number)) => answer.first = Some((number, heard)),
                (Some((first, _)), Some(number)) => answer.change = Some(number.wrapping_sub(first)),
                (_, None) => {}
            }
            if until.is_some_and(|at| answers[at].first.is_some()) {
                return;
            }
        }
    }

    fn frame(&self, index: u16, step: &Step, answered: u32) -> Vec<u8> {
        let source = SocketAddr::new(self.sources[usize::from(index % SOURCES)], self.port);
        let port = SocketAddr::new(self.family.host(), FIRST + index);
        let packet = tcp(step.flags).from(&source.to_string()).to(&port.to_string());
        let packet = packet.tcp_options(&SIZE).checksum(Checksum::Right);
        let acknowledged = step.acknowledges.map_or(0, |more| answered.wrapping_add(more));
        Wire::frame(&(step.change)(packet.numbers(STRANGE.wrapping_add(step.ahead), acknowledged)))
    }
}

/// Returns the contents of a frame to the scanner's `port`: the host's port, the sequence number if it answers a
/// SYN, and the bytes that don't differ by chance.
fn face(frame: &[u8], family: Family, port: u16) -> Option<(u16, Option<u32>, Vec<u8>)> {
    const IP: usize = 14;
    let word = |at: usize| Some(u16::from_be_bytes(frame.get(at..at + 2)?.try_into().ok()?));
    let (header, protocol, icmp, length) = match family {
        Family::V4 => (20, frame.get(IP + 9)?, 1, word(IP + 2)?),
        Family::V6 => (40, frame.get(IP + 6)?, 58, word(IP + 4)? + 40),
    };
    let transport = IP + header;
    if *protocol == icmp {
        // An ICMP error, which quotes the beginning of the scanner's packet.
        let quoted = transport + 8 + header;
        return (word(quoted)? == port).then_some((word(quoted + 2)?, None, frame[transport..][..2].into()));
    }
    if word(transport + 2)? != port {
        return None;
    }
    let number = u32::from_be_bytes(frame.get(transport + 4..transport + 8)?.try_into().ok()?);
    let answers_syn = frame.get(transport + 13)? & (SYN | ACK) == SYN | ACK;
    let mut face = frame.get(IP..IP + usize::from(length))?.to_vec();
    // The addresses, the IPv4 checksum, and the random IPv6 flow label; TCP's ports, numbers and checksum.
    let ip = if family == Family::V4 { [10..12, 12..20] } else { [1..4, 8..40] };
    for range in ip.into_iter().chain([header..header + 8, header + 16..header + 18]) {
        face.get_mut(range)?.fill(0);
    }
    Some((word(transport)?, answers_syn.then_some(number), face))
}

/// Returns the properties that separate the served ports from the others better than chance: the bytes of the
/// answers, or a number.
fn separators(answers: &[Answers], is_served: impl Fn(usize) -> bool) -> Vec<&'static str> {
    let (served, others): (Vec<_>, Vec<_>) = answers.iter().enumerate().partition(|(at, _)| is_served(*at));
    let mut shares = BTreeMap::<_, f64>::new();
    for (of, sign) in [(&served, 1.0), (&others, -1.0)] {
        for (_, answer) in of {
            *shares.entry((&answer.faces, answer.change)).or_default() += sign / number(of.len());
        }
    }
    let mut found = Vec::new();
    // Six of ten ports more than expected: by chance, at most once in ten thousand times.
    if shares.values().any(|difference| difference.abs() > 0.6) {
        found.push("answers");
    }
    for (name, number) in [("delay", Answers::delay as fn(&Answers) -> _), ("number", Answers::number)] {
        let numbers = |of: &[(usize, &Answers)]| -> Vec<f64> {
            of.iter().filter_map(|(_, answer)| number(answer)).collect()
        };
        let (served, others) = (numbers(&served), numbers(&others));
        // The Kolmogorov-Smirnov test: for ten ports, a greater distance comes by chance once in a million times.
        if served.len() >= SERVED / 2 && distance(&served, &others) > 0.86 {
            found.push(name);
        }
    }
    found
}

/// Converts a number of ports.
fn number(of: usize) -> f64 {
    u16::try_from(of).expect("at most all ports").into()
}

/// Returns the greatest distance between both distributions.
fn distance(some: &[f64], others: &[f64]) -> f64 {
    let share = |of: &[f64], is_in: &dyn Fn(f64) -> bool| {
        number(of.iter().filter(|it| is_in(**it)).count()) / number(of.len())
    };
    let at = |is_in: &dyn Fn(f64) -> bool| (share(some, is_in) - share(others, is_in)).abs();
    some.iter().map(|most| at(&|it| it <= *most).max(at(&|it| it < *most))).fold(0.0, f64::max)
}

/// The questions named in `docs/proof.md`, whose answers separate the served ports if services answer. The delay of
/// all answers does, too.
const NAMED: [&str; 5] = [
    "a SYN with another number",
    "a SYN behind a reset",
    "waiting for a repetition",
    "a wrong acknowledgement",
    "a right acknowledgement with a wrong number",
];

#[test]
fn no_question_separates_served_ports_from_others() {
    thread::scope(|scope| {
        for way in WAYS {
            for family in FAMILIES {
                scope.spawn(move || ask_all(way, family));
            }
        }
    });
}

fn ask_all(way: Way, family: Family) {
    let lab = Lab::new();
    let daemon = open(&lab).with("CHALLENGE_RATE", "1000000").with("FENCE_SYN_RATE", "1000000");
    // The scanner doesn't have these addresses, so its system resets no connection, like an expert's.
    let sources: Vec<_> =
        (FIRST_SOURCE..FIRST_SOURCE + SOURCES).map(|number| family.member(number)).collect();
    let scanner = hardware_address(2);
    let known = |it| format!("neighbour replace {it} lladdr {scanner} dev {INTERFACE} nud permanent\n");
    lab.host.ip(&sources.iter().map(known).collect::<String>());
    let is_served = |at: usize| at % (usize::from(PORTS) / SERVED) == 77;
    let ports = (0..PORTS).filter(|index| is_served(usize::from(*index)));
    let listen = |port| TcpListener::bind(SocketAddr::new(family.host(), FIRST + port)).expect("a listener");
    let services: Vec<_> = lab.host.enter(|| ports.map(listen).collect());
    assert_eq!(services.len(), SERVED);
    let Some(daemon) = way.start(&daemon) else { return };
    let wire = Wire::ear(&lab.scanner, family);
    sources.iter().for_each(|source| wire.send(&super::syn(*source, 39_999, TRAP)));
    daemon.wait_until("all are fenced", || daemon.fenced().len() == usize::from(SOURCES));
    let mut expert = Expert { wire, family, sources, port: 40_000 };
    let mut separated = BTreeSet::new();
    for question in questions(way, family) {
        let answers = expert.ask(&question);
        let answered = answers.iter().filter(|answer| answer.first.is_some()).count();
        let expected = if question.is_answered { answers.len() } else { 0 };
        let name = question.name;
        assert!(answered.abs_diff(expected) < 20, "{way:?} {family:?}: {answered} answered {name}");
        for what in separators(&answers, is_served) {
            separated.insert(name);
            let is_named = what == "delay" || what == "answers" && NAMED.contains(&name);
            assert!(way == Way::Forward && is_named, "{way:?} {family:?}: {name} separates by {what}");
        }
    } // The classifier finds existing differences.
    assert_eq!(separated.contains("waiting for a repetition"), way == Way::Forward, "{separated:?}");
}
