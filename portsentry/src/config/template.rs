//! The `KILL_*` settings: templates with macros, parsed when the configuration is read. A macro's value is never
//! split into words, and never read by a shell.

mod inverse;
mod macros;
mod shell;

use std::fmt;

pub use macros::Values;

use self::macros::Macro;
use super::{
    report::Report,
    span::{Span, lines},
};

/// Text with macros.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Text(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Literal(String),
    Macro(Macro),
}

impl Text {
    fn new(mut text: &str) -> Self {
        let mut pieces = Vec::new();
        let mut literal = String::new();
        while let Some(first) = text.chars().next() {
            if let Some((found, length)) = Macro::at_start(text) {
                if !literal.is_empty() {
                    pieces.push(Piece::Literal(std::mem::take(&mut literal)));
                }
                pieces.push(Piece::Macro(found));
                text = &text[length..];
            } else {
                literal.push(first);
                text = &text[first.len_utf8()..];
            }
        }
        if !literal.is_empty() {
            pieces.push(Piece::Literal(literal));
        }
        Self(pieces)
    }

    fn render(&self, values: &Values<'_>) -> String {
        let render = |piece: &Piece| match piece {
            Piece::Literal(text) => text.clone(),
            Piece::Macro(it) => it.value(values),
        };
        self.0.iter().map(render).collect()
    }
}

/// `KILL_ROUTE` or `KILL_RUN_CMD`: an administrator's command.
///
/// 1.2 passed the text to `system(3)` with the macros replaced. Here it is split into words when the configuration is
/// read. If it needs a shell (a pipe, `&&`, a redirection ...), the shell gets the values as parameters, never in its
/// text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    text: Text,
    run: Run,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Run {
    Program(Vec<Text>),
    /// The text with `"${1}"` and so on in place of macros.
    Shell(String),
}

impl Command {
    /// Returns the program and its arguments.
    #[must_use]
    pub fn argv(&self, values: &Values<'_>) -> Vec<String> {
        match &self.run {
            Run::Program(words) => words.iter().map(|word| word.render(values)).collect(),
            Run::Shell(script) => ["/bin/sh", "-c", script, "portsentry"]
                .into_iter()
                .map(str::to_owned)
                .chain(Macro::ALL.iter().map(|(_, it)| it.value(values)))
                .collect(),
        }
    }

    /// Returns the program that the text begins with; `None` if a macro or a shell's word stands there.
    #[must_use]
    pub fn program(&self) -> Option<&str> {
        let Some(Piece::Literal(text)) = self.text.0.first() else { return None };
        let is_whole = self.text.0.len() == 1 || text.contains(char::is_whitespace);
        let program = text.split_ascii_whitespace().next().filter(|_| is_whole)?;
        let is_plain = program.chars().all(|c| c.is_ascii_alphanumeric() || "/._+-".contains(c));
        // Without a path, a shell's word may be one of its own.
        (is_plain && (program.contains('/') || !self.needs_shell())).then_some(program)
    }

    /// Returns the command that undoes this one, where it is known.
    #[must_use]
    pub fn inverse(&self) -> Option<Self> {
        let text = inverse::inverse(&self.to_string())?;
        command(lines(&text).next()?, &mut Report::new(""))
    }

    /// Whether a shell runs it.
    #[must_use]
    pub fn needs_shell(&self) -> bool {
        matches!(self.run, Run::Shell(_))
    }

    /// Whether it has a macro whose value changes when a fence becomes a block, so that it is run again then.
    #[must_use]
    pub fn tells_changes(&self) -> bool {
        let macros = [Macro::Proof, Macro::Reason, Macro::Until];
        macros.into_iter().any(|it| self.text.0.contains(&Piece::Macro(it)))
    }

    /// Returns the configured text with its macros replaced, as PortSentry logs it. Only for people: the command is
    /// not run in this form.
    #[must_use]
    pub fn describe(&self, values: &Values<'_>) -> String {
        self.text.render(values)
    }
}

/// The configured text.
impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text.fmt(f)
    }
}

/// `KILL_HOSTS_DENY`: the line for `hosts.deny`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DenyLine {
    text: Text,
    bracketed: bool,
}

