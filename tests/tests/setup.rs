//! `portsentry setup` and `portsentry confirm`: arming without a lock-out.

use std::{fs, net::IpAddr, path::Path, process::Command, time::Duration};

use portsentry_tests::lab::{Daemon, FAMILIES, Family, Lab, Portsentry, Reach, Said, binary, wait_within};

/// Maximum time for an event.
const PATIENCE: Duration = Duration::from_secs(30);

/// Returns a configuration that only observes, as after a fresh installation.
fn observing(lab: &Lab) -> Portsentry<'_> {
    let setup = lab.portsentry("-stcp").with("BLOCK_TCP", "0").with("BLOCK_UDP", "0");
    setup.with("BLOCK_UNPROVEN", "0").with("CHALLENGE", "1").with("BLOCK_TIME", "3600")
}

fn configuration(setup: &Portsentry<'_>) -> String {
    fs::read_to_string(setup.config_path()).expect("a configuration")
}

fn unconfirmed(setup: &Portsentry<'_>) -> std::path::PathBuf {
    setup.config_path().with_extension("conf.unconfirmed")
}

fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    wait_within(PATIENCE, || format!("{what}: not within {PATIENCE:?}"), is_so);
}

/// Completes handshakes of a new source with two traps. Returns the source.
fn scan(lab: &Lab, family: Family) -> IpAddr {
    let source = lab.source(family);
    lab.nmap(source, "-sT -p 1,7,11,15 --max-retries 2");
    source
}

fn assert_free(daemon: &Daemon<'_>, source: IpAddr) {
    daemon.settle();
    assert!(!daemon.blocked().contains(&source) && !daemon.fenced().contains(&source), "{source} is held");
}

#[test]
fn setup_arms_a_running_daemon_and_is_confirmed() {
    let lab = Lab::new();
    let setup = observing(&lab);
    let daemon = setup.start();
    for family in FAMILIES {
        assert_free(&daemon, scan(&lab, family));
    }
    let own = lab.source(Family::V4);
    let said = setup.say(&format!("setup --yes --ignore {own} --confirm-within 10m"));
    assert_eq!(said.code, 0, "{}{}", said.out, said.errors);
    for line in [format!("+ {own}"), "BLOCK_TCP: \"0\" -> \"1\"".into(), "within 10 min".into()] {
        assert!(said.out.contains(&line) || line == "within 10 min", "{line}: {}", said.out);
    }
    assert!(configuration(&setup).contains("BLOCK_TCP=\"1\"\n"));
    for family in FAMILIES {
        let source = scan(&lab, family);
        daemon.wait_for_block(source);
    }
    lab.nmap(own, "-sT -p 1,7,11,15 --max-retries 2");
    assert_free(&daemon, own);
    let again = setup.say("setup --yes");
    assert!(again.code == 1 && again.errors.contains("waits for confirmation already"), "{}", again.errors);
    let confirmed = setup.say("confirm");
    assert_eq!((confirmed.out.as_str(), confirmed.code), ("confirmed: the configuration stays\n", 0));
    assert!(!unconfirmed(&setup).exists());
    let again = setup.say("setup --yes");
    assert!(again.code == 0 && again.out.ends_with("armed already.\n"), "{}{}", again.out, again.errors);
    assert_eq!(setup.say("confirm").code, 1, "nothing waits any more");
    assert!(configuration(&setup).contains("BLOCK_TCP=\"1\"\n"));
}

#[test]
fn a_configuration_without_confirmation_is_rolled_back_in_time() {
    let lab = Lab::new();
    let setup = observing(&lab);
    let daemon = setup.start();
    let before = configuration(&setup);
    let said = setup.say("setup --yes --confirm-within 3s");
    assert_eq!(said.code, 0, "{}{}", said.out, said.errors);
    wait_until("the configuration is rolled back", || configuration(&setup) == before);
    wait_until("nothing waits any more", || !unconfirmed(&setup).exists());
    wait_until("the daemon observes again", || setup.say("status").out.contains("observing"));
    assert_free(&daemon, scan(&lab, Family::V4));
}

#[test]
fn a_roll_back_frees_the_sources_that_the_configuration_held() {
    let lab = Lab::new();
    let service = lab.serve_tcp(8080);
    let setup = observing(&lab);
    let daemon = setup.start();
    let before = configuration(&setup);
    let administrators = lab.source(Family::V6);
    assert_eq!(setup.say(&format!("block {administrators}")).code, 0);
    daemon.wait_for_block(administrators);
    assert_eq!(setup.say("setup --yes").code, 0);
    assert_ne!(configuration(&setup), before);
    let locked_out = scan(&lab, Family::V4);
    daemon.wait_for_block(locked_out);
    let said = setup.say("confirm --roll-back");
    assert!(
        said.code == 0 && said.out.ends_with("the configuration is as it was\n"),
        "{}{}",
        said.out,
        said.errors
    );
    assert_eq!(configuration(&setup), before);
    daemon.wait_until("the source is released", || !daemon.blocked().contains(&locked_out));
    assert!(service.answers(&lab.scanner, locked_out, Reach::Expected));
    assert!(daemon.blocked().contains(&administrators), "an administrator's block stays");
    assert!(!unconfirmed(&setup).exists());
    wait_until("nobody waits any more", || waiting(&setup.config_path()).is_empty());
    assert_free(&daemon, scan(&lab, Family::V4));
}

