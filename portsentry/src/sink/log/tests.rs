use std::{
    io::Write,
    net::IpAddr,
    process::{Command, Stdio},
    sync::{Arc, Mutex},
};

use super::*;
use crate::{
    modes::Mode,
    policy::{
        Scan, Sighting,
        register::{Admission, Case, Why},
        sample_scan, sample_sighting,
    },
};

fn lines(format: LogFormat, write: impl FnOnce(&mut Log)) -> Vec<String> {
    let kept = Kept::default();
    let mut journal = Log {
        feed: None,
        format,
        tells_notices: false,
        fence: Fence::Drop,
        prediction: Prediction::new(&Config::default()),
        scan_remedy: enforcement::scan_remedy(&Config::default()),
        sinks: vec![Box::new(kept.clone())],
        origins: Origins::default(),
        last_error: None,
    };
    write(&mut journal);
    kept.0.lock().unwrap().clone()
}

/// A log that keeps its lines.
#[derive(Clone, Debug, Default)]
struct Kept(Arc<Mutex<Vec<String>>>);

impl Sink for Kept {
    fn name(&self) -> &'static str {
        "kept"
    }

    fn emit(&mut self, report: &Report<'_>) {
        self.0.lock().unwrap().extend_from_slice(report.lines);
    }

    fn lost(&self) -> u64 {
        0
    }
}

#[test]
fn the_start_has_the_words_of_1_2() {
    let text = "TCP_PORTS=\"1,11\"\nADVANCED_EXCLUDE_UDP=\"67\"\nADVANCED_PORTS_UDP=\"512\"";
    let (config, _) = Config::parse(text, "test").unwrap();
    let modes = [Mode::Stcp, Mode::Audp].into_iter().collect();
    let written = lines(LogFormat::Classic, |journal| {
        journal.starting(&config, modes);
        journal.active();
        journal.stopping();
    });
    assert_eq!(
        written,
        [
            concat!(
                "adminalert: portsentry ",
                env!("CARGO_PKG_VERSION"),
                ": observing (nothing is blocked): BLOCK_TCP=\"1\" and BLOCK_UDP=\"1\" in portsentry.conf, then \
                 `portsentry reload`, fence and block"
            ),
            "adminalert: PortSentry 1.2 is starting.",
            "adminalert: Going into stealth listen mode on TCP port: 1",
            "adminalert: Going into stealth listen mode on TCP port: 11",
            "adminalert: Advanced mode will monitor first 512 ports",
            "adminalert: Advanced mode will manually exclude port: 67 ",
            "adminalert: Advanced Stealth scan detection mode activated. Ignored UDP port: 67",
            "adminalert: PortSentry is now active and listening.",
            "securityalert: PortSentry is shutting down",
            "adminalert: PortSentry is shutting down",
        ]
    );
}

#[test]
fn ports_are_named_one_by_one_with_the_word_for_their_mode() {
    for (modes, expected) in [
        (&[Mode::Tcp][..], "adminalert: Going into listen mode on TCP port: "),
        (&[Mode::Udp], "adminalert: Going into listen mode on UDP port: "),
        (&[Mode::Sudp], "adminalert: Going into stealth listen mode on UDP port: "),
        // Watching goes before.
        (&[Mode::Tcp, Mode::Stcp], "adminalert: Going into stealth listen mode on TCP port: "),
    ] {
        let listed = |ports| {
            let (config, _) =
                Config::parse(&format!("TCP_PORTS={ports}\nUDP_PORTS={ports}"), "test").unwrap();
            lines(LogFormat::Classic, |journal| journal.starting(&config, modes.iter().copied().collect()))
        };
        let each: Vec<String> = (1..=1024).map(|port| format!("{expected}{port}")).collect();
        assert_eq!(listed("\"1-1024\"")[2..], each, "{modes:?}");
        assert_eq!(listed("\"1-1025\"")[2..], [format!("{expected}1-1025")], "{modes:?}");
    }
}

#[test]
fn start_and_end_have_the_words_of_2() {
    let written = lines(LogFormat::Revival, |journal| {
        journal.active();
        journal.stopping();
    });
    assert_eq!(written, ["Portsentry is now active and listening.", "Portsentry is shutting down"]);
}

