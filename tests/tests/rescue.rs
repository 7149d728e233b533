//! The commands that show and lift blocks work with any configuration file: broken, missing or not trusted.

use std::{
    fs,
    net::IpAddr,
    os::unix::fs::PermissionsExt,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use portsentry_tests::lab::{Family, Lab, Portsentry, Said, binary};
use serde_json::Value;

/// Asserts that each command does its work for `source`, which is blocked, and frees it in the end.
fn assert_rescues(say: impl Fn(&str) -> Said, source: IpAddr, what: &str) {
    let done = |words: &str, code: i32, text: &str| {
        let said = say(words);
        let all = format!("{what}: portsentry {words}: {}\n{}{}", said.code, said.out, said.errors);
        assert_eq!(said.code, code, "{all}");
        assert!(said.out.contains(text), "{text} isn't in\n{all}");
        said
    };
    let address = source.to_string();
    done("list", 0, &address);
    done("list --json", 0, &address);
    done("status", 0, "attached to eth0");
    done(&format!("why {source}"), 0, "blocked: all its packets are dropped");
    done("history", 0, "");
    done("top --once", 0, "attached to eth0");
    done(&format!("explain {source} 8443"), 0, "dropped: its source is blocked");
    // It reports the file as a problem, and continues with all other checks.
    let doctor = done("doctor", 1, "problem   files");
    assert!(doctor.out.contains("is on bpffs"), "{what}: {}", doctor.out);
    done(&format!("block {source} --for 2h"), 0, &address);
    done(&format!("unblock {source}"), 0, &format!("{source}: unblocked"));
    done("list --state blocked", 0, "no source is blocked or fenced");
}

/// Asserts that standard error names the problem, and that the command continues.
fn assert_warns(said: &Said, problem: &str) {
    assert!(said.errors.contains(problem), "{problem} isn't in\n{}", said.errors);
    assert!(said.errors.contains("continuing with all that is valid"), "{}", said.errors);
}

/// The kernel detaches the program a moment after its link's last pin is gone.
fn assert_detached(lab: &Lab) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while lab.is_attached() {
        assert!(Instant::now() < deadline, "the program is still attached");
        thread::sleep(Duration::from_millis(20));
    }
}

fn blocked(lab: &Lab, setup: &Portsentry<'_>) -> IpAddr {
    let source = lab.source(Family::V4);
    let said = setup.say(&format!("block {source}"));
    assert_eq!(said.code, 0, "{}", said.errors);
    source
}

#[test]
fn a_broken_configuration_takes_no_command_away() {
    let lab = Lab::new();
    let setup = lab.portsentry("-stcp");
    let daemon = setup.start();
    let [conf, ignore, list] =
        ["portsentry.conf", "portsentry.ignore", "blocklist"].map(|name| lab.files().join(name));
    let right = fs::read_to_string(&conf).expect("a configuration");
    let listed = format!("{right}BLOCK_LIST=\"{}\"\n", list.display());
    let lines = right.lines().count();
    let breaks = |which: usize| -> String {
        let (text, problem): (Vec<u8>, String) = match which {
            0 => (format!("{right}CHALLENGE=\"yes\"\n").into(), format!("portsentry.conf:{}:", lines + 1)),
            1 => (format!("TCP_PORTS=\"1,70000\"\n{right}").into(), "portsentry.conf:1:14: error".into()),
            2 => (format!("MAX_BLOCKED=\"12\n{right}").into(), "portsentry.conf:1:13: error".into()),
            3 => ([b"# caf\xe9\n", right.as_bytes()].concat(), "portsentry.conf:1: not UTF-8".into()),
            4 => {
                fs::write(&ignore, "192.0.2.0/33\n").expect("an ignore file");
                (right.clone().into(), "portsentry.ignore:1:11: error".into())
            }
            _ => {
                fs::write(&list, "all of them\n").expect("a list");
                (listed.clone().into(), "blocklist:1:1: error".into())
            }
        };
        fs::write(&conf, text).expect("a configuration");
        problem
    };
    for which in 0..6 {
        fs::write(&conf, &right).expect("a configuration");
        fs::write(&ignore, "").expect("an ignore file");
        let source = blocked(&lab, &setup);
        let problem = breaks(which);
        let words = if which < 4 { "list" } else { "unblock 198.51.100.1" };
        assert_warns(&setup.say(words), &problem);
        assert_rescues(|words| setup.say(words), source, &problem);
        daemon.wait_until("the daemon has let go of it", || !daemon.blocked().contains(&source));
    }
    // Without a daemon.
    fs::write(&conf, &right).expect("a configuration");
    let source = blocked(&lab, &setup);
    daemon.kill();
    let problem = breaks(0);
    assert_rescues(|words| setup.say(words), source, "without a daemon");
    let down = setup.say("down");
    assert_eq!(down.code, 0, "{}", down.errors);
    assert_warns(&down, &problem);
    assert!(!lab.pins().exists(), "{}", down.out);
    assert_detached(&lab);
}

