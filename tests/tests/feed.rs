//! The feed of a companion, read by curl and by clients that misbehave.

use std::{
    io::{ErrorKind, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use portsentry_tests::{
    document,
    lab::{Daemon, Lab, Portsentry, Share},
};
use serde_json::json;

const FEED: &str = "FEED_LISTEN=\"127.0.0.1:8402\"\n";
const TEXT: &str = "http://127.0.0.1:8402/blocked.txt";
const JSON: &str = "http://127.0.0.1:8402/blocked.json";
/// Maximum number of clients at a time.
const CLIENTS: usize = 64;
const PATIENCE: Duration = Duration::from_secs(20);

/// Returns a gateway that shares administrators' blocks, so that a test needs no scan for each.
fn sharing(lab: &Lab) -> Portsentry<'_> {
    lab.portsentry("-stcp")
        .in_fleet("")
        .with("SHARE_BLOCKS", "all")
        .with("IPV6_PREFIX", "64")
        .with("KILL_HOSTS_DENY", "")
}

/// Returns curl's output.
fn curl(lab: &Lab, words: &[&str]) -> String {
    let ended = lab.host.command("curl").args(["--silent", "--max-time", "20"]).args(words).output();
    String::from_utf8(ended.expect("curl").stdout).expect("UTF-8")
}

fn wait_for_text(daemon: &Daemon<'_>, expected: &str) {
    daemon.wait_until(&format!("the feed is {expected:?}"), || curl(daemon.lab(), &[TEXT]) == expected);
}

/// Returns the status and the value of a header.
fn head<'t>(answer: &'t str, name: &str) -> (&'t str, Option<&'t str>) {
    let mut lines = answer.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).expect("a status");
    (status, lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")))
}

#[test]
fn the_feed_has_what_is_held_and_nothing_else() {
    let lab = Lab::new();
    let setup = sharing(&lab);
    let daemon = setup.start();
    assert_eq!(setup.say("block 203.0.113.9 198.51.100.7 2001:db8:7::/64 2001:db8:8::1 10.9.9.9").code, 0);
    let mut share = Share::start(&lab.host, &setup.share_socket(), FEED);
    // Private addresses are not shared.
    wait_for_text(&daemon, "198.51.100.7\n203.0.113.9\n2001:db8:7::/64\n2001:db8:8::1\n");
    assert_eq!(setup.say("unblock 203.0.113.9").code, 0);
    wait_for_text(&daemon, "198.51.100.7\n2001:db8:7::/64\n2001:db8:8::1\n");
    assert_eq!(setup.say("unblock --here 198.51.100.7").code, 0);
    wait_for_text(&daemon, "2001:db8:7::/64\n2001:db8:8::1\n");
    assert_eq!(setup.say("block --for 15s 203.0.113.10").code, 0);
    wait_for_text(&daemon, "203.0.113.10\n2001:db8:7::/64\n2001:db8:8::1\n");
    wait_for_text(&daemon, "2001:db8:7::/64\n2001:db8:8::1\n");
    let read: serde_json::Value = serde_json::from_str(&curl(&lab, &[JSON])).expect("JSON");
    assert_eq!(read["gateway"], "gw1");
    let block = &read["blocks"][0];
    assert_eq!([&block["address"], &block["proof"]], [&json!("2001:db8:7::/64"), &json!("administrator")]);
    // A block that ends while no companion runs.
    share.restart(&lab.host);
    assert_eq!(setup.say("unblock 2001:db8:7::/64 2001:db8:8::1").code, 0);
    wait_for_text(&daemon, "");
    let known = || setup.say("status").out.contains("feed: 0 blocks at http://127.0.0.1:8402/blocked.txt");
    daemon.wait_until("status names the feed", known);
}

