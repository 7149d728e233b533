//! The commands with a running daemon, with a killed one, and without one.

use std::{ffi::OsString, fs, net::IpAddr, os::unix::fs::PermissionsExt, path::Path, process::Command};

use portsentry::cli::Cli;
use portsentry_tests::{
    document,
    lab::{FAMILIES, Family, INTERFACE, Lab, Portsentry, Reach, Said, binary},
};
use serde_json::Value;

/// Runs `portsentry WORDS` with this configuration.
fn say(setup: &Portsentry<'_>, words: &str) -> Said {
    setup.say(words)
}

/// Returns the entry of `source` in a list.
fn entry(setup: &Portsentry<'_>, words: &str, source: IpAddr) -> Option<Value> {
    let listed = say(setup, words).json();
    let mut entries = listed.as_array().expect("a list").iter();
    entries.find(|entry| entry["address"] == source.to_string()).cloned()
}

#[test]
fn lists_and_status_are_true_with_the_daemon_alive_dead_and_stopped() {
    let lab = Lab::new();
    let setup = lab.portsentry("-stcp");
    let daemon = setup.start();
    let sources = FAMILIES.map(|family| lab.source(family));
    for source in sources {
        lab.nmap(source, "-sS -p 11");
        daemon.wait_for_block(source);
        let entry = entry(&setup, "list --json", source).expect("it is listed");
        assert_eq!(
            (
                &entry["state"],
                &entry["port"],
                &entry["protocol"],
                &entry["kind"],
                &entry["until"],
                &entry["hits"]
            ),
            (
                &"blocked".into(),
                &11.into(),
                &"TCP".into(),
                &"TCP SYN/Normal scan".into(),
                &Value::Null,
                &1.into()
            )
        );
    }
    let alive = say(&setup, "status --json");
    let status = alive.json();
    assert_eq!((alive.code, &status["daemon"]), (0, &daemon.process().into()));
    assert_eq!(status["interfaces"][0]["name"], INTERFACE);
    assert_eq!(status["maps"]["counters"]["probes"], daemon.counter("probes"));
    assert_eq!(
        (&status["maps"]["blocked"]["ipv4"], &status["maps"]["blocked"]["ipv6"]),
        (&1.into(), &1.into())
    );
    let table = say(&setup, "list --sort address").out;
    assert!(table.starts_with("ADDRESS") && table.lines().count() == 3, "{table}");

    daemon.kill();
    let dead = say(&setup, "status --json");
    assert_eq!((dead.code, &dead.json()["daemon"]), (0, &Value::Null), "the kernel goes on");
    let dropped =
        |source| entry(&setup, "list --json", source).expect("it is still listed")["dropped"].as_u64();
    for source in sources {
        let before = dropped(source);
        lab.nmap(source, "-sS -p 12");
        assert!(dropped(source) > before, "what is dropped meanwhile is counted for {source}");
    }

    let daemon = setup.start();
    daemon.settle();
    let ended = daemon.terminate();
    assert_eq!(ended.code, Some(0), "{}", ended.text());
    let stopped = say(&setup, "status");
    assert_eq!(stopped.code, 1, "{}", stopped.out);
    assert!(stopped.out.starts_with("enforcement  attached to no interface\n"), "{}", stopped.out);
}

#[test]
fn looking_keeps_no_daemon_from_starting() {
    let lab = Lab::new();
    let setup = lab.portsentry("-stcp");
    setup.command();
    let said = say(&setup, "list");
    assert_eq!((said.out.as_str(), said.code), ("no source is blocked or fenced\n", 0));
    assert!(!Path::new(setup.setting("PIN_PATH")).exists(), "looking makes nothing");
    assert_eq!(say(&setup, "status").code, 1);
}

