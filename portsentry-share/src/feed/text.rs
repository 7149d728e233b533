//! The feed's texts.

use std::{
    fmt::Write as _,
    hash::{DefaultHasher, Hasher},
    sync::Arc,
};

use ipnet::IpNet;
use portsentry::{
    instant::Time,
    policy::{
        name_of,
        peers::{Millis, Said, time_of},
    },
};
use serde::Serialize;

use crate::blocks::Blocks;

/// The form of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A source or IPv6 network on each line.
    Text,
    /// With times and reasons.
    Json,
}

impl Form {
    /// Returns the media type.
    pub const fn media(self) -> &'static str {
        match self {
            Self::Text => "text/plain; charset=utf-8",
            Self::Json => "application/json",
        }
    }
}

/// A text with its validators (RFC 9110 section 8.8).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entity {
    /// The text.
    pub text: Arc<str>,
    /// The strong entity tag, in quotes.
    pub tag: String,
    /// The moment of the last change.
    pub changed: Millis,
}

/// A block.
#[derive(Debug, Serialize)]
struct Row<'a> {
    address: String,
    since: Time,
    until: Option<Time>,
    proof: &'a str,
    kind: Option<&'a str>,
    port: u16,
    protocol: Option<&'a str>,
}

#[derive(Debug, Serialize)]
struct List<'a> {
    gateway: &'a str,
    blocks: Vec<Row<'a>>,
}

impl<'a> Row<'a> {
    fn new(network: IpNet, said: &'a Said) -> Self {
        Self {
            address: name_of(network),
            since: Time(time_of(said.since)),
            until: said.until.map(time_of).map(Time),
            proof: &said.proof,
            kind: said.kind.as_deref(),
            port: said.port,
            protocol: said.protocol.as_deref(),
        }
    }
}

impl Entity {
    /// Returns the text with these blocks.
    pub fn new(form: Form, blocks: &Blocks) -> Self {
        let text = match form {
            Form::Text => lines(blocks),
            Form::Json => json(blocks),
        };
        // Always with the same keys, so that a tag outlives this process.
        let mut hasher = DefaultHasher::new();
        hasher.write(text.as_bytes());
        let tag = format!("\"{:016x}-{:x}\"", hasher.finish(), text.len());
        Self { text: text.into(), tag, changed: blocks.changed() }
    }
}

fn lines(blocks: &Blocks) -> String {
    let mut text = String::new();
    for (network, _) in blocks.iter() {
        // Writing to a string never fails.
        let _ = writeln!(text, "{}", name_of(network));
    }
    text
}

fn json(blocks: &Blocks) -> String {
    let blocked = blocks.iter().map(|(network, said)| Row::new(network, said));
    let list = List { gateway: blocks.gateway().name(), blocks: blocked.collect() };
    serde_json::to_string(&list).unwrap_or_default() + "\n"
}