#[test]
fn without_a_configuration_file_commands_use_the_defaults() {
    const CONFIG: &str = "TCP_PORTS=\"11\"\nIGNORE_FILE=\"/etc/portsentry/portsentry.ignore\"\nINTERFACES=\"eth0\"\n\
                          BLOCK_TCP=\"1\"\n";
    type Break = fn(&Path);
    let breaks: [(&str, Break); 3] = [
        ("No such file", |path| fs::remove_file(path).expect("it was there")),
        ("is not a regular file", |path| {
            fs::remove_file(path).expect("it was there");
            fs::create_dir(path).expect("a directory");
        }),
        ("is world-writable", |path| {
            fs::set_permissions(path, fs::Permissions::from_mode(0o666)).expect("a mode");
        }),
    ];
    for (problem, damage) in breaks {
        let lab = Lab::new();
        let daemon = lab.portsentry("-stcp -l stdout").installed(CONFIG).start();
        let say = |words: &str| {
            let mut command = lab.host.command("nsenter");
            command.arg(format!("--mount=/proc/{}/ns/mnt", daemon.process())).arg(binary());
            let ended = command.args(words.split(' ')).output().expect("nsenter");
            let [out, errors] =
                [ended.stdout, ended.stderr].map(|text| String::from_utf8(text).expect("UTF-8"));
            Said { out, errors, code: ended.status.code().expect("no signal") }
        };
        let source = lab.source(Family::V4);
        assert_eq!(say(&format!("block {source}")).code, 0);
        damage(&lab.files().join("etc/portsentry/portsentry.conf"));
        assert_warns(&say("list"), problem);
        assert_warns(
            &say("status"),
            "PIN_PATH /sys/fs/bpf/portsentry (--pin-path), CONTROL_SOCKET /run/portsentry/control.sock \
                 (--control-socket)",
        );
        assert_rescues(say, source, problem);
        let down = say("down");
        assert_eq!(down.code, 0, "{problem}: {}{}", down.out, down.errors);
        assert_detached(&lab);
    }
}

/// The lab's daemon uses neither of the default paths.
#[test]
fn without_a_readable_configuration_the_paths_are_given_on_the_command_line() {
    let lab = Lab::new();
    let setup = lab.portsentry("-stcp");
    let daemon = setup.start();
    let source = blocked(&lab, &setup);
    fs::set_permissions(setup.config_path(), fs::Permissions::from_mode(0o666)).expect("a mode");
    let paths = |words: &str| {
        format!(
            "{words} --pin-path {} --control-socket {}",
            lab.pins().display(),
            setup.setting("CONTROL_SOCKET")
        )
    };
    let list = setup.say("list");
    assert!(!list.out.contains(&source.to_string()), "the defaults are other paths: {}", list.out);
    assert_warns(&list, "(--pin-path)");
    assert_rescues(|words| setup.say(&paths(words)), source, "paths on the command line");
    daemon.wait_until("the daemon has let go of it", || !daemon.blocked().contains(&source));
    // Without a daemon, the maps are enough.
    assert_eq!(setup.say(&paths(&format!("block {source}"))).code, 0);
    daemon.kill();
    let said = setup.say(&format!("unblock {source} --pin-path {}", lab.pins().display()));
    assert_eq!(said.code, 0, "{}{}", said.out, said.errors);
    assert!(maps_are_free(&lab), "{}", said.out);
    let down = setup.say(&format!("down --pin-path {}", lab.pins().display()));
    assert_eq!(down.code, 0, "{}", down.errors);
    assert_detached(&lab);
}

fn maps_are_free(lab: &Lab) -> bool {
    let list = lab
        .host
        .run(&binary().display().to_string(), &["list", "--pin-path", &lab.pins().display().to_string()]);
    list.contains("no source is blocked or fenced")
}

#[test]
fn a_reload_returns_when_the_new_configuration_is_in_effect() {
    let lab = Lab::new();
    let setup = lab.portsentry("-stcp");
    let none = {
        setup.command();
        setup.say("reload")
    };
    assert_eq!(none.code, 1, "{}", none.errors);
    assert!(none.errors.contains("no daemon runs"), "{}", none.errors);

    let daemon = setup.start();
    let sessions =
        |setup: &Portsentry<'_>| -> Value { setup.say("status --json").json()["maps"]["ports"].clone() };
    setup.clone().with("TCP_PORTS", "1,7").write();
    let said = setup.say("reload");
    assert_eq!((said.out.as_str(), said.code), ("configuration reloaded\n", 0), "{}", said.errors);
    assert_eq!(sessions(&setup)["tcp"], 2, "at once");

    // The daemon refuses an invalid one, and names its line.
    setup.clone().with("TCP_PORTS", "1,70000").write();
    let said = setup.say("reload");
    assert_eq!(said.code, 3, "{}{}", said.out, said.errors);
    for text in ["TCP_PORTS=\"1,70000\"", "70000", "the old one stays in effect"] {
        assert!(said.errors.contains(text), "{text} isn't in\n{}", said.errors);
    }
    assert_eq!(sessions(&setup)["tcp"], 2);

    // It also refuses one that can't be applied.
    let precious = lab.files().join("not-bpffs").display().to_string();
    setup.clone().with("PIN_PATH", &precious).write();
    let said = setup.say("reload");
    assert_eq!(said.code, 3, "{}{}", said.out, said.errors);
    assert!(said.errors.contains("not on bpffs"), "{}", said.errors);

    // The socket's path may change, and the socket may be switched off.
    let moved = lab.files().join("run/other.sock").display().to_string();
    let moved = setup.clone().with("TCP_PORTS", "1").with("CONTROL_SOCKET", &moved);
    moved.write();
    let said = moved.say("reload");
    assert_eq!((said.out.as_str(), said.code), ("configuration reloaded\n", 0), "{}", said.errors);
    assert_eq!(sessions(&moved)["tcp"], 1);
    let off = moved.clone().with("TCP_PORTS", "1,7,11").with("CONTROL_SOCKET", "off");
    off.write();
    let said = off.say("reload");
    assert_eq!(said.code, 0, "{}", said.errors);
    assert!(said.out.contains("SIGHUP sent"), "{}", said.out);
    daemon.wait_until("the new ports are watched", || sessions(&off)["tcp"] == 3);
    off.clone().with("TCP_PORTS", "none").write();
    let said = off.say("reload");
    assert_eq!(said.code, 3, "{}", said.errors);
    assert!(said.errors.contains("portsentry.conf:"), "{}", said.errors);
}
