//! Block lists that the notifier downloads, and the daemon reads.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use portsentry_tests::lab::{Family, Lab, Reach, Receiver, Reply};

#[test]
fn a_list_is_downloaded_and_the_last_good_one_stays() {
    let lab = Lab::new();
    let service = lab.serve_tcp(8080);
    let [listed, other] = [lab.source(Family::V4), lab.source(Family::V4)];
    let good =
        format!("{{\"cidr\":\"{listed}/32\",\"sblid\":\"SBL1\"}}\n{{\"type\":\"metadata\",\"records\":1}}\n");
    let stage = Arc::new(AtomicUsize::new(0));
    let now = Arc::clone(&stage);
    let receiver = Receiver::start(&lab.host, move |request, _| {
        let body = |text: &str| Reply::Status(200, String::new(), text.to_owned());
        match (request.line.as_str(), now.load(Relaxed)) {
            ("GET /plain", _) => body(&format!("# a netset\n{other}\n")),
            (_, 0) => {
                // By the server's clock, whatever this host's is.
                Reply::Status(
                    200,
                    "ETag: \"7\"\r\nLast-Modified: Mon, 23 Nov 2026 09:30:00 GMT\r\n".into(),
                    good.clone(),
                )
            }
            (_, 1) => Reply::status(304),
            (_, 2) => body("<!doctype html><title>Too many requests</title>"),
            (_, 3) => body("{\"cidr\":\"0.0.0.0/0\"}\n"),
            (_, 4) => body("; nothing\n"),
            (_, 5) => Reply::status(500),
            (_, 6) => Reply::Status(302, format!("Location: {}\r\n", "http://127.0.0.1:1/"), String::new()),
            _ => Reply::Nothing,
        }
    });
    let url = receiver.url();
    let setup = lab.portsentry("-stcp").with_notifier();
    let directory = lab.files().join("spool/lists");
    let setup = setup.with("BLOCK_LISTS", &directory.display().to_string());
    setup.write_notify(&format!("[drop]\nLIST=\"{url}/drop\"\nHEADER=\"Key: secret\"\n"));
    let daemon = setup.start();
    let fetched = setup.notify(&["--fetch"]);
    assert_eq!((fetched.code, fetched.out.as_str()), (0, "drop: 1 hosts, 0 networks\n"), "{fetched:?}");
    assert_eq!(receiver.received()[0].header("key"), "secret");
    daemon.log().wait_for("Block lists reloaded: drop (1 hosts, 0 networks)");
    assert!(!service.answers(&lab.scanner, listed, Reach::Unexpected));
    let file = directory.join("drop.list");
    let content = fs::read_to_string(&file).expect("a list");
    stage.store(1, Relaxed);
    assert_eq!(setup.notify(&["--fetch"]).out, "drop: unchanged\n");
    let conditional = receiver.received();
    let request = conditional.last().expect("a request");
    assert_eq!(request.header("if-modified-since"), "Mon, 23 Nov 2026 09:30:00 GMT");
    assert_eq!(request.header("if-none-match"), "\"7\"");
    for (number, problem) in [
        (2, "drop:1"),
        (3, "too large"),
        (4, "the list is empty"),
        (5, "HTTP status 500"),
        (6, "HTTP status 302"),
        (7, ""),
    ] {
        stage.store(number, Relaxed);
        let fetched = setup.notify(&["--fetch"]);
        assert!(fetched.code == 1 && fetched.errors.contains(problem), "{number}: {fetched:?}");
        assert!(fetched.errors.contains("the last good list stays"), "{fetched:?}");
        assert_eq!(fs::read_to_string(&file).expect("a list"), content, "{number}");
    }
    assert!(!service.answers(&lab.scanner, listed, Reach::Unexpected), "the last good list stays");
    // The service downloads at its own time: at once if there is no list yet.
    setup
        .write_notify(&format!("[drop]\nLIST=\"{url}/drop\"\n[plain]\nLIST=\"{url}/plain\"\nEVERY=\"1h\"\n"));
    let notifier = setup.start_notifier();
    notifier.log.wait_for("[plain] downloaded: 1 hosts, 0 networks");
    daemon.log().wait_for("Block lists reloaded: plain (1 hosts, 0 networks)");
    assert!(!service.answers(&lab.scanner, other, Reach::Unexpected));
    assert!(setup.say("lists").out.contains("plain"));
}

#[test]
fn a_list_that_others_could_change_is_refused() {
    let lab = Lab::new();
    let setup = lab.portsentry("-stcp");
    setup.write();
    for (section, problem) in [
        ("LIST=\"http://lists.example/drop.txt\"", "anybody on the way could change this list"),
        ("LIST=\"https://lists.example/drop.txt\"\nEVERY=\"10s\"", "once a minute at most"),
        ("LIST=\"https://lists.example/drop.txt\"\nTO=\"root\"", "a list to download has no TO"),
        ("LIST=\"ftp://lists.example/drop.txt\"", "this is no URL"),
    ] {
        setup.write_notify(&format!("[drop]\n{section}\n"));
        let said = setup.notify(&["--check"]);
        assert!(said.code == 3 && said.errors.contains(problem), "{section}: {said:?}");
    }
    setup.write_notify("[drop]\nLIST=\"https://lists.example/drop.txt\"\n");
    assert_eq!(setup.notify(&["--check"]).out, "OK. 0 channels, 1 lists\n");
}
