//! What writing the files came to.

use ipnet::IpNet;

/// What a flush did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flushed {
    /// Networks that the blocked file shows from now on.
    pub shown: Vec<IpNet>,
    /// Lines that are new in `hosts.deny`.
    pub denied: Vec<Denied>,
    /// Somebody else has written the blocked file, and it is to be read.
    pub is_edited: bool,
    /// Files that can't be written, or can be again. Each is told once.
    pub news: Vec<String>,
}

/// A line that was entered in `hosts.deny`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denied {
    /// Whom it names.
    pub network: IpNet,
    /// The line.
    pub line: String,
}
