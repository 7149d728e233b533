//! Lists for other programs, read by these programs.

use std::{fs, path::Path, process::Output};

use portsentry_tests::lab::{FAMILIES, Lab};
use serde_json::Value;

/// Runs a program in the host's namespace.
fn run(lab: &Lab, program: &str, words: &[&str], input: Option<&Path>) -> Output {
    let mut command = lab.host.command(program);
    command.args(words);
    if let Some(input) = input {
        command.stdin(fs::File::open(input).expect("a file"));
    }
    command.output().unwrap_or_else(|error| panic!("{program}: {error}"))
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.as_slice(), &output.stderr].concat()).into_owned()
}

#[test]
fn other_programs_read_the_lists() {
    let lab = Lab::new();
    let setup = lab.portsentry("-stcp");
    let daemon = setup.start();
    let sources = FAMILIES.map(|family| lab.source(family));
    for source in sources {
        lab.nmap(source, "-sS -p 11");
        daemon.wait_for_block(source);
    }
    for words in [
        &["block", "198.51.100.0/24", "--reason", "=guesses, \"passwords\""][..],
        &["block", "198.51.100.7", "2001:db8:7::7", "--for", "1h"],
        &["block", "2001:db8:7::/48", "--for", "2h"],
    ] {
        assert_eq!(setup.say_words(words).code, 0, "{words:?}");
    }
    let format = |name: &str| {
        let said = setup.say(&format!("list --sort address --format {name}"));
        assert_eq!((said.code, said.errors.as_str()), (0, ""), "{name}");
        let path = lab.files().join(format!("list.{name}"));
        fs::write(&path, &said.out).expect("a file");
        (said.out, path)
    };
    let (plain, path) = format("plain");
    let mut addresses: Vec<&str> = plain.lines().collect();
    addresses.sort_unstable();
    assert_eq!(addresses.len(), 6, "{plain}");
    // A plain list is a block list.
    let blocked = setup.say_words(&["check"]);
    assert_eq!(blocked.code, 0, "{blocked:?}");
    assert!(portsentry::config::block_list::load(&path).is_ok());

    let (text, path) = format("nft");
    let file = path.display().to_string();
    for words in [&["-c", "-f", &file][..], &["-f", &file], &["-f", &file]] {
        let done = run(&lab, "nft", words, None);
        assert!(done.status.success(), "{words:?}: {}\n{text}", said(&done));
    }
    let set = said(&run(&lab, "nft", &["list", "set", "inet", "portsentry", "sources_v4"], None));
    assert!(set.contains("198.51.100.0/24") && set.contains(&sources[0].to_string()), "{set}");
    let set = said(&run(&lab, "nft", &["list", "set", "inet", "portsentry", "sources_v6"], None));
    assert!(
        set.contains("2001:db8:7::/48 timeout 2h") || set.contains("2001:db8:7::/48 timeout 1h59m"),
        "{set}"
    );

    let (text, path) = format("ipset");
    // Without ipset's module, or without the program, there is nothing to try.
    let has_ipset = lab.host.command("ipset").arg("list").output().is_ok_and(|done| done.status.success());
    if has_ipset {
        for _ in 0..2 {
            let done = run(&lab, "ipset", &["restore"], Some(&path));
            assert!(done.status.success(), "{}\n{text}", said(&done));
        }
        let set = said(&run(&lab, "ipset", &["list"], None));
        assert!(set.contains("Name: portsentry_v4") && !set.contains("_new"), "{set}");
        assert!(
            set.contains("198.51.100.0/24 timeout 0") && set.contains("2001:db8:7::/48 timeout "),
            "{set}"
        );
    }

    let (csv, _) = format("csv");
    assert!(csv.contains("\"'=guesses, \"\"passwords\"\"\""), "{csv}");
    assert_eq!(csv.lines().count(), 7, "{csv}");
    let (json, _) = format("json");
    let addresses = |value: Value| {
        value.as_array().expect("a list").iter().map(|it| it["address"].clone()).collect::<Vec<_>>()
    };
    let json = serde_json::from_str(&json).expect("JSON");
    assert_eq!(addresses(json), addresses(setup.say("list --sort address --json").json()));
    let (stix, _) = format("stix");
    let bundle: Value = serde_json::from_str(&stix).expect("JSON");
    let patterns: Vec<&str> = bundle["objects"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|it| it["pattern"].as_str())
        .collect();
    assert_eq!(patterns.len(), 6, "{stix}");
    let pattern = format!("[ipv4-addr:value = '{}']", sources[0]);
    assert!(
        patterns.contains(&pattern.as_str()) && patterns.contains(&"[ipv6-addr:value = '2001:db8:7::/48']"),
        "{patterns:?}"
    );
}

#[test]
fn formats_exclude_each_other() {
    let lab = Lab::new();
    let setup = lab.portsentry("-stcp");
    setup.write();
    for words in ["list --json --format csv", "list --format xml", "list --would --format nft"] {
        assert_eq!(setup.say(words).code, 2, "{words}");
    }
}