#[test]
fn a_configuration_that_nobody_waits_for_is_rolled_back_by_the_next_start() {
    let lab = Lab::new();
    let setup = observing(&lab);
    let daemon = setup.start();
    let before = configuration(&setup);
    assert_eq!(setup.say("setup --yes").code, 0);
    let config = setup.config_path();
    for process in waiting(&config) {
        assert!(Command::new("kill").args(["-9", &process]).status().expect("kill").success());
    }
    wait_until("the process is gone", || waiting(&config).is_empty());
    daemon.terminate();
    // Like the start of the service, but without writing the file again.
    let mut start = lab.host.command(binary());
    start.args(["-l", "stdout", "-stcp", "-i", "eth-none", "-c"]).arg(&config);
    let mut started = start.stdout(std::process::Stdio::null()).spawn().expect("a daemon");
    wait_until("the configuration is rolled back", || configuration(&setup) == before);
    wait_until("nothing waits any more", || !unconfirmed(&setup).exists());
    started.kill().expect("a process to end");
    started.wait().expect("its end");
}

/// Returns the processes that wait to roll back this configuration.
fn waiting(config: &Path) -> Vec<String> {
    let processes = fs::read_dir("/proc").expect("processes").flatten();
    let names = processes.filter_map(|process| process.file_name().into_string().ok());
    let is_waiting = |process: &String| {
        let line = fs::read_to_string(format!("/proc/{process}/cmdline")).unwrap_or_default();
        line.contains("--wait-for-confirmation") && line.contains(&*config.to_string_lossy())
    };
    names.filter(is_waiting).collect()
}

#[test]
fn logins_are_never_blocked_and_forwarded_ports_are_no_traps() {
    let lab = Lab::new();
    let setup = observing(&lab).with("TCP_PORTS", "1,7,11,15,79");
    let _daemon = setup.start();
    lab.host.run(
        "nft",
        &["add table ip nat; add chain ip nat prerouting { type nat hook prerouting priority -100; }; \
         add rule ip nat prerouting tcp dport { 7, 79 } dnat to 192.0.2.250:80"],
    );
    let login = lab.source(Family::V6);
    let mut command = lab.host.command(binary());
    command.args(["setup", "--yes", "--confirmed", "-c"]).arg(setup.config_path());
    let ended =
        command.env("SSH_CONNECTION", format!("{login} 50000 2001:db8::1 22")).output().expect("portsentry");
    let said = String::from_utf8_lossy(&ended.stdout);
    assert!(ended.status.success(), "{said}{}", String::from_utf8_lossy(&ended.stderr));
    assert!(
        said.contains(&format!("logged in    {login}")) && said.contains("traps: 7/TCP, 79/TCP"),
        "{said}"
    );
    assert!(configuration(&setup).contains("TCP_PORTS=\"1,11,15\"\n"));
    let ignored = fs::read_to_string(setup.path("IGNORE_FILE")).expect("an ignore file");
    // A client's IPv6 address changes.
    let IpAddr::V6(address) = login else { unreachable!("{login}") };
    let network = std::net::Ipv6Addr::from_bits(address.to_bits() >> 64 << 64);
    assert!(ignored.contains(&format!("{network}/64  # added by portsentry setup\n")), "{ignored}");
    assert!(!ignored.contains(&login.to_string()), "{ignored}");
    assert!(!unconfirmed(&setup).exists(), "--confirmed rolls nothing back");
}

/// Runs `portsentry setup` in a terminal, and types these lines.
fn typed(setup: &Portsentry<'_>, lines: &str) -> Said {
    let line = format!("{} -c {} setup", binary().display(), setup.config_path().display());
    // Ancestors may belong to an SSH session, whose peer would be asked about.
    let mut command = setup.lab().host.command("unshare");
    command.args([
        "--pid",
        "--fork",
        "--mount-proc",
        "sh",
        "-c",
        "printf \"$1\" | script --quiet --return --command \"$0\" /dev/null",
        &line,
        lines,
    ]);
    let ended = command.env_remove("SSH_CONNECTION").output().expect("a terminal");
    Said {
        out: String::from_utf8_lossy(&ended.stdout).into_owned(),
        errors: String::from_utf8_lossy(&ended.stderr).into_owned(),
        code: ended.status.code().expect("no signal"),
    }
}

#[test]
fn questions_are_asked_in_a_terminal() {
    let lab = Lab::new();
    let setup = observing(&lab);
    let _daemon = setup.start();
    let before = configuration(&setup);
    let silent = setup.say("setup");
    assert!(silent.code == 2 && silent.errors.contains("use --yes"), "{}", silent.errors);
    let refused = typed(&setup, "\\nn\\n");
    assert!(refused.code == 0 && refused.out.contains("Nothing was changed."), "{}", refused.out);
    assert_eq!(configuration(&setup), before);
    let armed = typed(&setup, "eth0\\nperhaps\\ny\\n");
    assert!(
        armed.code == 0 && armed.out.contains("Answer y or n.") && armed.out.contains("Armed."),
        "{}",
        armed.out
    );
    assert!(configuration(&setup).contains("INTERFACES=\"eth0\"\n"));
    assert_eq!(setup.say("confirm").code, 0);
}

#[test]
fn a_configuration_with_errors_is_left_alone() {
    let lab = Lab::new();
    let setup = observing(&lab).with("BLOCK_TCP", "perhaps");
    setup.write();
    fs::write(setup.path("IGNORE_FILE"), "").expect("an ignore file");
    let before = configuration(&setup);
    let said = setup.say("setup --yes");
    assert!(said.code == 3 && said.errors.contains("nothing was changed"), "{}", said.errors);
    assert_eq!(configuration(&setup), before);
}
