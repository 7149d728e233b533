//! Errors and warnings about a file: collected while it is read, shown all at once, each with its line.

use std::{fmt, ops::Range, sync::Arc};

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

use super::span::Span;

/// Maximum number of errors kept per file, and of warnings. Further ones are only counted: a wrong file (a megabyte
/// of other data) must not fill memory or the terminal.
const KEPT: usize = 100;

/// Severity of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// The file can't be used.
    Error,
    /// The file can be used, but may not mean what its author intended.
    Warning,
}

/// A problem in a file. Displayed on several lines, with the line at fault and a caret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    severity: Severity,
    message: String,
    help: Option<String>,
    file: Arc<str>,
    line: usize,
    source: Arc<str>,
    span: Range<usize>,
}

impl Diagnostic {
    /// Returns the severity.
    #[must_use]
    pub fn severity(&self) -> Severity {
        self.severity
    }

    /// Returns the problem in one line.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Returns the remedy, if there is one.
    #[must_use]
    pub fn help(&self) -> Option<&str> {
        self.help.as_deref()
    }

    /// Returns the number of the line at fault, counted from 1.
    #[must_use]
    pub fn line(&self) -> usize {
        self.line
    }

    /// Returns the column at fault, in characters, counted from 1.
    #[must_use]
    pub fn column(&self) -> usize {
        1 + self.source.get(..self.span.start).map_or(0, |before| before.chars().count())
    }

    /// Returns the text at fault.
    #[must_use]
    pub fn text(&self) -> &str {
        self.source.get(self.span.clone()).unwrap_or_default()
    }

    /// Returns `file:line:column: error: message`, for a log of single lines.
    #[must_use]
    pub fn in_one_line(&self) -> String {
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        format!("{}:{}:{}: {severity}: {}", self.file, self.line, self.column(), self.message)
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let snippet = Snippet::source(&*self.source)
            .line_start(self.line)
            .path(&*self.file)
            .annotation(AnnotationKind::Primary.span(self.span.clone()));
        let mut group = level.primary_title(&*self.message).element(snippet);
        if let Some(help) = &self.help {
            group = group.element(Level::HELP.message(&**help));
        }
        f.write_str(&Renderer::plain().render(&[group]))
    }
}

/// All findings on one file, in the order of its lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    file: Arc<str>,
    diagnostics: Vec<Diagnostic>,
    errors: usize,
    warnings: usize,
    /// Numbers of further findings on files whose reports were appended.
    left_out: Vec<(Arc<str>, usize)>,
}

impl Report {
    /// Creates an empty report on `file`.
    #[must_use]
    pub fn new(file: &str) -> Self {
        Self { file: file.into(), diagnostics: Vec::new(), errors: 0, warnings: 0, left_out: Vec::new() }
    }

    /// Returns the name of the file.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.file
    }

    /// Adds an error.
    pub fn error(&mut self, span: Span<'_>, message: impl Into<String>) -> Added<'_> {
        self.errors += 1;
        let keep = self.errors <= KEPT;
        self.add(keep, Severity::Error, span, message.into())
    }

    /// Adds a warning.
    pub fn warn(&mut self, span: Span<'_>, message: impl Into<String>) -> Added<'_> {
        self.warnings += 1;
        let keep = self.warnings <= KEPT;
        self.add(keep, Severity::Warning, span, message.into())
    }

    fn add(&mut self, keep: bool, severity: Severity, span: Span<'_>, message: String) -> Added<'_> {
        if !keep {
            return Added(None);
        }
        let source = match self.diagnostics.last() {
            Some(last) if last.line == span.line.number => Arc::clone(&last.source),
            _ => span.line.text.into(),
        };
        let file = Arc::clone(&self.file);
        let (line, span) = (span.line.number, span.range());
        self.diagnostics.push(Diagnostic { severity, message, help: None, file, line, source, span });
        Added(self.diagnostics.last_mut())
    }

    /// Sorts the findings by line.
    pub fn sort(&mut self) {
        self.diagnostics.sort_by_key(|d| (d.line, d.span.start));
    }

    /// Adds the findings on another file after these.
    pub fn append(&mut self, later: Self) {
        let own = later.left_out();
        self.left_out.extend((own > 0).then(|| (Arc::clone(&later.file), own)));
        self.left_out.extend(later.left_out);
        self.diagnostics.extend(later.diagnostics);
        self.errors += later.errors;
        self.warnings += later.warnings;
    }

    /// Returns the number of findings on the file itself that were not kept.
    fn left_out(&self) -> usize {
        let others: usize = self.left_out.iter().map(|(_, count)| count).sum();
        self.errors + self.warnings - self.diagnostics.len() - others
    }

    /// Returns the report itself if it holds no error.
    pub fn into_result<T>(mut self, value: T) -> Result<(T, Self), Self> {
        self.sort();
        if self.has_errors() { Err(self) } else { Ok((value, self)) }
    }

    /// Whether the file can't be used.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.errors > 0
    }

    /// Whether there are no findings.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.errors + self.warnings == 0
    }

    /// Returns the findings in the order of the lines; the first hundred errors and the first hundred warnings.
    pub fn iter(&self) -> impl Iterator<Item = &Diagnostic> {
        self.diagnostics.iter()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for diagnostic in &self.diagnostics {
            write!(f, "{separator}{diagnostic}")?;
            separator = "\n\n";
        }
        let own = (Arc::clone(&self.file), self.left_out());
        for (file, count) in [&own].into_iter().chain(&self.left_out).filter(|(_, count)| *count > 0) {
            write!(f, "{separator}{file}: {count} more not shown")?;
            separator = "\n\n";
        }
        Ok(())
    }
}

