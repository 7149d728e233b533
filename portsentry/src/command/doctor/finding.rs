//! A finding of `portsentry doctor`.

use serde::Serialize;

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    /// The name of an interface, or `kernel`.
    pub(super) about: String,
    pub(super) level: Level,
    pub(super) what: String,
    /// The remedy.
    pub(super) remedy: Option<String>,
}

/// Severity of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Level {
    Ok,
    Warning,
    Problem,
}

impl Level {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Problem => "problem",
        }
    }
}

impl Finding {
    pub(super) fn ok(about: &str, what: impl Into<String>) -> Self {
        Self { about: about.into(), level: Level::Ok, what: what.into(), remedy: None }
    }

    pub(super) fn warning(about: &str, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { level: Level::Warning, remedy: Some(remedy.into()), ..Self::ok(about, what) }
    }

    pub(super) fn problem(about: &str, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { level: Level::Problem, remedy: Some(remedy.into()), ..Self::ok(about, what) }
    }
}
