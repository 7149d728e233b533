//! `check` knows what the service will do, and what this machine lacks for it.

use std::fs;

use portsentry_tests::lab::{Lab, Portsentry, Said, binary};

/// The lab's `/etc` in place of the machine's.
const MOUNTS: &str = "mount --bind \"$1/etc\" /etc; shift; exec \"$@\"";

/// Runs `portsentry WORDS` on a machine whose `/etc` holds a configuration and the service's flags.
fn say_with_service(lab: &Lab, flags: &str, words: &[&str]) -> Said {
    let etc = lab.files().join("etc");
    for directory in ["portsentry", "default"] {
        fs::create_dir_all(etc.join(directory)).expect("a directory");
    }
    fs::write(etc.join("portsentry/portsentry.conf"), "TCP_PORTS=\"11\"\nUDP_PORTS=\"7\"\n").expect("a file");
    fs::write(etc.join("portsentry/portsentry.ignore"), "").expect("a file");
    fs::write(etc.join("default/portsentry"), flags).expect("a file");
    let mut command = lab.host.command("unshare");
    command.args(["--mount", "sh", "-euc", MOUNTS, "sh"]).arg(lab.files()).arg(binary()).args(words);
    let ended = command.output().expect("unshare");
    let [out, errors] = [ended.stdout, ended.stderr].map(|text| String::from_utf8(text).expect("UTF-8"));
    Said { out, errors, code: ended.status.code().expect("no signal") }
}

#[test]
fn the_services_flags_are_those_that_count() {
    let lab = Lab::new();
    let flags = "TCP_MODE=\"atcp\"\nUDP_MODE=\"audp\"\nOPTIONS=\"-i eth0\"\n";
    let said = say_with_service(&lab, flags, &["check"]);
    assert_eq!(said.code, 0, "{}", said.errors);
    for text in ["-atcp -audp -i eth0 (from /etc/default/portsentry)", "TCP 1-1023", "interfaces   eth0"] {
        assert!(said.out.contains(text), "{text} isn't in\n{}", said.out);
    }
    // Flags of one's own take precedence.
    let said = say_with_service(&lab, flags, &["-stcp", "check"]);
    assert!(said.out.contains("TCP 11\n") && !said.out.contains("service"), "{}", said.out);
    let said = say_with_service(&lab, "TCP_MODE=\"xtcp\"\n", &["check"]);
    assert_eq!(said.code, 3, "{}", said.out);
    assert!(said.errors.contains("/etc/default/portsentry: "), "{}", said.errors);
}

#[test]
fn what_the_machine_lacks_is_a_warning_and_an_error_with_strict() {
    let lab = Lab::new();
    let right = lab.portsentry("-stcp").with("INTERFACES", "eth0");
    let check = |setup: &Portsentry<'_>, words: &str| {
        setup.command();
        setup.say(words)
    };
    let said = check(&right, "-stcp check --strict");
    assert_eq!((said.code, said.errors.as_str()), (0, ""), "{}", said.out);
    for (key, value, text) in [
        ("KILL_RUN_CMD", "/no/such/program $TARGET$", "KILL_RUN_CMD: there is no program /no/such/program"),
        ("INTERFACES", "eth0,eth7", "interface eth7 does not exist"),
        ("RUN_AS", "no-such-user", "there is no user no-such-user"),
        ("CONTROL_GROUP", "no-such-group", "there is no group no-such-group"),
        ("PIN_PATH", "/tmp/pins", "PIN_PATH /tmp/pins is not on bpffs"),
        ("TCP_PORTS", "", "no TCP port is watched"),
    ] {
        let setup = right.clone().with(key, value);
        let said = check(&setup, "-stcp check");
        assert_eq!(said.code, 0, "{text}: {}", said.errors);
        assert!(said.errors.contains(text), "{text} isn't in\n{}", said.errors);
        let said = check(&setup, "-stcp check --strict");
        assert_eq!(said.code, 3, "{text}: {}", said.out);
        assert!(said.errors.contains(text), "{text} isn't in\n{}", said.errors);
        let json = check(&setup, "-stcp check --strict --json");
        assert_eq!((json.code, &json.json()["is_right"]), (3, &false.into()), "{}", json.out);
        assert!(json.json()["errors"].to_string().contains(text), "{}", json.out);
    }
}

#[test]
fn a_line_that_was_meant_to_arm_is_no_warning() {
    let lab = Lab::new();
    for line in [
        "BLOK_TCP=\"1\"",
        "BLOCK_TCP=\"yes\"",
        "BLOCK_TCP=\u{201c}1\u{201d}",
        "BLOCK_TCP=1",
        "BLOCK_TCP \"1\"",
    ] {
        let setup = lab.portsentry("-stcp").without("BLOCK_TCP");
        setup.command();
        let conf = setup.config_path();
        let text = fs::read_to_string(&conf).expect("a configuration");
        fs::write(&conf, format!("{text}{line}\n")).expect("a configuration");
        let said = setup.say("-stcp check");
        assert_eq!(said.code, 3, "{line}: {}{}", said.out, said.errors);
        assert!(said.errors.contains("error") && said.errors.contains(line), "{line}: {}", said.errors);
        let ended = lab.portsentry("-stcp").with_config(&format!("{text}{line}\n")).fail();
        assert_eq!(ended.code, Some(3), "{line}: {}", ended.text());
    }
}

#[test]
fn the_choice_of_interfaces_is_shown_before_it_is_made() {
    const REASON: &str = "the host's end of a container's veth pair, without an address";
    let lab = Lab::new();
    lab.host.ip(&format!("link add eth1 type veth peer name eth1 netns {}", lab.scanner.name()));
    let setup = lab.portsentry("-stcp -i ALL_NLO");
    setup.command();
    let said = setup.say("-stcp -i ALL_NLO check");
    assert_eq!(said.code, 0, "{}", said.errors);
    let said = said.out;
    for line in [
        "  interfaces   all but loopback\n  interfaces   watched now: eth0\n",
        &format!("  interfaces   not watched: eth1 ({REASON})\n"),
        "  interfaces   not watched: lo (INTERFACES leaves it out)\n",
    ] {
        assert!(said.contains(line), "{line}: {said}");
    }
    let daemon = setup.start();
    let log = daemon.log().lines();
    let place = |text: &str| {
        let at = log.iter().position(|line| line.contains(text));
        at.unwrap_or_else(|| panic!("{text}: {log:#?}"))
    };
    let chosen = place("Interfaces by INTERFACES=\"ALL_NLO\": eth0; not watched: ");
    assert!(log[chosen].contains("eth1") && log[chosen].contains("lo"), "{}", log[chosen]);
    assert!(chosen < place("eth0: native XDP") && chosen < place(&format!("eth1: not watched: {REASON}")));
    let said = setup.say("-i ALL_NLO setup --yes --confirmed");
    assert!(said.out.contains("watched      eth0\n"), "{}{}", said.out, said.errors);
    assert!(said.out.contains(&format!("eth1: {REASON}\n")), "{}", said.out);
}
