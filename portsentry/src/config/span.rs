//! Lines of a file and parts of them, so that errors can point at the text.

use std::ops::Range;

/// One line, without its line end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line<'a> {
    /// Counted from 1.
    pub number: usize,
    /// The text.
    pub text: &'a str,
}

/// A part of one line. Its ends are on character boundaries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span<'a> {
    /// The line.
    pub line: Line<'a>,
    start: usize,
    end: usize,
}

/// Returns the lines of a text, without a byte order mark and without carriage returns at line ends.
pub fn lines(text: &str) -> impl Iterator<Item = Span<'_>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    text.split('\n').zip(1..).map(|(text, number)| {
        let text = text.strip_suffix('\r').unwrap_or(text);
        Span { line: Line { number, text }, start: 0, end: text.len() }
    })
}

impl<'a> Span<'a> {
    /// Returns the text.
    #[must_use]
    pub fn text(self) -> &'a str {
        self.line.text.get(self.start..self.end).unwrap_or_default()
    }

    /// Whether the text is empty.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.start == self.end
    }

    /// Returns the byte offsets within the line.
    #[must_use]
    pub fn range(self) -> Range<usize> {
        self.start..self.end
    }

    /// Returns the part of this span at `range`, in bytes of `text()`.
    #[must_use]
    pub fn slice(self, range: Range<usize>) -> Self {
        Self { start: self.start + range.start, end: self.start + range.end, ..self }
    }

    /// Splits the span before byte `at` of `text()`.
    #[must_use]
    pub fn split_at(self, at: usize) -> (Self, Self) {
        (self.slice(0..at), self.slice(at..self.end - self.start))
    }

    /// Splits the span at the first `separator`, which is in neither part.
    #[must_use]
    pub fn split_once(self, separator: char) -> Option<(Self, Self)> {
        let at = self.text().find(separator)?;
        let (head, tail) = self.split_at(at);
        Some((head, tail.split_at(separator.len_utf8()).1))
    }

    /// Returns the entries of a list, trimmed.
    pub fn split(self, separator: char) -> impl Iterator<Item = Self> {
        let mut rest = Some(self);
        std::iter::from_fn(move || {
            let (item, tail) = rest?.split_once(separator).map_or((rest?, None), |(a, b)| (a, Some(b)));
            rest = tail;
            Some(item.trim())
        })
    }

    /// Returns the span without white space at its start.
    #[must_use]
    pub fn trim_start(self) -> Self {
        let text = self.text();
        self.split_at(text.len() - text.trim_ascii_start().len()).1
    }

    /// Returns the span without white space at its ends.
    #[must_use]
    pub fn trim(self) -> Self {
        let span = self.trim_start();
        span.split_at(span.text().trim_ascii_end().len()).0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_ends_and_the_byte_order_mark_are_not_text() {
        let found: Vec<_> = lines("\u{feff}a\r\nb\n\nc\r").map(|s| (s.line.number, s.text())).collect();
        assert_eq!(found, [(1, "a"), (2, "b"), (3, ""), (4, "c")]);
    }

    #[test]
    fn a_list_splits_into_trimmed_entries_that_know_their_place() {
        let line = lines("x = 1, 22 ,,3").next().unwrap();
        let entries: Vec<_> = line.split_at(4).1.split(',').map(|s| (s.text(), s.range())).collect();
        assert_eq!(entries, [("1", 4..5), ("22", 7..9), ("", 11..11), ("3", 12..13)]);
    }
}
