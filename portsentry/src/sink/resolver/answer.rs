//! The immediate answers of the resolver.

use super::Name;

/// An immediate answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The name, or that there is none.
    Known(Option<Name>),
    /// The callback will get the answer within the time limit.
    Asked,
    /// Too many queries are running. No answer will come.
    Refused,
}
