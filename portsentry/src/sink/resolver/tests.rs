use std::{
    net::{SocketAddr, UdpSocket},
    sync::{
        atomic::{AtomicUsize, Ordering::Relaxed},
        mpsc::{Receiver, channel},
    },
};

use hickory_proto::{
    op::{Message, OpCode, ResponseCode},
    rr::{
        self, RData, Record, RecordType,
        rdata::{A, AAAA, PTR},
    },
};

use super::*;

const PATIENCE: Duration = Duration::from_secs(30);

/// The server's answer to a question; `None` means no answer.
type Says = Option<Vec<RData>>;

/// Starts a name server on the loopback interface. Also returns the number of questions it receives.
fn serve(says: impl Fn(&str, RecordType) -> Says + Send + 'static) -> (SocketAddr, Arc<AtomicUsize>) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        loop {
            let (length, peer) = socket.recv_from(&mut buffer).unwrap();
            let question = Message::from_vec(&buffer[..length]).unwrap();
            counted.fetch_add(1, Relaxed);
            let query = question.queries[0].clone();
            let Some(answers) = says(&query.name().to_ascii(), query.query_type()) else { continue };
            let mut reply = Message::response(question.metadata.id, OpCode::Query);
            if answers.is_empty() {
                reply.metadata.response_code = ResponseCode::NXDomain;
            }
            let name = query.name().clone();
            reply.add_query(query);
            reply.add_answers(answers.into_iter().map(|data| Record::from_rdata(name.clone(), 0, data)));
            socket.send_to(&reply.to_vec().unwrap(), peer).unwrap();
        }
    });
    (address, count)
}

fn pointer(labels: &[&[u8]]) -> RData {
    RData::PTR(PTR(rr::Name::from_labels(labels.iter().copied()).unwrap()))
}

fn a(last: u8) -> RData {
    RData::A(A::new(192, 0, 2, last))
}

fn source(last: u8) -> IpAddr {
    IpAddr::from([192, 0, 2, last])
}

fn name(text: &str) -> Option<Name> {
    Name::new(text.as_bytes()).ok()
}

fn start(server: SocketAddr, settings: Settings) -> (Resolver, Receiver<(IpAddr, Option<Name>)>) {
    let (sender, receiver) = channel();
    let dns = Dns::at(server, settings.time_limit);
    let answer = move |address, name| sender.send((address, name)).unwrap();
    (Resolver::start_with(settings, dns, answer).unwrap(), receiver)
}

#[test]
fn only_a_name_that_leads_back_is_used() {
    let host = |labels: &[&[u8]]| Some(vec![pointer(labels)]);
    let (server, _) = serve(move |question, record_type| match (question, record_type) {
        ("1.2.0.192.in-addr.arpa.", _) => host(&[b"one", b"example"]),
        ("one.example.", RecordType::A) => Some(vec![a(77), a(1)]),
        // A name of another owner.
        ("2.2.0.192.in-addr.arpa.", _) => host(&[b"bank", b"example"]),
        ("bank.example.", _) => Some(vec![a(99)]),
        // A name that doesn't exist.
        ("3.2.0.192.in-addr.arpa.", _) => host(&[b"none", b"example"]),
        // Text that isn't a name, with forward records that would confirm it.
        ("4.2.0.192.in-addr.arpa.", _) => host(&[b"\x1b[2J\nattackalert: ", b"example"]),
        ("5.2.0.192.in-addr.arpa.", _) => host(&[b"a.b\" $(reboot)", b"example"]),
        ("6.2.0.192.in-addr.arpa.", _) => host(&[b"10", b"0", b"0", b"1"]),
        ("7.2.0.192.in-addr.arpa.", _) => Some(vec![
            pointer(&[b"not a name", b"example"]),
            pointer(&[b"bank", b"example"]),
            pointer(&[b"Seven_7", b"example"]),
        ]),
        ("Seven_7.example.", _) => Some(vec![a(7)]),
        ("8.2.0.192.in-addr.arpa.", _) => Some(vec![a(8)]),
        ("9.2.0.192.in-addr.arpa.", _) => host(&[b"alias", b"example"]),
        ("alias.example.", _) => {
            Some(vec![RData::CNAME(rr::rdata::CNAME(rr::Name::from_ascii("other.example.").unwrap()))])
        }
        ("other.example.", _) => Some(vec![a(9)]),
        (question, RecordType::PTR) if question.ends_with(".ip6.arpa.") => host(&[b"six", b"example"]),
        ("six.example.", RecordType::AAAA) => {
            Some(vec![RData::AAAA(AAAA::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 6))])
        }
        (question, _) if question.ends_with(".in-addr.arpa.") => Some(vec![]),
        // Any other name resolves to every address that this test asks about.
        (_, RecordType::A) if !question.starts_with("none") => Some((0..20).map(a).collect()),
        _ => Some(vec![]),
    });
    let (resolver, answers) = start(server, Settings::default());
    for (address, expected) in [
        (source(1), name("one.example")),
        (source(2), None),
        (source(3), None),
        (source(4), None),
        (source(5), None),
        (source(6), None),
        (source(7), name("Seven_7.example")),
        (source(8), None),
        (source(9), name("alias.example")),
        (source(10), None),
        ("2001:db8::6".parse().unwrap(), name("six.example")),
        ("2001:db8::7".parse().unwrap(), None),
    ] {
        assert_eq!(resolver.resolve(address), Answer::Asked);
        assert_eq!(answers.recv_timeout(PATIENCE).unwrap(), (address, expected.clone()));
        assert_eq!(resolver.resolve(address), Answer::Known(expected));
    }
    resolver.stop();
}

