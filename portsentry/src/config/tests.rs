use std::{collections::HashSet, path::Path, time::Duration};

use portsentry_common::settings::{AckProbes, FencedDatagrams};
use proptest::prelude::*;

use self::files::files;
use super::{
    lexer::{Entry, Value},
    *,
};

mod files;
mod shipped;

const SHIPPED: &str = include_str!("../../../etc/portsentry.conf");
const SHIPPED_PATH: &str = "/etc/portsentry/portsentry.conf";
const DEBIAN: &str = include_str!("../../testdata/debian-1.2.conf");
const REVIVAL: &str = include_str!("../../testdata/revival-2.conf");

/// Returns the configuration in `text`, which must have neither errors nor warnings.
fn good(text: &str) -> Config {
    let (config, report) = Config::parse(text, SHIPPED_PATH).unwrap_or_else(|report| panic!("{report}"));
    assert!(report.is_empty(), "{report}");
    config
}

/// Returns the line, column and message of each error or warning.
fn faults(text: &str) -> Vec<(usize, usize, String)> {
    let report = match Config::parse(text, "test.conf") {
        Ok((_, report)) | Err(report) => report,
    };
    report.iter().map(|d| (d.line(), d.column(), d.message().to_owned())).collect()
}

#[test]
fn a_debian_1_2_file_works_unchanged() {
    let config = good(DEBIAN);
    assert_eq!(config.ports_tcp.len(), 66);
    assert_eq!(config.ports_udp.len(), 21);
    assert!(config.ports_tcp.contains(2040) && config.ports_udp.contains(54321));
    assert_eq!(config.advanced_tcp().len(), 1023 - 2);
    assert_eq!(config.advanced_udp().to_string(), "1-66,68-136,139-519,521-1023");
    assert_eq!((config.block_tcp, config.block_udp), (Response::Block, Response::Block));
    assert!(config.kill_route.unwrap().needs_shell());
    assert_eq!(config.kill_hosts_deny.unwrap().to_string(), "ALL: $TARGET$ : DENY");
    assert!(!config.kill_run_cmd.unwrap().needs_shell());
    assert!(config.port_banner.unwrap().ends_with("GO AWAY."));
    assert_eq!(config.history_file, Path::new("/var/lib/portsentry/portsentry.history"));
    assert_eq!((config.scan_trigger, config.resolve_host, config.kill_run_cmd_first), (0, false, false));
}

#[test]
fn a_2_x_file_works_unchanged() {
    let config = good(REVIVAL);
    assert_eq!(config.ports_udp.to_string(), "7,9,13,19,111,389,513,517-518");
    assert_eq!(config.ports_tcp.len(), 28);
    assert_eq!((config.block_tcp, config.block_udp), (Response::Block, Response::CommandOnly));
    assert_eq!((config.scan_trigger, config.resolve_host, config.kill_run_cmd_first), (2, true, true));
    assert_eq!(config.blocked_file, Path::new("/var/run/portsentry/portsentry.blocked"));
    assert!(!config.kill_route.unwrap().needs_shell());
}

#[test]
fn other_line_ends_change_nothing() {
    for text in [DEBIAN, REVIVAL, SHIPPED] {
        let config = good(text);
        assert_eq!(good(&text.replace('\n', "\r\n")), config);
        assert_eq!(good(text.trim_end()), config);
        assert_eq!(good(&format!("\u{feff}{text}")), config);
    }
}

#[test]
fn the_defaults_are_those_of_the_table() {
    let set = keys::all().filter(|key| !key.default.is_empty());
    let lines: Vec<String> = set.map(|key| format!("{}=\"{}\"", key.name, key.default)).collect();
    assert_eq!(good(&lines.join("\n")), Config::default());
    assert_eq!(good(""), Config::default());
}

#[test]
fn the_table_names_each_setting_once() {
    let mut names = HashSet::new();
    for key in keys::all() {
        assert!(names.insert(key.name), "{} twice", key.name);
        assert!(key.meaning.ends_with('.') && !key.form.is_empty(), "{}", key.name);
    }
}

#[test]
fn the_shipped_file_shows_every_setting_and_every_example_works() {
    good(SHIPPED);
    let is_setting = |line: &&str| {
        let name = line.split_once("=\"").map_or("", |(name, _)| name);
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
    };
    let settings: Vec<&str> =
        SHIPPED.lines().map(|line| line.trim_start_matches('#')).filter(is_setting).collect();
    for line in &settings {
        good(line);
    }
    for key in keys::all() {
        assert!(
            settings.iter().any(|line| line.split('=').next() == Some(key.name)),
            "{} is missing",
            key.name
        );
    }
    let ignore = include_str!("../../../etc/portsentry.ignore");
    let (networks, report) = ignore::parse(ignore, "portsentry.ignore").unwrap();
    assert_eq!(networks.iter().map(ToString::to_string).collect::<Vec<_>>(), ["127.0.0.0/8", "::1/128"]);
    assert!(report.is_empty());
}