#[test]
fn who_is_fenced_is_listed_as_fenced() {
    let lab = Lab::new();
    let setup = lab.portsentry("-stcp").with("BLOCK_UNPROVEN", "0").with("FENCE_TIME", "600");
    let _daemon = setup.start();
    let [fenced, blocked] = [lab.source(Family::V4), lab.source(Family::V4)];
    lab.nmap(fenced, "-sF -p 7");
    assert_eq!(say(&setup, &format!("block {blocked}")).code, 0);
    let found = entry(&setup, "list --json --state fenced", fenced).expect("it is listed");
    assert_eq!((&found["state"], &found["proof"]), (&"fenced".into(), &"none".into()));
    assert!(found["until"].is_string(), "{found}");
    assert_eq!(entry(&setup, "list --json --state fenced", blocked), None);
    assert_eq!(entry(&setup, "list --json --state blocked", fenced), None);
    assert_eq!(entry(&setup, &format!("list --json --network {blocked}"), fenced), None);
}

#[test]
fn a_running_daemon_follows_block_and_unblock() {
    let lab = Lab::new();
    let service = lab.serve_tcp(8080);
    let setup = lab.portsentry("-stcp");
    let daemon = setup.start();
    for source in FAMILIES.map(|family| lab.source(family)) {
        let blocked = say(&setup, &format!("block {source}"));
        assert_eq!((blocked.out, blocked.code), (format!("{source}: blocked\n"), 0));
        daemon.wait_until("the kernel follows", || daemon.blocked().contains(&source));
        assert!(!service.answers(&lab.scanner, source, Reach::Unexpected));
        let found = entry(&setup, "list --json", source).expect("it is listed");
        assert_eq!((&found["proof"], &found["port"]), (&"administrator".into(), &Value::Null));
        daemon
            .wait_until("hosts.deny follows", || !daemon.file_about("WRAPPER_HOSTS_DENY", source).is_empty());

        let freed = say(&setup, &format!("unblock {source}"));
        assert_eq!((freed.out, freed.code), (format!("{source}: unblocked\n"), 0));
        daemon.wait_until("the kernel follows", || !daemon.blocked().contains(&source));
        assert!(service.answers(&lab.scanner, source, Reach::Expected));
    }
}

#[test]
fn programs_are_told_what_a_block_and_an_unblock_changed() {
    let lab = Lab::new();
    let list = lab.files().join("list");
    fs::write(&list, "").expect("a block list");
    let setup = lab.portsentry("-stcp").with("BLOCK_LIST", &list.display().to_string());
    let [source, other] = FAMILIES.map(|family| lab.source(family).to_string());
    let network = "198.51.100.0/24";
    let told = |words: &str, changed: &[&str], unchanged: &[&str], code| {
        let said = say(&setup, words);
        let expected = serde_json::json!({"changed": changed, "unchanged": unchanged});
        assert_eq!((said.json(), said.code), (expected, code), "{words}: {}", said.errors);
    };
    let daemon = setup.start();
    told(&format!("block --json {source}"), &[&source], &[], 0);
    told(&format!("block --json {source} {other} {network}"), &[&other, network], &[&source], 0);
    told(&format!("block --json {source} {}", Family::V4.host()), &[], &[], 1);
    daemon.kill();
    told(&format!("unblock --json {source} {network}"), &[&source, network], &[], 0);
    told(&format!("unblock --json {source} {other}"), &[&other], &[&source], 0);
}

#[test]
fn what_is_asked_while_no_daemon_runs_is_done_at_once() {
    let lab = Lab::new();
    let service = lab.serve_tcp(8080);
    let setup = lab.portsentry("-stcp");
    let daemon = setup.start();
    let [freed, added] = [lab.source(Family::V4), lab.source(Family::V6)];
    lab.nmap(freed, "-sS -p 11");
    daemon.wait_for_block(freed);
    daemon.wait_until("hosts.deny follows", || !daemon.file_about("WRAPPER_HOSTS_DENY", freed).is_empty());
    daemon.kill();
    let said = say(&setup, &format!("unblock {freed}"));
    assert!(said.code == 0 && said.out.contains("unblocked (no daemon is running)"), "{}", said.out);
    assert!(service.answers(&lab.scanner, freed, Reach::Expected));
    let said = say(&setup, &format!("block {added}"));
    assert!(said.code == 0 && said.out.contains("blocked (no daemon is running;"), "{}", said.out);
    assert!(!service.answers(&lab.scanner, added, Reach::Unexpected));
    let daemon = setup.start();
    assert_eq!(daemon.blocked(), [added]);
    daemon.wait_until("hosts.deny follows", || !daemon.file_about("WRAPPER_HOSTS_DENY", added).is_empty());
    assert_eq!(daemon.file_about("WRAPPER_HOSTS_DENY", freed), [""; 0]);
}

