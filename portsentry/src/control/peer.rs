//! The clients of the control socket, by their rights.

/// A client, in the order of rights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Peer {
    /// Any local user, where `CONTROL_GROUP` is not set.
    Other,
    /// A member of `CONTROL_GROUP`: only members and root can connect.
    Member,
    /// Root.
    Root,
}

impl Peer {
    /// Returns the client with this user. `has_group` tells whether the socket belongs to `CONTROL_GROUP`.
    #[must_use]
    pub const fn new(user: u32, has_group: bool) -> Self {
        match (user, has_group) {
            (0, _) => Self::Root,
            (_, true) => Self::Member,
            (_, false) => Self::Other,
        }
    }
}