#[test]
fn every_setting_of_ours_is_read() {
    let config = good(
        "INTERFACES=\"eth0,eth1\"\nPROTECTED_NETWORKS=\"192.0.2.9/24, 2001:db8::/48\"\nPIN_PATH=\"/p\"\n\
         MAX_BLOCKED=\"16777216\"\nMAX_SOURCES=\"1\"\nRING_SIZE=\"4096\"\nEVENT_RATE=\"5\"\nREPEAT_WINDOW=\"0\"\n\
         ACK_PROBES=\"count\"\nSERVED_GRACE=\"16\"\nXDP_MODE=\"generic\"\nLOG_FORMAT=\"classic\"\nLOG_OUTPUT=\"syslog\"\n\
         BLOCK_UNPROVEN=\"1\"\nBLOCK_TIME=\"7\"\nBLOCK_TIME_FACTOR=\"14\"\nMAX_BLOCK_TIME=\"15\"\nOPEN_AFTER=\"13\"\nFENCE_TIME=\"8\"\nMAX_FENCED=\"9\"\nFENCE_RATE=\"10\"\nCHALLENGE=\"1\"\n\
         SANDBOX=\"0\"\nRUN_AS=\"nobody\"\nCHALLENGE_RATE=\"11\"\nPROOF_TRAPS=\"3\"\nIPV6_PREFIX=\"56\"\nTRIGGER_WINDOW=\"16\"\nKILL_ON_PROOF=\"1\"\nACTION_RATE=\"12\"\n\
         SYSLOG_FACILITY=\"LOG_LOCAL0\"\nSYSLOG_LEVEL=\"warning\"\nWRAPPER_HOSTS_DENY=\"/h\"\n\
         FENCE=\"open\"\nFENCE_UDP=\"pass\"\nUDP_SESSION=\"17\"\nANSWERS=\"enforce\"\nFAILED_CONNECTIONS=\"5\"\nMAX_SERVED=\"19\"\nSCAN_DETECTION=\"fence\"\nSCAN_MEMORY=\"20\"\nFENCE_SYN_RATE=\"18\"\n\
         EVIDENCE_FILE=\"off\"\nGEOIP_COUNTRY=\"/c\"\nGEOIP_ASN=\"/a\"\nCONTROL_SOCKET=\"/s\"\nCONTROL_GROUP=\"adm\"\nON_STOP=\"keep\"\nJSON_LOG=\"/e\"\nMETRICS_LISTEN=\"[::1]:9911\"\n",
    );
    assert_eq!(config.interfaces, Interfaces::Named(vec!["eth0".into(), "eth1".into()]));
    assert!(config.protects("192.0.2.1".parse().unwrap()) && config.protects("2001:db8::7".parse().unwrap()));
    assert!(!config.protects("192.0.3.1".parse().unwrap()));
    assert_eq!(
        (config.pin_path.as_path(), config.wrapper_hosts_deny.as_path()),
        (Path::new("/p"), Path::new("/h"))
    );
    assert_eq!((config.max_blocked, config.max_sources, config.ring_size), (1 << 24, 1, 4096));
    assert_eq!(
        (config.answers, config.failed_connections, config.max_served),
        (portsentry_common::settings::Answers::Enforce, 5, 19)
    );
    assert_eq!(
        (config.scan_detection, config.scan_memory),
        (portsentry_common::settings::ScanDetection::Fence, 20)
    );
    assert!(config.block_unproven && config.challenge && config.kill_on_proof == KillOnProof::Always);
    assert_eq!((config.sandbox, config.run_as.as_deref()), (false, Some("nobody")));
    let seconds = Duration::from_secs;
    assert_eq!((config.block_time, config.fence_time), (seconds(7), seconds(8)));
    assert_eq!((config.open_after, config.max_block_time), (seconds(13), seconds(15)));
    assert_eq!((config.served_grace, config.block_time_factor), (seconds(16), 14));
    assert_eq!((config.max_fenced, config.fence_rate), (9, 10));
    assert_eq!((config.proof_traps, config.trigger_window), (3, seconds(16)));
    assert_eq!(config.ipv6_prefix, 56);
    assert_eq!((config.fence, config.fence_udp), (Fence::Open, FencedDatagrams::Pass));
    assert_eq!((config.udp_session, config.fence_syn_rate), (seconds(17), 18));
    assert_eq!((config.challenge_rate, config.action_rate), (11, 12));
    assert_eq!((config.event_rate, config.repeat_window), (5, Duration::ZERO));
    assert_eq!((config.evidence_file, config.control_socket.as_deref()), (None, Some(Path::new("/s"))));
    assert_eq!(
        (config.geoip_country.as_deref(), config.geoip_asn.as_deref()),
        (Some(Path::new("/c")), Some(Path::new("/a")))
    );
    assert_eq!((config.control_group.as_deref(), config.on_stop), (Some("adm"), OnStop::Keep));
    assert_eq!((config.ack_probes, config.xdp_mode), (AckProbes::Count, XdpMode::Generic));
    assert_eq!((config.log_format, config.log_output), (LogFormat::Classic, LogOutput::Syslog));
    assert_eq!((config.syslog_facility, config.syslog_level), (Facility::Local0, Level::Warning));
    assert_eq!(config.targets.json_log(), Some(JsonLog::File("/e".into())));
    assert_eq!(config.metrics_listen, Some("[::1]:9911".parse().unwrap()));
}

