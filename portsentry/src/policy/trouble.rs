//! A trouble that lasts is told when it begins, changes and ends, however often it is met.

/// What is wrong, if anything is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trouble(Option<String>);

/// What there is to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// This is wrong, and wasn't before.
    Begun(String),
    /// All is well again.
    Over,
}

impl Trouble {
    /// Takes note of how things are; returns what there is to tell.
    pub fn note(&mut self, problem: Option<String>) -> Option<News> {
        if problem == self.0 {
            return None;
        }
        self.0 = problem;
        Some(self.0.clone().map_or(News::Over, News::Begun))
    }

    /// What is wrong.
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
