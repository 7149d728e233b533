//! The result of writing the files.

use ipnet::IpNet;

/// The result of a flush.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flushed {
    /// Networks that the blocked file newly shows.
    pub shown: Vec<IpNet>,
    /// Lines added to `hosts.deny`.
    pub denied: Vec<Denied>,
    /// Whether another program has changed the blocked file, so that it must be read.
    pub is_edited: bool,
    /// Messages about files that can't be written, or can be written again, each once.
    pub news: Vec<String>,
}

/// A line added to `hosts.deny`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denied {
    /// The network that it names.
    pub network: IpNet,
    /// The line.
    pub line: String,
}