#[test]
fn advanced_ports_end_below_their_number() {
    for (bound, ports) in
        [("0", ""), ("1", ""), ("2", "1"), ("3", "1-2"), ("65535", "1-65534"), ("65536", "1-65535")]
    {
        let config = good(&format!("ADVANCED_PORTS_TCP=\"{bound}\"\nADVANCED_PORTS_UDP=\"{bound}\""));
        assert_eq!(
            (config.advanced_tcp().to_string(), config.advanced_udp().to_string()),
            (ports.into(), ports.into())
        );
    }
}

#[test]
fn what_is_passed_over_is_one_warning_with_its_place() {
    for (text, line, column, message) in [
        ("\nNO_SUCH=\"1\"", 2, 1, "unknown setting NO_SUCH; ignored"),
        ("tcp_ports=\"1\"", 1, 1, "unknown setting tcp_ports; ignored"),
        ("NO_SUCH=1 ; rm", 1, 1, "unknown setting NO_SUCH; ignored"),
        ("NO_SUCH=\"1\u{7}", 1, 1, "unknown setting NO_SUCH; ignored"),
        ("  what is this?", 1, 3, "this line is not a setting; ignored"),
        ("SCAN_TRIGGER=3", 1, 14, "SCAN_TRIGGER ignored: its value is not in quotes"),
        ("SCAN_TRIGGER=", 1, 14, "SCAN_TRIGGER ignored: its value is not in quotes"),
        ("SCAN_TRIGGER=\"0\" # no", 1, 18, "the text after the closing quote is ignored"),
        ("SCAN_TRIGGER=\" \"", 1, 15, "SCAN_TRIGGER is empty, so it is \"0\""),
        ("RESOLVE_HOST=\"no\"", 1, 15, "\"no\" is neither 0 nor 1; taken as 0"),
        ("BLOCK_TCP=\"2\"", 1, 12, "this only runs KILL_RUN_CMD, which is not set, so it does nothing"),
        ("CONFIG_FILE=\"/x\"", 1, 14, "this is not the file being read; use -c to read another one"),
    ] {
        assert_eq!(faults(text), [(line, column, message.to_owned())], "{text:?}");
        let (mut config, _) = Config::parse(text, "test.conf").unwrap();
        config.config_file = Config::default().config_file;
        config.block_tcp = Response::LogOnly;
        assert_eq!(config, Config::default(), "{text:?}");
    }
}

#[test]
fn an_empty_value_that_means_nothing_needs_no_words() {
    assert_eq!(good("KILL_ROUTE=\"\"\nTCP_PORTS=\"\"\nPORT_BANNER=\"\""), Config::default());
}

#[test]
fn a_mistyped_setting_is_recognised() {
    let (_, report) = Config::parse("TCP_PORT=\"1\"\nscan_triger=\"1\"\nFOO=\"1\"", "test.conf").unwrap();
    let help: Vec<_> = report.iter().map(Diagnostic::help).collect();
    assert_eq!(help, [Some("did you mean TCP_PORTS?"), Some("did you mean SCAN_TRIGGER?"), None]);
}

#[test]
fn the_first_of_a_repeated_setting_counts() {
    let text = "SCAN_TRIGGER=5\n\nSCAN_TRIGGER=\"1\"\nSCAN_TRIGGER=\"2\"\nSCAN_TRIGGER=\"x\"\n";
    let (config, _) = Config::parse(text, "test.conf").unwrap();
    assert_eq!(config.scan_trigger, 1);
    let repeated = "SCAN_TRIGGER is already set in line 3, which takes precedence".to_owned();
    assert_eq!(faults(text)[1..], [(4, 1, repeated.clone()), (5, 1, repeated)]);
}

