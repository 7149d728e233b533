//! The fleet: what gateways say to each other through the servers.

mod flood;
mod links;
mod outbox;
mod own;
mod peer;
mod seen;
mod state;
mod task;
pub mod wire;

pub use self::{
    links::{Links, Mailboxes, keep, resume},
    own::Own,
    peer::Peer,
};
