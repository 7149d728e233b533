//! Decides whether a command needs a POSIX shell, by its quoting rules (POSIX.1-2017, Shell Command Language, 2.2
//! Quoting).

use super::macros::Macro;

/// Characters with a special meaning outside quotes. A superfluous one only costs a shell.
const ACTIVE: &str = "|&;<>()$`*?[]#~\n";

/// Command names that only a shell understands.
const BUILT_IN: [&str; 10] = [".", ":", "!", "cd", "command", "eval", "exec", "export", "ulimit", "umask"];

pub(super) struct Reading {
    /// The text with a parameter in place of each macro, inside quotes that no value can close.
    pub(super) script: String,
    pub(super) needs_shell: bool,
    /// Byte offset of an opening quote that is never closed.
    pub(super) unclosed: Option<usize>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Quotes {
    None,
    Single,
    Double,
}

pub(super) fn scan(text: &str) -> Reading {
    let mut script = String::new();
    let mut needs_shell = first_word_needs_shell(text);
    let (mut quotes, mut opened, mut at) = (Quotes::None, 0, 0);
    while let Some(c) = text[at..].chars().next() {
        let rest = &text[at..];
        // As in 1.2, a macro counts anywhere, even behind a backslash.
        let escaped = c == '\\' && quotes != Quotes::Single;
        if let Some((found, length)) = Macro::at_start(if escaped { &rest[1..] } else { rest }) {
            script.push_str(&parameter(found, quotes));
            at += usize::from(escaped) + length;
            continue;
        }
        script.push(c);
        at += c.len_utf8();
        match (quotes, c) {
            (_, '\\') if escaped => {
                if let Some(next) = text[at..].chars().next() {
                    script.push(next);
                    at += next.len_utf8();
                }
            }
            (Quotes::None, '\'' | '"') => {
                quotes = if c == '\'' { Quotes::Single } else { Quotes::Double };
                opened = at - 1;
            }
            (Quotes::Single, '\'') | (Quotes::Double, '"') => quotes = Quotes::None,
            (Quotes::None, c) if ACTIVE.contains(c) => needs_shell = true,
            (Quotes::Double, '$' | '`') => needs_shell = true,
            _ => {}
        }
    }
    Reading { script, needs_shell, unclosed: (quotes != Quotes::None).then_some(opened) }
}

fn parameter(found: Macro, quotes: Quotes) -> String {
    let number = 1 + Macro::ALL.iter().take_while(|(_, it)| *it != found).count();
    match quotes {
        Quotes::None => format!("\"${{{number}}}\""),
        Quotes::Single => format!("'\"${{{number}}}\"'"),
        Quotes::Double => format!("${{{number}}}"),
    }
}

fn first_word_needs_shell(text: &str) -> bool {
    let word = text.split_ascii_whitespace().next().unwrap_or_default();
    let assigns = word.split_once('=').is_some_and(|(name, _)| {
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    });
    assigns || BUILT_IN.contains(&word)
}
