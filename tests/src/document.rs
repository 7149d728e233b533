//! Commands in the documents, as a reader would type them, and the output that the documents show.

use std::{fs, mem, path::PathBuf};

/// A command in a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// The command line.
    pub line: String,
    /// The output that the document shows: an excerpt, in which times and numbers vary.
    pub shown: Vec<String>,
}

impl Command {
    /// Returns the program.
    #[must_use]
    pub fn program(&self) -> &str {
        program(&self.line)
    }

    /// Whether the document shows a refusal: portsentry's errors begin with its name.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        self.shown.first().is_some_and(|line| line.starts_with("portsentry: "))
    }

    /// Returns the words that the document shows, without numbers, times and addresses, which vary.
    pub fn words(&self) -> impl Iterator<Item = &str> {
        let words =
            self.shown.iter().flat_map(|line| line.split(|c: char| !c.is_ascii_alphabetic() && c != '_'));
        words.filter(|word| word.len() > 2)
    }
}

/// A comment before a block whose commands no test can run. A reason follows.
const NOT_RUN: &str = "<!-- not run";
/// Prefix of a typed line in a block that also shows output.
const PROMPT: &str = "$ ";

/// Returns the paths of the documents, from the root of the tree.
#[must_use]
pub fn paths() -> Vec<String> {
    let of = |directory: &str| {
        let entries = fs::read_dir(root().join(directory)).expect("a directory");
        let names = entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("a name"));
        let names = names.filter(|name| name.strip_suffix(".md").is_some());
        names
            .map(|name| format!("{directory}/{name}").trim_start_matches("./").to_owned())
            .collect::<Vec<_>>()
    };
    [of("."), of("docs")].concat()
}

/// Returns the root of the tree. Cargo runs tests in their package's directory.
#[must_use]
pub fn root() -> PathBuf {
    PathBuf::from("..")
}

/// Returns the text of a document. `path` is relative to the root of the tree.
#[must_use]
pub fn read(path: &str) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Programs whose commands are run as written in the documents (`tests/tests/documented_commands.rs`): `nmap` on the
/// scanner, all others on the machine.
pub const TYPED: &[&str] = &[
    "apt-get",
    "bpftool",
    "cat",
    "curl",
    "echo",
    "grep",
    "ip",
    "journalctl",
    "ln",
    "mv",
    "nft",
    "nmap",
    "portsentry",
    "rm",
    "sed",
    "sysctl",
    "systemctl",
    "tail",
];

/// Returns the commands in a document's code blocks whose program `is_wanted`, in order. A block is indented by
/// four spaces or fenced.
#[must_use]
pub fn commands(text: &str, is_wanted: impl Fn(&str) -> bool) -> Vec<Command> {
    let is_one = |line: &&str| is_wanted(program(line));
    let mut commands = Vec::new();
    for block in blocks(text) {
        if !block.iter().any(|line| line.starts_with(PROMPT)) {
            let lines = block.into_iter().filter(is_one);
            commands.extend(lines.map(|line| Command { line: line.into(), shown: Vec::new() }));
            continue;
        }
        let mut last = None;
        for line in block {
            match line.strip_prefix(PROMPT) {
                Some(typed) => commands.extend(
                    last.replace(Command { line: typed.into(), shown: Vec::new() })
                        .filter(|command: &Command| is_one(&command.line.as_str())),
                ),
                None => {
                    if let Some(command) = &mut last {
                        command.shown.push(line.into());
                    }
                }
            }
        }
        commands.extend(last.filter(|command| is_one(&command.line.as_str())));
    }
    commands
}

/// Returns the first code block below the first line that contains `words`: the content of a file.
#[must_use]
pub fn block_below(text: &str, words: &str) -> Option<String> {
    let (_, below) = text.split_once(words)?;
    let block = blocks(below).into_iter().next()?;
    Some(block.join("\n") + "\n")
}

/// Returns the reasons that a document gives for commands that no test runs.
#[must_use]
pub fn reasons(text: &str) -> Vec<&str> {
    text.lines().filter_map(|line| line.strip_prefix(NOT_RUN)).collect()
}

/// Returns the first word that is not a variable assignment.
fn program(line: &str) -> &str {
    line.split_whitespace().find(|word| !word.contains('=')).unwrap_or_default()
}

/// Returns the code blocks that are not excluded, each as its lines.
fn blocks(text: &str) -> Vec<Vec<&str>> {
    let mut blocks = Vec::new();
    let mut block = Vec::new();
    let (mut is_fenced, mut is_marked) = (false, false);
    for line in text.lines().chain([""]) {
        let is_fence = line.starts_with("```");
        let indented = line.strip_prefix("    ").filter(|_| !is_fenced);
        if is_fenced && !is_fence {
            block.push(line);
        } else if let Some(code) = indented {
            block.push(code);
        } else if line.is_empty() && !is_fenced && !block.is_empty() {
            // Within an indented block, or at its end.
        } else {
            is_fenced ^= is_fence;
            let ended = mem::take(&mut block);
            if !ended.is_empty() {
                blocks.extend((!is_marked).then_some(ended));
                is_marked = false;
            }
            if !line.is_empty() && !is_fence {
                is_marked = line.starts_with(NOT_RUN);
            }
        }
    }
    blocks.extend((!block.is_empty() && !is_marked).then_some(block));
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_found_in_blocks_of_both_kinds_with_what_is_shown() {
        let text = "a b\n\n    a 1\n\n    KEY=1\n    b 2\n\nText, a 3.\n\n```console\n$ a 4\nsays  \"it\"\n$ c\nno\n\
                    $ b 5\n```\n<!-- not run: no -->\n\n    a 6\n\nMore:\n\n    $ a 7\n    x\n";
        let found = commands(text, |program| ["a", "b"].contains(&program));
        let found: Vec<_> = found.iter().map(|it| (it.line.as_str(), it.shown.join("|"))).collect();
        let shown = |line, shown: &str| (line, shown.to_owned());
        assert_eq!(
            found,
            [
                shown("a 1", ""),
                shown("b 2", ""),
                shown("a 4", "says  \"it\""),
                shown("b 5", ""),
                shown("a 7", "x")
            ]
        );
    }

    #[test]
    fn a_file_is_the_block_below_its_name() {
        let text = "In `a`:\n\n    1\n    2\n\nin `b`:\n\n    3\n";
        assert_eq!(block_below(text, "`a`").as_deref(), Some("1\n2\n"));
        assert_eq!(block_below(text, "`b`").as_deref(), Some("3\n"));
        assert_eq!(block_below(text, "`c`"), None);
    }

    #[test]
    fn words_are_what_stays_the_same_each_time() {
        let shown = vec!["\"since_ns\": 1423, 192.0.2.1 ...".into(), "is no TCP".into()];
        let command = Command { line: "a 1".into(), shown };
        assert_eq!(command.words().collect::<Vec<_>>(), ["since_ns", "TCP"]);
    }
}
