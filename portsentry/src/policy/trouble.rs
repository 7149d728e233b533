//! A lasting error, reported when it begins, changes and ends.

use std::collections::BTreeMap;

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

/// The current errors of several things, by key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Troubles<K>(BTreeMap<K, Trouble>);

impl<K> Default for Troubles<K> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<K: Ord> Troubles<K> {
    /// Records the current state of one thing; returns a change to report.
    pub fn note(&mut self, key: K, problem: Option<String>) -> Option<News> {
        if problem.is_some() {
            return self.0.entry(key).or_default().note(problem);
        }
        self.0.remove(&key).map(|_| News::Over)
    }

    /// Forgets all things but these, without a report.
    pub fn retain(&mut self, is_kept: impl Fn(&K) -> bool) {
        self.0.retain(|key, _| is_kept(key));
    }

    /// Returns the current errors, ordered by key.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &String)> {
        self.0.iter().filter_map(|(key, trouble)| Some((key, trouble.problem()?)))
    }

    /// Whether there are no errors.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
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

    #[test]
    fn each_thing_has_its_own_trouble() {
        let mut troubles = Troubles::default();
        let busy = || Some("busy".to_owned());
        assert_eq!(troubles.note(1, busy()), Some(News::Begun("busy".into())));
        assert_eq!(troubles.note(2, busy()), Some(News::Begun("busy".into())));
        assert_eq!((troubles.note(1, busy()), troubles.note(3, None)), (None, None));
        assert_eq!(troubles.note(1, None), Some(News::Over));
        assert!(troubles.iter().eq([(&2, &"busy".to_owned())]));
        troubles.retain(|key| *key != 2);
        assert!(troubles.is_empty());
        assert_eq!(troubles.note(2, busy()), Some(News::Begun("busy".into())), "it was forgotten");
    }
}