#[test]
fn all_errors_and_warnings_are_shown_at_once_in_order() {
    let text = "BLOCK_TCP=\"2\"\nTCP_PORTS=\"0,ssh,20-10\"\nFOO=\"1\"\nKILL_ROUTE=\"/sbin/route\"\nPIN_PATH=\"x\"\n\
                PORT_BANNER=\"a\u{1b}[2Jb\"\nUDP_PORTS=\"7";
    let report = Config::parse(text, "/etc/portsentry/portsentry.conf").unwrap_err();
    let lines: Vec<_> = report.iter().map(|d| (d.line(), d.column(), d.severity())).collect();
    let (error, warning) = (Severity::Error, Severity::Warning);
    assert_eq!(
        lines,
        [
            (1, 12, warning),
            (2, 12, error),
            (2, 14, error),
            (2, 18, error),
            (3, 1, warning),
            (4, 13, error),
            (5, 11, error),
            (6, 15, error),
            (7, 11, error),
        ]
    );
    let shown = report.to_string();
    assert_eq!(shown.matches(" --> /etc/portsentry/portsentry.conf:").count(), 9);
    assert!(!shown.contains('\u{1b}'));
    assert!(shown.contains(
        "\
error: there is no port 0: ports are 1 to 65535
 --> /etc/portsentry/portsentry.conf:2:12
  |
2 | TCP_PORTS=\"0,ssh,20-10\"
  |            ^
"
    ));
}

#[test]
fn load_reads_a_file_and_names_it_in_its_errors() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("portsentry.conf");
    std::fs::write(&path, "SCAN_TRIGGER=\"3\"\n").unwrap();
    assert_eq!(Config::read(&path).unwrap().config.scan_trigger, 3);
    std::fs::write(&path, "SCAN_TRIGGER=\"x\"\n").unwrap();
    let report = Config::read(&path).unwrap().report;
    assert!(report.has_errors() && report.to_string().contains("portsentry.conf:1:15"));
}

/// Returns texts that often resemble settings.
fn text() -> impl Strategy<Value = String> {
    let name = prop::sample::select(keys::all().map(|key| key.name).collect::<Vec<_>>());
    let value =
        prop_oneof!["[0-9,\\-/.:]{0,12}", "[$A-Z'\\\\;| ]{0,12}", ".{0,12}", Just("$TARGET$".to_owned())];
    let setting = (name, "[ \t]?=[ ]?", value, "\"?.{0,3}")
        .prop_map(|(name, equals, value, rest)| format!("{name}{equals}\"{value}{rest}"));
    let line = prop_oneof![4 => setting, 1 => ".{0,20}"];
    prop::collection::vec((line, "\r?\n"), 0..8)
        .prop_map(|lines| lines.into_iter().map(|(line, end)| line + &end).collect())
}

proptest! {
    #[test]
    fn no_text_panics(text in text()) {
        match Config::parse(&text, "test.conf") {
            Ok((_, report)) => prop_assert!(report.iter().all(|d| d.severity() == Severity::Warning)),
            Err(report) => {
                prop_assert!(report.has_errors());
                prop_assert!(!report.to_string().is_empty());
                prop_assert!(report.iter().all(|d| d.column() > 0 && d.line() > 0));
            }
        }
    }

    #[test]
    fn files_one_by_one_are_as_good_as_one(text in text(), cut in 0_usize..200) {
        // Settings of the second part are not in the first, nor is an evident value of theirs.
        let cut = text.match_indices('\n').map(|(at, _)| at + 1).find(|at| *at >= cut).unwrap_or(0);
        let (first, second) = text.split_at(cut);
        let names = |text: &str| {
            let unclosed = syntax::entries(text).filter_map(|entry| match entry {
                Entry::Setting { key, value: Value::Unclosed(_) } => Some(keys::find(key.text())?.name),
                _ => None,
            });
            let set = files(&[("a", text)]).settings.set;
            set.iter().map(|it| it.key).chain(unclosed).collect::<Vec<_>>()
        };
        let first_names = names(first);
        prop_assume!(!names(second).iter().any(|name| first_names.contains(name)));
        prop_assume!(!second.starts_with('\u{feff}'));
        let (one, two) = (files(&[("a", &text)]), files(&[("a", first), ("b", second)]));
        prop_assert_eq!(one.config, two.config);
        prop_assert_eq!(one.report.has_errors(), two.report.has_errors());
        prop_assert_eq!(one.report.iter().count(), two.report.iter().count());
    }

    #[test]
    fn no_bytes_panic(text in "(?s).{0,300}") {
        let (Ok((_, report)) | Err(report)) = Config::parse(&text, "test.conf");
        prop_assert_eq!(report.is_empty(), report.to_string().is_empty());
    }
}
