//! All figures of a run, as they are kept.

use std::{fs, path::Path};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::{classic::Classic, curve::Curve, rate::Rate, run::Run, scale::Span, turns::Cost};

/// What a run has found. Parts that weren't asked for, or couldn't be measured, are empty.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub(crate) struct Report {
    pub(crate) run: Run,
    /// What a packet costs above a program that returns at once.
    pub(crate) costs: Vec<Cost>,
    /// The same, by how many are blocked.
    pub(crate) by_blocked: Vec<Curve>,
    /// The same, by what else there may be many of.
    pub(crate) by_others: Vec<Curve>,
    /// Packets a second that are received and handled, without a wire.
    pub(crate) live: Vec<Rate>,
    /// Packets a second through a veth pair.
    pub(crate) veth: Vec<Rate>,
    /// Bytes a second of honest traffic, beside a flood.
    #[serde(default)]
    pub(crate) beside: Vec<Rate>,
    /// Many sources, loaded and taken over.
    #[serde(default)]
    pub(crate) scale: Vec<Span>,
    /// Beside PortSentry 1.2.
    pub(crate) classic: Vec<Classic>,
    /// What couldn't be measured, and why.
    pub(crate) missing: Vec<String>,
}

impl Report {
    pub(crate) fn new(run: Run) -> Self {
        Self {
            run,
            costs: Vec::new(),
            by_blocked: Vec::new(),
            by_others: Vec::new(),
            live: Vec::new(),
            veth: Vec::new(),
            beside: Vec::new(),
            scale: Vec::new(),
            classic: Vec::new(),
            missing: Vec::new(),
        }
    }

    /// Reads one.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
        serde_json::from_str(&text).with_context(|| path.display().to_string())
    }

    /// Writes it.
    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self)? + "\n";
        fs::write(path, text).with_context(|| path.display().to_string())
    }

    /// What that packet costs.
    pub(crate) fn cost(&self, name: &str) -> Option<&Cost> {
        self.costs.iter().find(|cost| cost.name == name)
    }
}
