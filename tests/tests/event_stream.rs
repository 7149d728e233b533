//! `portsentry events`: events from the running daemon, as lines or JSON, for root and members of `CONTROL_GROUP`.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::{IpAddr, Shutdown},
    os::unix::net::UnixStream,
    time::Duration,
};

use portsentry_tests::lab::{Daemon, Family, Lab, Listener, Portsentry, Wire, stranger};
use serde_json::Value;

const MEMBER: u32 = 4242;
const OUTSIDER: u32 = 65534;

fn guarded(lab: &Lab) -> Portsentry<'_> {
    lab.portsentry("-stcp").with("CONTROL_GROUP", &MEMBER.to_string())
}

fn read(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
}

fn action(event: &Value) -> &str {
    event["event"]["action"].as_str().expect("an action")
}

fn sequence(event: &Value) -> u64 {
    event["event"]["sequence"].as_u64().expect("a number")
}

/// Starts to follow, and waits until later events are certain to be seen: until those of a probe are.
fn follow(daemon: &Daemon<'_>, words: &str) -> Listener {
    let listener = daemon.setup().listen_as(MEMBER, &format!("events --follow {words}"));
    daemon.wait_until("it follows", || {
        daemon.setup().say_words(&["block", "203.0.113.7"]);
        daemon.setup().say_words(&["unblock", "203.0.113.7"]);
        listener.out.count("203.0.113.7") > 0
    });
    listener
}

fn scan(daemon: &Daemon<'_>) -> IpAddr {
    let lab = daemon.lab();
    let source = lab.source(Family::V4);
    lab.nmap(source, "-sS -p 11");
    daemon.wait_for_block(source);
    source
}

#[test]
fn members_follow_what_happens_as_rows_and_as_json() {
    let lab = Lab::new();
    let setup = guarded(&lab).with("JSON_LOG", &lab.files().join("events.json").display().to_string());
    let daemon = setup.start();
    let (rows, json) = (follow(&daemon, "--utc"), follow(&daemon, "--json"));
    let source = scan(&daemon);
    rows.out.wait_for(&format!("Host {source} has been blocked via wrappers"));
    let first = rows.out.lines().remove(0);
    assert!(first.starts_with("TIME (UTC) ") && first.ends_with("EVENT     MESSAGE"), "{first}");
    let row = rows.out.lines_about(source).remove(0);
    assert!(row.contains("  probe     attackalert: TCP SYN/Normal scan from host"), "{row}");
    json.out.wait_for("has been blocked via wrappers");
    let events: Vec<Value> = json.out.lines().iter().map(|line| read(line)).collect();
    assert!(events.windows(2).all(|two| sequence(&two[0]) < sequence(&two[1])), "{events:#?}");
    // The file has the same events with the same numbers.
    daemon.wait_until("the file has all of them", || {
        let file = fs::read_to_string(lab.files().join("events.json")).unwrap_or_default();
        json.out.lines().iter().all(|line| file.lines().any(|written| written == line))
    });
    assert!(rows.errors.lines().is_empty() && json.errors.lines().is_empty());
    let said = setup.say_as(OUTSIDER, "events");
    assert!(said.code == 1 && said.errors.contains("members of the group 4242 (CONTROL_GROUP)"), "{said:?}");
    drop(daemon);
    let said = setup.say_as(MEMBER, "events");
    assert!(said.code == 1 && said.errors.contains("no daemon answers at"), "{said:?}");
}

#[test]
fn events_are_filtered_and_resumed_by_their_numbers() {
    let lab = Lab::new();
    let setup = lab.portsentry("-stcp");
    let daemon = setup.start();
    let [first, second] = [scan(&daemon), scan(&daemon)];
    assert_eq!(setup.say_words(&["block", "198.51.100.0/24"]).code, 0);
    let events = |words: &str| -> Vec<Value> {
        let said = setup.say(&format!("events --json {words}"));
        assert_eq!((said.code, said.errors.as_str()), (0, ""), "{words}");
        said.out.lines().map(read).collect()
    };
    let all = events("");
    assert_eq!(action(&all[0]), "start", "{:#?}", all[0]);
    let sources = |events: &[Value]| -> Vec<String> {
        events.iter().map(|event| event["source"]["ip"].as_str().unwrap_or("-").to_owned()).collect()
    };
    let of_first = events(&format!("--network {first}"));
    assert!(
        of_first.len() >= 3 && sources(&of_first).iter().all(|it| *it == first.to_string()),
        "{of_first:#?}"
    );
    assert_eq!(events(&format!("--address {second} --action block")).len(), 1);
    assert_eq!(events("--network 198.51.100.9 --action block").len(), 1, "by the network that holds it");
    let probes = events("--action probe --port 11 --kind SYN");
    assert_eq!(sources(&probes), [first, second].map(|source| source.to_string()));
    assert!(events("--port 12").is_empty() && events("--kind xmas").is_empty());
    let last: Vec<u64> = events("--limit 2").iter().map(sequence).collect();
    let numbers: Vec<u64> = all.iter().map(sequence).collect();
    assert_eq!(last, numbers[numbers.len() - 2..]);
    for number in [numbers[0], numbers[3], numbers[numbers.len() - 1]] {
        let rest: Vec<u64> = events(&format!("--after {number}")).iter().map(sequence).collect();
        let expected: Vec<u64> = numbers.iter().copied().filter(|it| *it > number).collect();
        assert_eq!(rest, expected, "after {number}");
    }
    // An earlier process's number: what is kept follows behind a notice.
    let earlier = events("--after 1");
    assert_eq!((action(&earlier[0]), earlier[0]["portsentry"]["count"].is_null()), ("loss", true));
    assert_eq!(earlier[1..].iter().map(sequence).collect::<Vec<_>>(), numbers);
}