#[test]
fn whom_hosts_deny_named_before_it_names_after_an_unblock_without_a_daemon() {
    let lab = Lab::new();
    let setup = lab.portsentry("-stcp");
    let [theirs, ours] = FAMILIES.map(|family| lab.source(family));
    let line = format!("ALL: {theirs} : DENY\n");
    fs::write(setup.path("WRAPPER_HOSTS_DENY"), &line).expect("an administrator's line");
    let daemon = setup.start();
    for source in [theirs, ours] {
        lab.nmap(source, "-sS -p 11");
    }
    daemon.wait_for_block(ours);
    daemon.wait_until("both are in the file", || daemon.file("BLOCKED_FILE").len() == 2);
    daemon.terminate();
    let said = say(&setup, &format!("unblock {theirs} {ours}"));
    assert_eq!(said.code, 0, "{}", said.out);
    let left = fs::read_to_string(setup.path("WRAPPER_HOSTS_DENY")).expect("it is there");
    assert_eq!(left, line);
}

#[test]
fn who_is_never_blocked_is_refused_and_nothing_else_is_done() {
    let lab = Lab::new();
    let ignored = lab.source(Family::V4);
    let setup = lab.portsentry("-stcp").ignoring(ignored);
    let daemon = setup.start();
    let other = lab.source(Family::V4);
    for (refused, why) in [
        (Family::V4.host(), "it is an address of this host"),
        (Family::V6.host(), "it is an address of this host"),
        (ignored, "ignores"),
        ([127, 0, 0, 1].into(), "can't be the address of another host"),
        ([224, 0, 0, 5].into(), "can't be the address of another host"),
    ] {
        let said = say(&setup, &format!("block {other} {refused}"));
        assert_eq!((said.out.as_str(), said.code), ("", 1));
        assert!(said.errors.contains(&refused.to_string()) && said.errors.contains(why), "{}", said.errors);
    }
    assert_eq!(daemon.file("BLOCKED_FILE"), [""; 0]);
    assert_eq!(daemon.blocked(), [] as [IpAddr; 0]);
    let said = say(&setup, &format!("unblock {other}"));
    assert!(said.code == 0 && said.out.contains("is not blocked"), "{}", said.out);
}

#[test]
fn the_history_is_read_in_both_formats() {
    let lab = Lab::new();
    let mut setup = lab.portsentry("-stcp");
    let sources = ["classic", "revival"].map(|format| {
        setup = setup.clone().with("LOG_FORMAT", format);
        let daemon = setup.start();
        let source = lab.source(Family::V4);
        lab.nmap(source, "-sS -p 11");
        daemon.wait_until("the history follows", || !daemon.file_about("HISTORY_FILE", source).is_empty());
        daemon.terminate();
        source
    });
    for source in sources {
        let found = entry(&setup, "history --json", source).expect("it is in the history");
        assert_eq!(
            (&found["port"], &found["protocol"], &found["action"]),
            (&11.into(), &"TCP".into(), &"blocked".into())
        );
        let only = say(&setup, &format!("history --json --address {source}")).json();
        assert_eq!(only.as_array().map(Vec::len), Some(1), "{only}");
    }
    for source in sources {
        let words = format!("history --json --kind syn --address {source}");
        let found = entry(&setup, &words, source).expect("its kind is known, whatever the line says");
        assert_eq!((&found["proof"], &found["action"]), (&"none".into(), &"blocked".into()), "{found}");
    }
    assert_eq!(say(&setup, "history --json --kind xmas").json(), Value::Array(Vec::new()));
    assert_eq!(say(&setup, "history --json --since 1h").json().as_array().map(Vec::len), Some(2));
    assert_eq!(say(&setup, "history --json --since 2100-01-01").json(), Value::Array(Vec::new()));
    assert_eq!(say(&setup, "history").out.lines().count(), 3);
}

