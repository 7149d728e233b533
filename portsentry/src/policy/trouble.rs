//! A lasting error, reported when it begins, changes and ends.

/// The current error, if any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trouble(Option<String>);

/// A change to report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// A new error.
    Begun(String),
    /// The error is over.
    Over,
}

impl Trouble {
    /// Records the current state. Returns a change to report, if any.
    pub fn note(&mut self, problem: Option<String>) -> Option<News> {
        if problem == self.0 {
            return None;
        }
        self.0 = problem;
        Some(self.0.clone().map_or(News::Over, News::Begun))
    }

    /// Returns the current error.
    #[must_use]
    pub const fn problem(&self) -> Option<&String> {
        self.0.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_change_is_told_once() {
        let mut trouble = Trouble::default();
        let full = || Some("full".to_owned());
        for (problem, expected) in [
            (None, None),
            (full(), Some(News::Begun("full".into()))),
            (full(), None),
            (Some("gone".into()), Some(News::Begun("gone".into()))),
            (None, Some(News::Over)),
            (None, None),
        ] {
            assert_eq!(trouble.note(problem.clone()), expected);
            assert_eq!(trouble.problem(), problem.as_ref());
        }
    }
}