#[test]
fn a_restart_is_followed_over() {
    let lab = Lab::new();
    let setup = guarded(&lab);
    let daemon = setup.start();
    let listener = follow(&daemon, "--json");
    let before = scan(&daemon);
    daemon.terminate();
    let closed = "the daemon has closed the connection; waiting for it";
    listener.errors.wait_for(closed);
    let daemon = setup.start();
    listener.errors.wait_for("connected again");
    let after = scan(&daemon);
    daemon.wait_until("the block is told", || {
        listener.out.lines_about(after).iter().any(|line| action(&read(line)) == "block")
    });
    let events: Vec<Value> = listener.out.lines().iter().map(|line| read(line)).collect();
    let at = |wanted: &str| events.iter().position(|event| action(event) == wanted);
    let (stop, start) = (at("stop").expect("its end"), at("start").expect("the next start"));
    assert!(stop < start, "{events:#?}");
    let numbered = events.iter().filter(|event| action(event) != "loss").map(sequence);
    assert!(numbered.clone().zip(numbered.skip(1)).all(|(one, other)| one < other), "none twice");
    assert!(!listener.out.lines_about(before).is_empty());
    // A reload changes nothing.
    assert_eq!(setup.say("reload").code, 0);
    let last = scan(&daemon);
    listener.out.wait_for(&last.to_string());
    assert_eq!(listener.errors.count(closed), 1);
}

#[test]
fn a_reader_that_stalls_delays_nobody_and_learns_what_it_has_lost() {
    const SOURCES: u16 = 2500;
    let lab = Lab::new();
    let setup = lab.portsentry("-stcp").with("EVENT_RATE", "100000").with("KILL_HOSTS_DENY", "");
    let daemon = setup.start();
    // It ends a follower's connection after half a minute without a reading, and tests beside this one take the processors.
    lab.host.run("renice", &["-n", "-10", "-p", &daemon.process().to_string()]);
    let mut stream = UnixStream::connect(setup.path("CONTROL_SOCKET")).expect("a listener");
    stream.set_read_timeout(Some(Duration::from_mins(1))).expect("a limit");
    stream.write_all(b"{\"v\":1,\"do\":\"events\",\"follow\":true}\n").expect("it is read");
    let mut lines = BufReader::new(stream.try_clone().expect("a copy")).lines();
    let mut next = move || lines.next().expect("a line").expect("no error");
    assert!(read(&next())["ok"]["next"].is_u64());
    let wire = Wire::mouth(&lab.scanner);
    for number in 1..=SOURCES {
        wire.probe(stranger(number));
    }
    // The log has the last source although the reader has read nothing.
    daemon.wait_until("the log goes on", || {
        wire.probe(stranger(SOURCES + 1));
        daemon.log().count(&stranger(SOURCES + 1).to_string()) > 0
    });
    let (mut expected, mut lost) = (None, 0);
    loop {
        let event = read(&next());
        if event["event"]["sequence"].is_null() {
            assert_eq!(action(&event), "loss");
            let count = event["portsentry"]["count"].as_u64().expect("a number");
            lost += count;
            expected = expected.map(|expected: u64| expected + count);
            continue;
        }
        assert_eq!(sequence(&event), *expected.get_or_insert(sequence(&event)), "{event}");
        expected = Some(sequence(&event) + 1);
        if event["source"]["ip"] == stranger(SOURCES + 1).to_string() {
            break;
        }
    }
    assert!(lost > 0, "a socket has no room for so many events");
    stream.shutdown(Shutdown::Both).expect("it ends");
}