#[test]
fn programs_are_told_what_a_check_and_a_frame_show() {
    let lab = Lab::new();
    let setup = lab.portsentry("-stcp");
    let daemon = setup.start();
    let source = lab.source(Family::V4);
    lab.nmap(source, "-sS -p 11");
    daemon.wait_for_block(source);
    let frame = say(&setup, "top --once --json").json();
    assert_eq!(frame["interfaces"], serde_json::json!([INTERFACE]), "{frame}");
    assert_eq!(frame["daemon"], daemon.process(), "{frame}");
    assert_eq!(frame["sources"][0]["address"], source.to_string(), "{frame}");
    assert_eq!(say(&setup, "top --json").code, 2, "a frame is asked for");
    let checked = say(&setup, "check --json").json();
    assert_eq!((&checked["is_right"], &checked["errors"]), (&true.into(), &Value::Array(Vec::new())));
    let ports = serde_json::json!({"about": "watched", "what": "TCP 1,7,11,15,79-80,111,119,143"});
    assert!(checked["means"].as_array().expect("a list").contains(&ports), "{checked}");
    setup.with("BLOCK_TCP", "7").write();
    let said = daemon.setup().say("check --json");
    let checked = said.json();
    assert_eq!((said.code, &checked["is_right"]), (3, &false.into()), "{checked}");
    assert!(checked["errors"].to_string().contains("BLOCK_TCP"), "{checked}");
}

#[test]
fn who_may_not_look_is_told_so() {
    let lab = Lab::new();
    let setup = lab.portsentry("-stcp");
    let _daemon = setup.start();
    // All users can read the program and the configuration, as after an installation.
    fs::set_permissions(lab.files(), fs::Permissions::from_mode(0o755)).expect("a directory for everybody");
    let program = lab.files().join("portsentry");
    // Copied in a separate process: concurrently started processes would inherit the file while it is open for
    // writing.
    let copied = Command::new("cp").arg(binary()).arg(&program).status();
    assert!(copied.is_ok_and(|copied| copied.success()), "a copy of the program");
    for words in ["list", "status", "why 192.0.2.9", "top --once"] {
        let mut command = lab.host.command("setpriv");
        command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]).arg(&program);
        command.arg("-c").arg(setup.config_path());
        let ended = command.args(words.split(' ')).output().expect("setpriv of util-linux");
        let said = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.code(), Some(4), "{words}: {said}");
        assert!(said.contains("only root can read the pinned maps here"), "{words}: {said}");
    }
}

#[test]
fn a_block_for_a_time_has_its_reason_and_ends() {
    let lab = Lab::new();
    let service = lab.serve_tcp(8080);
    let setup = lab.portsentry("-stcp");
    let daemon = setup.start();
    let assert_blocked_for_a_while = |source: IpAddr| {
        let source_text = source.to_string();
        let said = setup.say_words(&["block", &source_text, "--for", "2s", "--reason", "a b"]);
        assert_eq!(said.code, 0, "{said:?}");
        let held = entry(&setup, "list --json", source).expect("it is listed");
        assert_eq!((&held["reason"], &held["proof"]), (&"a b".into(), &"administrator".into()), "{held}");
        assert!(held["until"].is_string(), "{held}");
        let why = say(&setup, &format!("why {source}")).out;
        assert!(why.contains("a b") && !why.contains("for good"), "{why}");
    };
    let let_in = |source: IpAddr| service.answers(&lab.scanner, source, Reach::Expected);
    let sources = FAMILIES.map(|family| lab.source(family));
    assert_blocked_for_a_while(sources[0]);
    daemon.log().wait_for(&format!("Host {} is no longer blocked: its time is over", sources[0]));
    assert!(let_in(sources[0]), "its time is over");
    daemon.kill();
    assert_blocked_for_a_while(sources[1]);
    assert!(let_in(sources[1]), "the kernel knows the time without a daemon");
}

