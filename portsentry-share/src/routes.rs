//! Blackhole routes, for routing daemons such as BIRD and FRR: this gateway's blocks in one table of the kernel, and those of
//! another table as the words of a peer. Only `portsentry-share routes`, a process without network, may change
//! routes: one that speaks TLS with others should not.

mod incoming;
mod keeper;
mod message;
mod outgoing;
mod table;

pub use self::{incoming::Incoming, keeper::run, outgoing::publish};
