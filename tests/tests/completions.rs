//! The shells' completions of blocked and fenced addresses, in bash, zsh and fish.

use std::{fs, path::PathBuf};

use portsentry_tests::lab::{Lab, Portsentry, binary};

/// Blocked before each test.
const HELD: [&str; 3] = ["192.0.2.77", "198.51.100.0/24", "2001:db8::77"];

/// Blocks addresses, and returns a directory with `portsentry`, which uses this configuration, and the completions.
fn prepared(setup: &Portsentry<'_>) -> PathBuf {
    for address in HELD {
        assert_eq!(setup.say(&format!("block {address}")).code, 0);
    }
    let directory = setup.lab().files().join("shell");
    fs::create_dir(&directory).expect("a directory");
    let script =
        format!("#!/bin/sh\nexec {} -c {} \"$@\"\n", binary().display(), setup.config_path().display());
    setup.lab().program("shell/portsentry", script);
    for (shell, name) in [("bash", "portsentry.bash"), ("zsh", "_portsentry"), ("fish", "portsentry.fish")] {
        let said = setup.say(&format!("completions {shell}"));
        fs::write(directory.join(name), said.out).expect("completions");
    }
    directory
}

/// Runs a script in a shell, and returns its output.
fn run(setup: &Portsentry<'_>, directory: &std::path::Path, shell: &[&str], script: &str) -> String {
    let path = format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", directory.display());
    let mut command = setup.lab().host.command(shell[0]);
    command.env("PATH", path).env("HOME", directory).args(&shell[1..]).arg(script);
    let ended = command.current_dir(directory).output().expect("a shell");
    let [out, errors] = [ended.stdout, ended.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    out + &errors
}

/// The typed lines, and the addresses that complete them.
const TYPED: [(&str, &[&str]); 6] = [
    ("unblock ", &HELD),
    ("why 192.", &["192.0.2.77"]),
    ("unblock 192.0.2.77 198", &["198.51.100.0/24"]),
    ("why 2001:db8:", &["2001:db8::77"]),
    ("block 192.", &[]),
    ("unblock --al", &[]),
];

#[test]
fn held_addresses_are_completed_in_bash() {
    let lab = Lab::new();
    let setup = lab.portsentry("-stcp");
    let _daemon = setup.start();
    let directory = prepared(&setup);
    for (typed, expected) in TYPED {
        let script = format!(
            "source portsentry.bash\nCOMP_LINE='portsentry {typed}'; COMP_POINT=${{#COMP_LINE}}\n\
             COMP_WORDS=($COMP_LINE); [[ $COMP_LINE == *' ' ]] && COMP_WORDS+=('')\n\
             COMP_CWORD=$(( ${{#COMP_WORDS[@]}} - 1 ))\n\
             _portsentry_held portsentry \"${{COMP_WORDS[COMP_CWORD]}}\" \"${{COMP_WORDS[COMP_CWORD - 1]}}\"\n\
             printf '<%s>' \"${{COMPREPLY[@]}}\""
        );
        let said = run(&setup, &directory, &["bash", "--norc", "-c"], &script);
        for address in HELD {
            // bash replaces only the part behind the last colon.
            let typed_part = typed.rsplit(' ').next().unwrap_or_default();
            let begin = typed_part.rfind(':').map_or(0, |at| at + 1);
            let shown = format!("<{}>", address.get(begin..).unwrap_or_default());
            assert_eq!(said.contains(&shown), expected.contains(&address), "{typed}: {address}\n{said}");
        }
    }
}

#[test]
fn held_addresses_are_completed_in_fish() {
    let lab = Lab::new();
    let setup = lab.portsentry("-stcp");
    let _daemon = setup.start();
    let directory = prepared(&setup);
    for (typed, expected) in TYPED {
        let script = format!("source portsentry.fish; complete -C 'portsentry {typed}'");
        let said = run(&setup, &directory, &["fish", "--no-config", "-c"], &script);
        for address in HELD {
            let is_shown = said.lines().any(|line| line.split('\t').next() == Some(address));
            assert_eq!(is_shown, expected.contains(&address), "{typed}: {address}\n{said}");
        }
    }
}

/// Completes a line at zsh's prompt, and prints it once it contains the expected address.
const ZSH: &str = r#"zmodload zsh/zpty; zpty z zsh -f -i
zpty -w z "PS1=; autoload -Uz compinit; compinit -u -D; . ./_portsentry; compdef _portsentry portsentry; echo re''ady"
zpty -r -m z answer '*ready*'
zpty -w -n z "portsentry $1"$'\t'; zpty -r -m z answer "*portsentry*$2*"; print -r -- $answer; zpty -d z"#;

#[test]
fn held_addresses_are_completed_in_zsh() {
    let lab = Lab::new();
    let setup = lab.portsentry("-stcp");
    let _daemon = setup.start();
    let directory = prepared(&setup);
    for (typed, expected) in TYPED.iter().filter(|(_, expected)| expected.len() == 1) {
        let shell = ["timeout", "30", "zsh", "-f", "-c", ZSH, "zsh", typed];
        let said = run(&setup, &directory, &shell, expected[0]);
        assert!(said.contains(expected[0]), "{typed}: {said}");
    }
}
