//! Generates the files that a package installs with the program: completions, manual pages and the settings
//! reference, from the command line's definition and the table of settings.

mod held;
mod manual;
mod preinst;
mod settings;
mod shipped;

use std::{io, path::PathBuf};

use clap::{Command, CommandFactory};
use clap_complete::Shell;

use super::show;
use crate::{cli::Cli, exit::Exit};

/// Section of the manual for administrators' commands.
const SECTION: &str = "8";
/// Manual page of the configuration file.
const SETTINGS: &str = "portsentry.conf";

/// Prints the completions for `shell`.
pub(super) fn completions(shell: Shell) -> Exit {
    show::print(&completion(shell))
}

/// Prints the manual page of the program, of one of its commands, or of its configuration file.
pub(super) fn man(name: Option<&str>) -> Exit {
    let page = match (name, find(name)) {
        (Some(SETTINGS), _) => Ok(settings::page(SETTINGS)),
        (_, Some(command)) => page(command, name.unwrap_or_default()),
        (_, None) => {
            eprintln!("portsentry: no such command");
            return Exit::Usage;
        }
    };
    match page {
        Ok(text) => show::print(&text),
        Err(error) => {
            eprintln!("portsentry: {error}");
            Exit::Failure
        }
    }
}

/// Returns every generated file, with its path in the source tree.
pub fn all() -> io::Result<Vec<(PathBuf, String)>> {
    let mut papers = vec![
        ("docs/settings.md".into(), settings::reference()),
        ("etc/portsentry.conf".into(), shipped::file()),
        ("pkg/debian/preinst".into(), preinst::script()),
        (format!("pkg/man/{SETTINGS}.5").into(), settings::page(SETTINGS)),
        ("pkg/completions/portsentry.bash".into(), completion(Shell::Bash)),
        ("pkg/completions/_portsentry".into(), completion(Shell::Zsh)),
        ("pkg/completions/portsentry.fish".into(), completion(Shell::Fish)),
    ];
    for name in std::iter::once(None).chain(verbs().iter().map(|verb| Some(verb.as_str()))) {
        let place = name.map_or_else(String::new, |name| format!("-{name}"));
        if let Some(command) = find(name) {
            let text = page(command, name.unwrap_or_default())?;
            papers.push((format!("pkg/man/portsentry{place}.{SECTION}").into(), text));
        }
    }
    Ok(papers)
}

fn completion(shell: Shell) -> String {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "portsentry", &mut text);
    held::add(shell, &String::from_utf8_lossy(&text))
}

/// Returns the page of `command`, which is called `verb` (empty for the program itself).
fn page(command: Command, verb: &str) -> io::Result<String> {
    let has_subcommands = command.get_subcommands().any(|verb| !verb.is_hide_set());
    let has_notes = command.get_after_help().is_some();
    let manual = clap_mangen::Man::new(command)
        .section(SECTION)
        .source(concat!("portsentry ", env!("CARGO_PKG_VERSION")));
    let mut text = Vec::new();
    manual.render_title(&mut text)?;
    manual.render_name_section(&mut text)?;
    manual.render_synopsis_section(&mut text)?;
    manual.render_description_section(&mut text)?;
    manual.render_options_section(&mut text)?;
    if has_subcommands {
        manual.render_subcommands_section(&mut text)?;
    }
    if has_notes {
        manual.render_extra_section(&mut text)?;
    }
    // The library calls it EXTRA, which no manual has (man-pages(7)).
    Ok(String::from_utf8_lossy(&text).replace(".SH EXTRA\n", ".SH NOTES\n") + &manual::sections(verb))
}

/// Returns the names of the commands that have a page.
fn verbs() -> Vec<String> {
    let whole = Cli::command();
    let shown = whole.get_subcommands().filter(|verb| !verb.is_hide_set());
    shown.map(|verb| verb.get_name().to_owned()).collect()
}

/// Returns the command that a page documents. The page of a command is called `portsentry-NAME`.
fn find(verb: Option<&str>) -> Option<Command> {
    let mut whole = Cli::command();
    whole.build();
    let Some(verb) = verb else { return Some(whole) };
    whole.find_subcommand(verb).cloned()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn what_is_kept_in_the_tree_is_what_the_code_makes() {
        // Cargo runs a package's tests in its directory.
        let root = Path::new("..");
        let papers = all().unwrap();
        assert!(papers.len() > 12);
        for (place, text) in &papers {
            let kept = std::fs::read_to_string(root.join(place)).unwrap_or_default();
            assert!(kept == *text, "{} is out of date: run `cargo xtask gen-docs`", place.display());
        }
    }

    #[test]
    fn every_command_has_a_page() {
        let verbs = verbs();
        assert!(verbs.len() > 7, "{verbs:?}");
        for verb in &verbs {
            let page = page(find(Some(verb)).unwrap(), verb).unwrap();
            assert!(page.contains(".SH NAME") && page.contains(&format!("portsentry\\-{verb}")), "{page}");
        }
        assert!(find(Some("nothing")).is_none());
    }

    #[test]
    fn every_shell_is_told_every_command() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let text = completion(shell);
            for verb in ["list", "unblock", "doctor"] {
                assert!(text.contains(verb), "{shell}: {verb}");
            }
        }
    }
}