impl std::error::Error for Report {}

/// The diagnostic just added, if it was kept, so that details can be added.
#[derive(Debug)]
pub struct Added<'r>(Option<&'r mut Diagnostic>);

impl Added<'_> {
    /// Adds a remedy.
    pub fn help(self, text: impl Into<String>) {
        if let Some(diagnostic) = self.0 {
            diagnostic.help = Some(text.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::span::lines;
    use super::*;

    #[test]
    fn a_diagnostic_shows_file_line_column_and_caret() {
        let mut report = Report::new("a.conf");
        let line = lines("\nTCP_PORTS=\"1,70000\"").nth(1).unwrap();
        report.error(line.slice(13..18), "70000 is not a port").help("ports are 1 to 65535");
        let shown = report.to_string();
        assert_eq!(
            shown,
            "\
error: 70000 is not a port
 --> a.conf:2:14
  |
2 | TCP_PORTS=\"1,70000\"
  |              ^^^^^
  |
  = help: ports are 1 to 65535"
        );
        let only = report.iter().next().unwrap();
        assert_eq!(only.in_one_line(), "a.conf:2:14: error: 70000 is not a port");
        assert_eq!(only.text(), "70000");
    }

    #[test]
    fn a_flood_is_counted_and_never_hides_an_error() {
        let mut report = Report::new("a.conf");
        let line = lines("x").next().unwrap();
        for _ in 0..1000 {
            report.warn(line, "odd").help("don't");
        }
        report.error(line, "wrong");
        assert_eq!(report.iter().count(), KEPT + 1);
        assert!(report.to_string().ends_with("a.conf: 900 more not shown"));
        assert!(report.into_result(()).is_err());
    }

    #[test]
    fn reports_on_several_files_keep_their_order_and_counts() {
        let mut first = Report::new("a.conf");
        let mut second = Report::new("b.conf");
        let [one, two] = [0, 1].map(|at| lines("x\ny").nth(at).unwrap());
        first.warn(two, "odd");
        for _ in 0..KEPT + 3 {
            second.error(one, "wrong");
        }
        let mut all = Report::new("a.conf");
        all.append(first);
        all.append(second);
        let shown: Vec<_> = all.iter().take(2).map(Diagnostic::in_one_line).collect();
        assert_eq!(shown, ["a.conf:2:1: warning: odd", "b.conf:1:1: error: wrong"]);
        assert!(all.has_errors() && all.to_string().ends_with("\n\nb.conf: 3 more not shown"));
    }

    #[test]
    fn what_a_terminal_would_obey_is_not_shown_as_it_stands() {
        let mut report = Report::new("a.conf");
        report.warn(lines("\u{1b}]0;owned\u{7}").next().unwrap(), "not understood");
        assert!(!report.to_string().contains(['\u{1b}', '\u{7}']));
    }
}
