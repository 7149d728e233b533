//! Arguments of `report`.

use std::path::PathBuf;

use clap::Args;

use super::since::{Since, since};

/// Arguments of `report`.
#[derive(Clone, Debug, Args)]
pub struct Report {
    /// Begin at this time (2026-11-23, 2026-11-23T10:00, with or without Z), or this long ago (24h, 7d, 1month)
    #[arg(long, value_name = "TIME", value_parser = since, default_value = "7d")]
    pub since: Since,
    /// End at this time, instead of now
    #[arg(long, value_name = "TIME", value_parser = since)]
    pub until: Option<Since>,
    /// Write a page for browsers and for printing instead, self-contained and without scripts
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Print times in UTC, and read those without a zone as UTC
    #[arg(long)]
    pub utc: bool,
    /// Print JSON, for programs
    #[arg(long, conflicts_with = "html")]
    pub json: bool,
}
