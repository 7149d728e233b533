//! Traffic of many clients with a network behind the lab's gateway, in raw frames: thousands of clients cost one thread
//! and one socket.

#![allow(clippy::must_use_candidate, reason = "as in a lab")]

mod clients;
mod frame;
mod meter;
mod network;
mod population;
mod responder;

pub use self::{
    clients::{Report, run},
    meter::Meter,
    network::{Change, NETWORK, Network, ON_LINK, Port},
    population::{Client, Contact, Expected, Kind, Population, Step},
    responder::Responder,
};
