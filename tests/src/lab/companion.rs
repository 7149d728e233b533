//! A companion of a fleet, which speaks at a daemon's `SHARE_SOCKET`.

use std::{
    cell::OnceCell,
    io::{BufRead, BufReader, Write},
    net::IpAddr,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    time::SystemTime,
};

use serde_json::{Value, json};

use super::{Portsentry, log::PATIENCE, wait_within};

/// A connection.
#[derive(Debug)]
pub struct Companion {
    lines: BufReader<UnixStream>,
    /// What the daemon told at the beginning.
    pub state: Vec<Value>,
}

impl<'lab> Portsentry<'lab> {
    /// Shares blocks with a fleet, as gateway `gw1`, and trusts these peers.
    #[must_use]
    pub fn in_fleet(self, peers: &str) -> Portsentry<'lab> {
        let socket = self.lab().files().join("run/share.sock").display().to_string();
        self.with("SHARE_SOCKET", &socket).with("GATEWAY_NAME", "gw1").with("PEERS", peers)
    }

    /// Path of its `SHARE_SOCKET`.
    pub fn share_socket(&self) -> PathBuf {
        self.setting("SHARE_SOCKET").into()
    }
}

/// Returns the line for a word.
pub fn line(mut word: Value) -> String {
    word["v"] = 1.into();
    format!("{word}\n")
}

impl Companion {
    /// Connects, and reads the daemon's whole state.
    pub fn join(path: &Path) -> Self {
        let stream = connect(path);
        let mut companion = Self { lines: BufReader::new(stream), state: Vec::new() };
        loop {
            let told = companion.hear().expect("the daemon's state");
            if told["word"] == "synced" {
                return companion;
            }
            companion.state.push(told);
        }
    }

    /// Says a word.
    pub fn say(&mut self, word: Value) {
        self.say_line(&line(word));
    }

    /// Says a word that has been written before.
    pub fn say_line(&mut self, line: &str) {
        self.lines.get_mut().write_all(line.as_bytes()).expect("the daemon reads");
    }

    /// Says that a gateway blocks these sources, for an hour.
    pub fn block(&mut self, gateway: &str, sources: &[IpAddr]) {
        let now = now();
        let blocks: Vec<Value> = sources.iter().map(|source| block(*source, now, now + 3_600_000)).collect();
        self.say(json!({"word": "block", "gateway": gateway, "said": now, "blocks": blocks}));
    }

    /// Reports that it is connected to one of two servers.
    pub fn report(&mut self) {
        let servers = [("a", true), ("b", false)]
            .map(|(name, is_connected)| json!({"name": name, "connected": is_connected}));
        self.say(
            json!({"word": "report", "servers": servers, "certificate": now() + 86_400_000, "waiting": 0}),
        );
    }

    /// Says that an administrator at a gateway lifts a source's blocks.
    pub fn lift(&mut self, gateway: &str, source: IpAddr) {
        self.say(json!({"word": "lift", "gateway": gateway, "addresses": [source], "at": now() + 1}));
    }

    /// Returns the next line, or `None` if the daemon has ended the connection.
    pub fn hear(&mut self) -> Option<Value> {
        let mut line = String::new();
        match self.lines.read_line(&mut line) {
            Ok(0) => None,
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => None,
            Err(error) => panic!("the daemon tells nothing: {error}"),
            Ok(_) => Some(serde_json::from_str(&line).expect("JSON")),
        }
    }

    /// Reads what the daemon tells until this word.
    pub fn hear_until(&mut self, word: &str) -> Value {
        loop {
            let told = self.hear().unwrap_or_else(|| panic!("no `{word}` before the end"));
            if told["word"] == word {
                return told;
            }
        }
    }
}

/// Returns a block's words.
pub fn block(source: IpAddr, since: u64, until: u64) -> Value {
    json!({"address": source, "since": since, "until": until, "proof": "cookie", "kind": "connect", "port": 23,
        "protocol": "tcp"})
}

/// Connects to a socket that will soon be there.
pub fn connect(path: &Path) -> UnixStream {
    let connected = OnceCell::new();
    let connects = || UnixStream::connect(path).is_ok_and(|stream| connected.set(stream).is_ok());
    wait_within(PATIENCE, || format!("in vain: {}", path.display()), connects);
    let stream = connected.into_inner().expect("a connection");
    stream.set_read_timeout(Some(PATIENCE)).expect("a limit");
    stream
}

/// Returns the milliseconds since 1970.
pub fn now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
    u64::try_from(since.as_millis()).expect("before the year 500 million")
}