#[test]
fn the_doctor_tells_what_is_in_the_way() {
    let lab = Lab::new();
    let setup = lab.portsentry("-stcp").with("INTERFACES", INTERFACE);
    setup.command();
    let healthy = say(&setup, "doctor");
    assert_eq!(healthy.code, 0, "{}", healthy.out);
    for line in
        ["no XDP program is attached", "driver veth: runs XDP natively", "type information (BTF) is present"]
    {
        assert!(healthy.out.contains(line), "{line}\n{}", healthy.out);
    }
    let challenging = setup.clone().with("CHALLENGE", "1").with("XDP_MODE", "native");
    challenging.command();
    assert!(say(&challenging, "doctor").out.contains("are lost unless the other end runs"));

    let other = setup.clone().with("PIN_PATH", &lab.other_pins().display().to_string());
    let daemon = other.start();
    let own = say(&other, "doctor");
    assert!(own.code == 0 && own.out.contains("already runs portsentry's program, natively"), "{}", own.out);
    setup.command();
    let occupied = say(&setup, "doctor --json");
    assert_eq!(occupied.code, 1);
    let problems = occupied.json();
    let problems =
        problems.as_array().expect("a list").iter().filter(|finding| finding["level"] == "problem");
    let problems: Vec<_> = problems.map(|finding| finding["what"].as_str().unwrap_or_default()).collect();
    assert!(problems.len() == 1 && problems[0].contains("another XDP program"), "{problems:?}");
    daemon.terminate();

    // The other interface exists.
    let missing = say(&setup, "-i nowhere0 -i eth0 doctor --json").out;
    assert!(missing.contains("no such interface: it will be watched once it exists"), "{missing}");
    let none = say(&setup, "-i nowhere0 doctor");
    assert!(none.code == 1 && none.out.contains("no interface to watch yet"), "{}", none.out);
}

/// A script for each shell that completes `un`. Its first argument is the completion script.
const BASH: &str = r#". "$0"; COMP_WORDS=(portsentry un); COMP_CWORD=1
_portsentry portsentry un portsentry; printf '%s\n' "${COMPREPLY[@]}""#;
const FISH: &str = r#"source $argv[1]; complete --do-complete "portsentry un""#;
const ZSH: &str = r#"zmodload zsh/zpty; zpty z zsh -f -i
zpty -w z "PS1=; autoload -Uz compinit; compinit -u -D; . $0; compdef _portsentry portsentry; echo re''ady"
zpty -r -m z answer '*ready*'
zpty -w -n z $'portsentry un\t'; zpty -r -m z answer '*unblock*'; print -r -- $answer; zpty -d z"#;

#[test]
fn completions_are_scripts_of_their_shell() {
    let lab = Lab::new();
    let setup = lab.portsentry("");
    let run = |shell: &str, words: &[&str]| {
        let mut command = Command::new("timeout");
        let ran = command.args(["20", shell]).args(words).output().expect("`timeout` of coreutils");
        let said = String::from_utf8_lossy(&[ran.stdout, ran.stderr].concat()).into_owned();
        assert!(ran.status.success(), "{shell}: {said}");
        said
    };
    for shell in ["bash", "zsh", "fish"] {
        let path = lab.files().join(format!("portsentry.{shell}"));
        fs::write(&path, say(&setup, &format!("completions {shell}")).out).expect("a file");
        let path = path.to_str().expect("a path in UTF-8");
        run(shell, &["-n", path]);
        // Asks each shell for completions. zsh completes only at its prompt, so the command is typed there.
        let offered = match shell {
            "bash" => run(shell, &["-c", BASH, path]),
            "fish" => run(shell, &["-c", FISH, path]),
            _ => run(shell, &["-f", "-c", ZSH, path]),
        };
        assert!(offered.contains("unblock") && !offered.contains("history"), "{shell}: {offered}");
    }
    let page = say(&setup, "man list").out;
    assert!(page.contains(".SH NAME"), "{page}");
}

#[test]
fn every_command_of_the_documentation_is_one() {
    let text = document::read("docs/commands.md");
    let commands: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("$ ")).collect();
    let commands: Vec<_> = commands.into_iter().filter(|line| line.starts_with("portsentry ")).collect();
    assert!(commands.len() >= 8, "{commands:?}");
    for line in commands {
        let words = shell_words::split(line).expect("words");
        let words = words.iter().take_while(|word| !["|", ">", "&&"].contains(&word.as_str()));
        let read = Cli::read(words.map(OsString::from));
        assert!(read.is_ok(), "{line}: {:?}", read.err());
    }
}