#[test]
fn conditional_requests_are_answered_briefly() {
    let lab = Lab::new();
    let setup = sharing(&lab);
    let daemon = setup.start();
    let _share = Share::start(&lab.host, &setup.share_socket(), FEED);
    assert_eq!(setup.say("block 203.0.113.9").code, 0);
    wait_for_text(&daemon, "203.0.113.9\n");
    daemon.wait_until("its second is over", || {
        head(&curl(&lab, &["--head", TEXT]), "Last-Modified").1.is_some()
    });
    let answer = curl(&lab, &["--head", TEXT]);
    assert_eq!(head(&answer, "Content-Length"), ("200", Some("12")), "{answer}");
    assert_eq!(head(&answer, "Content-Type").1, Some("text/plain; charset=utf-8"));
    assert_eq!(head(&answer, "Cache-Control").1, Some("no-cache"));
    let tag = head(&answer, "ETag").1.expect("a tag").to_owned();
    let date = head(&answer, "Last-Modified").1.expect("a date").to_owned();
    let ask = |header: &str| {
        let answer = curl(&lab, &["--include", "--header", header, TEXT]);
        let (status, _) = head(&answer, "");
        (status.to_owned(), answer.ends_with("\r\n\r\n"))
    };
    let unchanged = ("304".to_owned(), true);
    let whole = ("200".to_owned(), false);
    assert_eq!(ask(&format!("If-None-Match: {tag}")), unchanged);
    assert_eq!(ask(&format!("If-None-Match: \"x\", W/{tag}")), unchanged);
    assert_eq!(ask(&format!("If-Modified-Since: {date}")), unchanged);
    assert_eq!(ask("If-None-Match: \"other\""), whole);
    assert_eq!(ask("If-Modified-Since: Thu, 01 Jan 1970 00:00:00 GMT"), whole);
    assert_eq!(ask("If-Modified-Since: \u{fffd}"), whole);
    // As curl itself remembers a tag.
    let file = lab.files().join("tag");
    let file = file.display().to_string();
    let fetch = || curl(&lab, &["--etag-save", &file, "--etag-compare", &file, TEXT]);
    assert_eq!([fetch(), fetch()], ["203.0.113.9\n", ""]);
    assert_eq!(setup.say("block 203.0.113.10").code, 0);
    daemon.wait_until("it has changed", || fetch() == "203.0.113.9\n203.0.113.10\n");
    assert_eq!(ask(&format!("If-None-Match: {tag}")), whole);
    assert_eq!(ask(&format!("If-Modified-Since: {date}")).0, "200");
    assert_eq!(ask(&format!("If-None-Match: {tag}")).0, "200");
}

#[test]
fn clients_that_misbehave_keep_nobody_waiting() {
    let lab = Lab::new();
    let setup = sharing(&lab);
    let daemon = setup.start();
    let _share = Share::start(&lab.host, &setup.share_socket(), FEED);
    let blocked: Vec<String> =
        (0..1000_u32).map(|number| Ipv4Addr::from(0x0b00_0000 + number).to_string()).collect();
    for some in blocked.chunks(500) {
        assert_eq!(setup.say(&format!("block {}", some.join(" "))).code, 0);
    }
    daemon.wait_until("all are there", || curl(&lab, &[TEXT]).lines().count() == blocked.len());
    for (request, status) in [
        (&b"GET /blocked.txt HTTP/9\r\n\r\n"[..], "400"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", "400"),
        (b"DELETE /blocked.txt HTTP/1.1\r\n\r\n", "405"),
        (b"GET /../etc/passwd HTTP/1.1\r\n\r\n", "404"),
        (&[b'x'; 9000], "431"),
    ] {
        let answer = lab.host.enter(|| {
            let mut stream = connect();
            stream.write_all(request).expect("it reads");
            let mut answer = Vec::new();
            // What it doesn't read any more may end the connection early.
            let _ = stream.read_to_end(&mut answer);
            String::from_utf8_lossy(&answer).into_owned()
        });
        assert_eq!(head(&answer, "").0, status, "{answer}");
    }
    // Clients that ask and don't read, and clients that never finish asking, as many as there is room for.
    let idle: Vec<TcpStream> = lab.host.enter(|| {
        let clients = (0..CLIENTS).map(|number| {
            let mut stream = connect();
            let request: &[u8] =
                if number % 2 == 0 { b"GET /blocked.txt HTTP/1.1\r\n\r\n" } else { b"GET /blocked.txt HT" };
            stream.write_all(request).expect("it reads");
            stream
        });
        clients.collect()
    });
    let begun = Instant::now();
    for _ in 0..20 {
        assert_eq!(curl(&lab, &[TEXT]).lines().count(), blocked.len());
    }
    println!("twenty fetches of 1,000 blocks beside {CLIENTS} idle clients: {:?}", begun.elapsed());
    // Those that never finish asking are told so, unless others took their places.
    let answers = idle.into_iter().skip(1).step_by(2).map(|mut stream| {
        let mut answer = String::new();
        stream.read_to_string(&mut answer).map(|_| answer)
    });
    for answer in answers {
        match answer {
            Ok(answer) => assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408 "), "{answer}"),
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
        }
    }
    // Many at a time, each with the whole list.
    let many = ["--parallel", "--parallel-max", "50", "--write-out", "%{http_code} %{size_download}\n"];
    let mut words = many.to_vec();
    let output = lab.files().join("copy-#1").display().to_string();
    let urls = TEXT.to_owned() + "?[1-40]";
    words.extend(["--output", &output, &urls]);
    let sizes = curl(&lab, &words);
    let size = blocked.iter().map(|name| name.len() + 1).sum::<usize>();
    assert_eq!(sizes, format!("200 {size}\n").repeat(40));
}

fn connect() -> TcpStream {
    let stream = TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], 8402))).expect("the feed");
    stream.set_read_timeout(Some(PATIENCE)).expect("a limit");
    stream
}

#[test]
fn the_document_has_the_setting() {
    assert!(document::read("docs/fleet.md").contains(FEED.trim_end()));
}