#[test]
fn an_answer_is_asked_for_once() {
    let (server, questions) = serve(|question, _| match question {
        "1.2.0.192.in-addr.arpa." => Some(vec![pointer(&[b"one", b"example"])]),
        "one.example." => Some(vec![a(1)]),
        _ => Some(vec![]),
    });
    let (resolver, answers) = start(server, Settings::default());
    for (last, expected, asked) in [(1, name("one.example"), 2), (2, None, 3)] {
        let _ = resolver.resolve(source(last));
        answers.recv_timeout(PATIENCE).unwrap();
        for _ in 0..3 {
            assert_eq!(resolver.resolve(source(last)), Answer::Known(expected.clone()));
        }
        assert_eq!(questions.load(Relaxed), asked);
    }
    // A late answer may come from the old servers.
    let (other, _) = serve(|_, _| Some(vec![]));
    resolver.switch_to(Dns::at(other, Settings::default().time_limit));
    while resolver.resolve(source(1)) != Answer::Asked {
        thread::yield_now();
    }
    assert_eq!(answers.recv_timeout(PATIENCE).unwrap(), (source(1), None));
    resolver.stop();
}

#[test]
fn silence_takes_its_time_and_no_more_room_than_allowed() {
    let (server, _) = serve(|_, _| None);
    let settings = Settings { in_flight: 2, time_limit: Duration::from_millis(300), ..Settings::default() };
    let (resolver, answers) = start(server, settings);
    let asked = [1, 2, 3, 1].map(|last| resolver.resolve(source(last)));
    assert_eq!(asked, [Answer::Asked, Answer::Asked, Answer::Refused, Answer::Asked]);
    let mut silent = [(); 2].map(|()| answers.recv_timeout(PATIENCE).unwrap());
    silent.sort_by_key(|(address, _)| *address);
    assert_eq!(silent, [(source(1), None), (source(2), None)]);
    assert_eq!(resolver.resolve(source(1)), Answer::Known(None));
    assert_eq!(resolver.resolve(source(3)), Answer::Asked);
    // Doesn't wait for the third.
    resolver.stop();
    assert_eq!(answers.iter().count(), 0);
}

#[test]
fn the_time_limit_is_for_all_questions_together() {
    let (sender, asked) = channel();
    let (server, _) = serve(move |question, record_type| {
        sender.send(question.to_owned()).unwrap();
        (record_type == RecordType::PTR)
            .then(|| ["n1", "n2", "n3", "n4"].map(|label| pointer(&[label.as_bytes()])).into())
    });
    let settings = Settings { time_limit: Duration::from_millis(300), ..Settings::default() };
    let (resolver, answers) = start(server, settings);
    assert_eq!(resolver.resolve(source(1)), Answer::Asked);
    assert_eq!(answers.recv_timeout(PATIENCE).unwrap(), (source(1), None));
    resolver.stop();
    let asked: Vec<String> = asked.try_iter().collect();
    assert!(asked.contains(&"n1.".to_owned()) && !asked.contains(&"n4.".to_owned()), "{asked:?}");
}

#[test]
fn an_answer_that_comes_late_counts_for_nothing() {
    let (release, held) = channel::<()>();
    let (server, questions) = serve(move |question, _| {
        if question == "1.2.0.192.in-addr.arpa." {
            let _ = held.recv();
        }
        Some(match question {
            "1.2.0.192.in-addr.arpa." | "2.2.0.192.in-addr.arpa." => vec![pointer(&[b"host", b"example"])],
            _ => vec![a(1), a(2)],
        })
    });
    let settings = Settings { time_limit: Duration::from_millis(300), ..Settings::default() };
    let (resolver, answers) = start(server, settings);
    assert_eq!(resolver.resolve(source(1)), Answer::Asked);
    assert_eq!(answers.recv_timeout(PATIENCE).unwrap(), (source(1), None));
    drop(release);
    // The next question is answered after the late answers were sent.
    while resolver.resolve(source(2)) != Answer::Known(name("host.example")) {
        let (address, found) = answers.recv_timeout(PATIENCE).unwrap();
        assert_eq!((address, found), (source(2), name("host.example")));
    }
    assert!(questions.load(Relaxed) >= 3);
    assert_eq!(resolver.resolve(source(1)), Answer::Known(None));
    resolver.stop();
}

#[test]
fn a_server_that_is_not_there_is_no_name() {
    // No other test's server takes a port of this address.
    let nobody = UdpSocket::bind("127.0.0.53:0").unwrap().local_addr().unwrap();
    let settings = Settings { time_limit: Duration::from_millis(300), ..Settings::default() };
    let (resolver, answers) = start(nobody, settings);
    assert_eq!(resolver.resolve(source(1)), Answer::Asked);
    assert_eq!(answers.recv_timeout(PATIENCE).unwrap(), (source(1), None));
    resolver.stop();
}
