//! Arguments of `list` and `lists`.

use clap::{Args, ValueEnum};

pub use crate::inspect::select::Selection;

/// Arguments of `list`.
#[derive(Clone, Debug, Args)]
pub struct List {
    /// The sources, and their order.
    #[command(flatten)]
    pub selection: Selection,
    /// Print times in UTC
    #[arg(long)]
    pub utc: bool,
    /// Print JSON, for programs
    #[arg(long, conflicts_with = "format")]
    pub json: bool,
    /// Print the list in a format for other programs
    #[arg(long, value_enum)]
    pub format: Option<Format>,
}

/// Formats of a list for other programs.
#[allow(clippy::doc_markdown, reason = "these comments are the text of --help")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Addresses alone, one per line
    Plain,
    /// Sets of the table inet portsentry, for nft -f
    Nft,
    /// Sets portsentry_v4 and portsentry_v6, for ipset restore
    Ipset,
    /// A table with a heading (RFC 4180)
    Csv,
    /// JSON
    Json,
    /// A bundle of indicators (STIX 2.1)
    Stix,
}

/// Arguments of `lists`.
#[derive(Clone, Copy, Debug, Args)]
pub struct Lists {
    /// Print times in UTC
    #[arg(long)]
    pub utc: bool,
    /// Print JSON, for programs
    #[arg(long)]
    pub json: bool,
}
