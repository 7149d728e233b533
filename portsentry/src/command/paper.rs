//! `portsentry completions` and `portsentry man`: what a package installs beside the program, made from the command
//! line itself. It must not install them.

use clap::{Command, CommandFactory};
use clap_complete::Shell;

use super::show;
use crate::{cli::Cli, exit::Exit};

/// Prints the completions for `shell`.
pub(super) fn completions(shell: Shell) -> Exit {
    let mut command = Cli::command();
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut command, "portsentry", &mut text);
    show::print(&String::from_utf8_lossy(&text))
}

/// Prints the manual page of the program, or of one of its commands.
pub(super) fn man(verb: Option<&str>) -> Exit {
    let Some(command) = find(verb) else {
        eprintln!("portsentry: there is no command of that name");
        return Exit::Usage;
    };
    let mut text = Vec::new();
    let source = concat!("portsentry ", env!("CARGO_PKG_VERSION"));
    match clap_mangen::Man::new(command).source(source).render(&mut text) {
        Ok(()) => show::print(&String::from_utf8_lossy(&text)),
        Err(error) => {
            eprintln!("portsentry: {error}");
            Exit::Failure
        }
    }
}

/// The command that a page is about. The page of one beside the flags is called `portsentry-NAME`.
fn find(verb: Option<&str>) -> Option<Command> {
    let mut whole = Cli::command();
    whole.build();
    let Some(verb) = verb else { return Some(whole) };
    whole.find_subcommand(verb).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_page() {
        let whole = find(None).unwrap();
        let verbs: Vec<String> = whole.get_subcommands().map(|verb| verb.get_name().to_owned()).collect();
        assert!(verbs.len() > 7, "{verbs:?}");
        for verb in &verbs {
            let mut page = Vec::new();
            clap_mangen::Man::new(find(Some(verb)).unwrap()).render(&mut page).unwrap();
            let page = String::from_utf8(page).unwrap();
            assert!(page.contains(".SH NAME") && page.contains(&format!("portsentry\\-{verb}")), "{page}");
        }
        assert!(find(Some("nothing")).is_none());
    }

    #[test]
    fn every_shell_is_told_every_command() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "portsentry", &mut text);
            let text = String::from_utf8(text).unwrap();
            for verb in ["list", "unblock", "doctor"] {
                assert!(text.contains(verb), "{shell}: {verb}");
            }
        }
    }
}
