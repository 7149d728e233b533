use super::*;

fn read(line: &str) -> Result<Cli, clap::Error> {
    Cli::read(line.split(' ').map(OsString::from))
}

#[test]
fn modes_select_what_is_watched() {
    for (line, expected) in [
        ("portsentry", &[Mode::Stcp, Mode::Sudp][..]),
        ("portsentry --stealth", &[Mode::Stcp, Mode::Sudp]),
        ("portsentry --connect", &[Mode::Tcp, Mode::Udp]),
        ("portsentry -tcp", &[Mode::Tcp]),
        ("portsentry -stcp", &[Mode::Stcp]),
        ("portsentry -udp", &[Mode::Udp]),
        ("portsentry -sudp", &[Mode::Sudp]),
        ("portsentry -atcp", &[Mode::Atcp]),
        ("portsentry -atcp -audp", &[Mode::Atcp, Mode::Audp]),
        ("portsentry -stcp -audp", &[Mode::Stcp, Mode::Audp]),
    ] {
        assert_eq!(read(line).unwrap().modes(), expected.iter().copied().collect(), "{line}");
    }
}

#[test]
fn format_and_output_follow_the_family_of_flags() {
    for (line, output, format) in [
        ("portsentry", LogOutput::Stdout, LogFormat::Revival),
        ("portsentry -l syslog", LogOutput::Syslog, LogFormat::Revival),
        ("portsentry -atcp", LogOutput::Syslog, LogFormat::Classic),
        ("portsentry -atcp -l stdout", LogOutput::Stdout, LogFormat::Classic),
    ] {
        let mut config = Config::default();
        read(line).unwrap().override_config(&mut config);
        assert_eq!((config.log_output, config.log_format), (output, format), "{line}");
    }
}

#[test]
fn interfaces_are_words_or_names() {
    for (line, expected) in [
        ("portsentry", Interfaces::AllButLoopback),
        ("portsentry -i ALL", Interfaces::All),
        ("portsentry -i any", Interfaces::All),
        ("portsentry -i ALL_NLO", Interfaces::AllButLoopback),
        ("portsentry -i ALL -i eth0", Interfaces::All),
        ("portsentry -i eth0 -i any", Interfaces::All),
        ("portsentry -i eth0 -i ALL_NLO", Interfaces::AllButLoopback),
        ("portsentry -i ALL_NLO -i ALL", Interfaces::All),
        ("portsentry -i eth0 -i eth1", Interfaces::Named(vec!["eth0".into(), "eth1".into()])),
        ("portsentry -ieth0 --interface=eth1", Interfaces::Named(vec!["eth0".into(), "eth1".into()])),
    ] {
        let mut config = Config::default();
        read(line).unwrap().override_config(&mut config);
        assert_eq!(config.interfaces, expected, "{line}");
    }
}

#[test]
fn every_flag_of_2_x_means_what_it_meant() {
    type Meaning = fn(&(Cli, Config)) -> bool;
    let with = |line: &str| {
        let cli = read(line).unwrap_or_else(|error| panic!("{line}: {error}"));
        let mut config = Config::default();
        cli.override_config(&mut config);
        (cli, config)
    };
    let plain = with("portsentry");
    let table: [(&[&str], Meaning); 12] = [
        (&["--stealth"], |(cli, _)| cli.modes().has(Mode::Stcp) && !cli.modes().has(Mode::Tcp)),
        (&["--connect"], |(cli, _)| cli.modes().has(Mode::Tcp) && !cli.modes().has(Mode::Stcp)),
        (&["-m pcap", "-m raw", "--method pcap", "--method raw"], |(cli, _)| cli.flags.method.is_some()),
        (&["-i eth0", "--interface eth0"], |(_, it)| it.interfaces == Interfaces::Named(vec!["eth0".into()])),
        (&["-L", "--disable-local-check"], |(_, it)| !it.skips_own && it.checks_destination),
        (&["-S", "--disable-service-check"], |(_, it)| !it.checks_services),
        (&["-l syslog", "--logoutput syslog"], |(_, it)| it.log_output == LogOutput::Syslog),
        (&["-l stdout -D", "--logoutput stdout -D"], |(cli, it)| {
            cli.is_background(it) && it.log_output == LogOutput::Stdout
        }),
        (&["-c /x", "--configfile /x"], |(cli, _)| cli.config_file.as_os_str() == "/x"),
        (&["-D", "--daemon"], |(cli, it)| cli.is_background(it) && it.log_output == LogOutput::Syslog),
        (&["-d", "--debug"], |(cli, _)| cli.is_debugged()),
        (&["-v", "--verbose"], |(_, it)| it.log_notices),
    ];
    for (number, (flags, holds)) in table.into_iter().enumerate() {
        assert!(number == 0 || !holds(&plain), "without {flags:?}");
        for flag in flags {
            assert!(holds(&with(&format!("portsentry {flag}"))), "{flag}");
        }
    }
    for (flags, kind) in [
        (["-V", "--version"], clap::error::ErrorKind::DisplayVersion),
        (["-h", "--help"], clap::error::ErrorKind::DisplayHelp),
    ] {
        for flag in flags {
            let shown = read(&format!("portsentry {flag}")).unwrap_err();
            assert_eq!(shown.kind(), kind, "{flag}");
        }
    }
}