impl DenyLine {
    /// Returns the line for one source, without a line end. IPv6 addresses are in brackets, as `hosts_access(5)`
    /// requires.
    #[must_use]
    pub fn render(&self, values: &Values<'_>) -> String {
        let address = values.target.addr();
        let render = |piece: &Piece| match piece {
            Piece::Macro(Macro::Target) if address.is_ipv6() && !self.bracketed => format!("[{address}]"),
            Piece::Macro(Macro::Target) => address.to_string(),
            Piece::Macro(it) => it.value(values),
            Piece::Literal(text) => text.clone(),
        };
        let line: String = self.text.0.iter().map(render).collect();
        // A network's length follows the brackets.
        let (bare, length) = (format!("[{address}]"), values.target.prefix_len());
        if length < values.target.max_prefix_len() {
            line.replace(&bare, &format!("{bare}/{length}"))
        } else {
            line
        }
    }
}

/// The configured text.
impl fmt::Display for DenyLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text.fmt(f)
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|piece| match piece {
            Piece::Literal(text) => f.write_str(text),
            Piece::Macro(it) => {
                Macro::ALL.iter().filter(|(_, other)| other == it).try_for_each(|(name, _)| f.write_str(name))
            }
        })
    }
}

/// Reads a command; `None` if it is blank or invalid, which is reported.
pub(super) fn command(value: Span<'_>, report: &mut Report) -> Option<Command> {
    let span = value.trim();
    let text = text(span, report)?;
    let read = shell::scan(span.text());
    if let Some(at) = read.unclosed {
        report.error(span.slice(at..at + 1), "this quote is never closed");
        return None;
    }
    let words = if read.needs_shell { None } else { shell_words::split(span.text()).ok() };
    let run = match words {
        Some(words) => Run::Program(words.iter().map(|word| Text::new(word)).collect()),
        None => Run::Shell(read.script),
    };
    Some(Command { text, run })
}

/// What undoes `KILL_ROUTE`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum RouteLift {
    /// Its inverse, where that is known.
    #[default]
    Inverse,
    /// Nothing.
    Off,
    /// This command.
    Command(Command),
}

/// Reads a command, `off`, or `auto` for the inverse of another; `None` if it is invalid, which is reported.
pub(super) fn route_lift(value: Span<'_>, report: &mut Report) -> Option<RouteLift> {
    match value.trim().text() {
        "auto" => Some(RouteLift::Inverse),
        "off" => Some(RouteLift::Off),
        _ => command_with_target(value, report).map(RouteLift::Command),
    }
}

/// Like [`command`], for a command that needs the address.
pub(super) fn command_with_target(value: Span<'_>, report: &mut Report) -> Option<Command> {
    require_target(value, report);
    command(value, report)
}

/// Reads the line for `hosts.deny`.
pub(super) fn deny_line(value: Span<'_>, report: &mut Report) -> Option<DenyLine> {
    require_target(value, report);
    let text = text(value.trim(), report)?;
    Some(DenyLine { text, bracketed: value.text().contains("[$TARGET$]") })
}

fn require_target(value: Span<'_>, report: &mut Report) {
    // Macros are replaced from the left: in `$PORT$TARGET$` only the port is a macro.
    if !Text::new(value.text()).0.contains(&Piece::Macro(Macro::Target)) {
        report
            .error(value, "$TARGET$ is missing, so this names no host")
            .help("$TARGET$ is replaced by the address");
    }
}

fn text(span: Span<'_>, report: &mut Report) -> Option<Text> {
    warn_of_unknown_macros(span, report);
    (!span.is_empty()).then(|| Text::new(span.text()))
}

fn warn_of_unknown_macros(span: Span<'_>, report: &mut Report) {
    let text = span.text();
    let mut at = 0;
    while let Some(start) = text[at..].find('$').map(|found| at + found) {
        let name = text[start + 1..].bytes().take_while(|b| b.is_ascii_uppercase() || *b == b'_').count();
        let end = start + 1 + name;
        let closed = name > 0 && text[end..].starts_with('$');
        if let Some((_, length)) = Macro::at_start(&text[start..]) {
            at = start + length;
        } else {
            if closed {
                let message = format!("{}$ is not a macro; left unchanged", &text[start..end]);
                report
                    .warn(span.slice(start..end + 1), message)
                    .help("the macros are $TARGET$, $PORT$, $MODE$, $PROOF$, $REASON$, $UNTIL$ and $ID$");
            }
            at = end;
        }
    }
}

#[cfg(test)]
mod tests;