#[test]
fn actions_have_the_words_of_1_2() {
    let source = IpAddr::from([192, 0, 2, 9]);
    let written = lines(LogFormat::Classic, |journal| {
        journal.denied((source.into(), None), "ALL: 192.0.2.9 : DENY");
        journal.left_alone(&sample_sighting(), &source.into());
    });
    assert_eq!(
        written,
        [
            "attackalert: Host 192.0.2.9 has been blocked via wrappers with string: \"ALL: 192.0.2.9 : DENY\"",
            "attackalert: Ignoring TCP response per configuration file setting.",
            "adminalert: Host 192.0.2.9 would have been fenced with BLOCK_TCP=\"1\"",
        ]
    );
}

#[test]
fn a_scan_is_told_with_its_evidence() {
    let source = IpAddr::from([192, 0, 2, 9]);
    let told = |scan: Scan| {
        let sighting = Sighting { scan: Some(scan), ..sample_sighting() };
        lines(LogFormat::Classic, |journal| {
            journal.scan(&sighting, &scan, &source.into());
            journal.attack(&sighting, &source.into());
            journal.fenced(&sighting, &source.into(), (300, None));
        })
    };
    assert_eq!(
        told(sample_scan()),
        [
            "adminalert: Noted only (sweep): source 192.0.2.9/192.0.2.9, 6 failed first contacts within 42 s, score \
             15.4, the last at TCP port 11 of 198.51.100.1; SCAN_DETECTION=\"fence\" fences such sources",
            "attackalert: sweep from host: 192.0.2.9/192.0.2.9 to TCP port: 11",
            "attackalert: Host 192.0.2.9 has been fenced for 300 seconds (proof: none): new connections are dropped; \
             established ones continue (sweep: 6 failed first contacts within 42 s, score 15.4)",
        ]
    );
    let peer = told(Scan { is_peer: true, is_sweep: false, ..sample_scan() });
    assert!(
        peer[0].starts_with("adminalert: Noted only (slow scan): ")
            && peer[0].ends_with("never fenced for this"),
        "{}",
        peer[0]
    );
}

#[test]
fn logcheck_reports_errors_and_losses_and_no_scan() {
    const RULES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../pkg/logcheck");
    let source = IpAddr::from([192, 0, 2, 9]);
    let record = sample_sighting().record();
    let case = Case::held(Admission::Administrator, record, None, Why::Given("a guest"));
    for format in [LogFormat::Classic, LogFormat::Revival] {
        let routine = lines(format, |journal| {
            journal.starting(&Config::default(), [Mode::Stcp].into_iter().collect());
            journal.active();
            journal.attack(&sample_sighting(), &source.into());
            journal.left_alone(&sample_sighting(), &source.into());
            journal.scan(&sample_sighting(), &sample_scan(), &source.into());
            journal.fenced(&sample_sighting(), &source.into(), (300, None));
            journal.blocked(&sample_sighting(), &source.into(), None);
            journal.denied((source.into(), None), "ALL: 192.0.2.9 : DENY");
            journal.denied_more(7);
            journal.ordered(&case);
            journal.reoffended(&record, 2);
            journal.lifted(&case);
            journal.surplus(7);
            journal.over_rate(7);
            journal.unfenced(7);
            journal.stopping();
        });
        let alarms = lines(format, |journal| {
            journal.error(&"a file can't be written");
            journal.full(&sample_sighting(), &source.into());
            journal.no_room(7);
            journal.behind(7);
            journal.ring_full(7);
            journal.actions_limited();
        });
        for (written, is_reported) in [(routine, false), (alarms, true)] {
            for line in written {
                let logged = format!("Nov 29 12:40:55 host portsentry[204]: {line}");
                let mut grep = Command::new("grep");
                grep.args(["-E", "-q", "-f", RULES]).stdin(Stdio::piped());
                let mut grep = grep.spawn().expect("grep");
                grep.stdin.take().expect("a pipe").write_all(logged.as_bytes()).expect("it reads");
                assert_eq!(!grep.wait().expect("its end").success(), is_reported, "{logged}");
            }
        }
    }
}