#[test]
fn run_takes_the_flags_that_none_takes() {
    for line in ["", " -stcp", " --connect -l stdout", " -i eth0 -i eth1 -D", " -L -S -d -v"] {
        let alone = read(&format!("portsentry{line}")).unwrap();
        for line in [format!("portsentry run{line}"), format!("portsentry{line} run")] {
            assert_eq!(format!("{:?}", read(&line).unwrap()), format!("{alone:?}"), "{line}");
        }
    }
    let both = read("portsentry -stcp -i eth0 run -sudp -i eth1 -c /other").unwrap();
    assert_eq!(both.modes(), [Mode::Stcp, Mode::Sudp].into_iter().collect());
    assert_eq!(both.flags.interfaces, ["eth0", "eth1"]);
    assert_eq!(both.config_file, PathBuf::from("/other"));
}

#[test]
fn what_is_said_twice_is_taken_as_2_x_takes_it() {
    for (line, expected) in [
        ("portsentry -l stdout -l syslog", &[LogOutput::Stdout, LogOutput::Syslog][..]),
        ("portsentry -l syslog run -l stdout", &[LogOutput::Syslog, LogOutput::Stdout]),
        ("portsentry -l syslog -l syslog", &[LogOutput::Syslog]),
        ("portsentry -l syslog -l stdout -l syslog", &[LogOutput::Syslog, LogOutput::Stdout]),
    ] {
        let mut config = Config::default();
        read(line).unwrap().override_config(&mut config);
        for output in [LogOutput::Stdout, LogOutput::Syslog, LogOutput::Journald] {
            assert_eq!(config.logs_to(output), expected.contains(&output), "{line} {output}");
        }
    }
    for line in ["portsentry -c /a -c /b", "portsentry --conf /a --configfile /b", "portsentry --config=/b"] {
        assert_eq!(read(line).unwrap().config_file, PathBuf::from("/b"), "{line}");
    }
    let twice = read("portsentry -d -d -v -v -D -D -S -S --stealth --stealth -m raw -m pcap").unwrap();
    assert!(twice.is_debugged() && twice.flags.verbose && twice.flags.daemon);
    // An abbreviation of several flags is none, as in 2.x.
    assert!(read("portsentry --co /a").is_err());
}

#[test]
fn senseless_requests_are_refused() {
    for line in [
        "portsentry -xtcp",
        "portsentry -m nothing",
        "portsentry -l nowhere",
        "portsentry extra",
        "portsentry run extra",
        "portsentry list -stcp",
    ] {
        assert!(read(line).is_err(), "{line}");
    }
}

#[test]
fn a_service_of_systemd_logs_to_the_journal_and_stays_in_the_foreground() {
    let (notified, forking) = (Service::UNIT, Service { awaits_readiness: false, ..Service::UNIT });
    for (line, service, output, is_background) in [
        ("portsentry -stcp -sudp", notified, LogOutput::Journald, false),
        ("portsentry -stcp -sudp", forking, LogOutput::Journald, true),
        ("portsentry", notified, LogOutput::Journald, false),
        ("portsentry -stcp -D", notified, LogOutput::Journald, false),
        ("portsentry -stcp -l syslog", notified, LogOutput::Syslog, false),
        ("portsentry -stcp -l stdout -l syslog", notified, LogOutput::Stdout, false),
        ("portsentry -D", forking, LogOutput::Journald, true),
        ("portsentry -D", Service::default(), LogOutput::Syslog, true),
        ("portsentry -stcp", Service::default(), LogOutput::Syslog, true),
        ("portsentry", Service::default(), LogOutput::Stdout, false),
    ] {
        let mut cli = read(line).unwrap();
        cli.service = service;
        let mut config = Config::default();
        cli.override_config(&mut config);
        assert_eq!((config.log_output, cli.is_background(&config)), (output, is_background), "{line}");
    }
    let mut config = Config { log_output: LogOutput::Syslog, ..Config::default() };
    let mut cli = read("portsentry").unwrap();
    cli.service = Service::UNIT;
    cli.override_config(&mut config);
    assert_eq!(config.log_output, LogOutput::Syslog, "the file's choice stands");
}
