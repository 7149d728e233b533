//! A client of NATS: what the companion needs of its protocol, and no more. A connection that fails ends, so that its user
//! always knows which messages may be lost.

mod frame;
mod header;
mod session;
mod tls;

pub use self::{
    frame::{Message, publish, publish_with_reply},
    session::{Inbox, Session, run},
    tls::Identity,
};
