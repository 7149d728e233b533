//! The ways to send a message.

pub mod abuseipdb;
mod http;
pub mod mail;
mod sendmail;
pub mod webhook;

use std::time::Duration;

pub use self::http::Client;
use crate::message::Message;

/// What became of an attempt to send a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The receiver has it.
    Sent,
    /// The receiver has it, and takes the next one only after this time.
    SentThenRest(Duration),
    /// The receiver doesn't want it as it is; another attempt is of little use.
    Refused(String),
    /// It failed; another attempt makes sense after this time, if the receiver named one.
    Later(String, Option<Duration>),
}

/// A way to send messages.
pub trait Channel: Send {
    /// Sends a message.
    fn send(&mut self, message: &Message) -> Outcome;

    /// Sends a message that says that it is a test, or checks in another way that messages could be sent.
    fn test(&mut self, message: &Message) -> Outcome {
        self.send(message)
    }

    /// Maximum number of events of a message.
    fn most(&self) -> usize {
        crate::pace::FULL
    }
}
