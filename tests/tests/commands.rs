//! The command line: its completions, and its documentation.

use std::{ffi::OsString, fs, process::Command};

use portsentry::cli::Cli;
use portsentry_tests::{document, lab::Lab};

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
        fs::write(&path, setup.say(&format!("completions {shell}")).out).expect("a file");
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
    let page = setup.say("man list").out;
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
