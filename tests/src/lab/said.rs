//! Output of portsentry's commands.

use std::net::IpAddr;

use serde_json::Value;

use super::{Portsentry, binary};

/// A command's output and exit code.
#[derive(Clone, Debug)]
pub struct Said {
    /// To standard output.
    pub out: String,
    /// To standard error.
    pub errors: String,
    /// The exit code.
    pub code: i32,
}

impl Said {
    /// The output as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}{}", self.out, self.errors))
    }
}

impl Portsentry<'_> {
    /// Runs `portsentry WORDS` with this configuration. No word may contain a space.
    pub fn say(&self, words: &str) -> Said {
        self.say_words(&words.split_whitespace().collect::<Vec<_>>())
    }

    /// Runs `portsentry WORDS` with this configuration. Words may contain spaces.
    pub fn say_words(&self, words: &[&str]) -> Said {
        let mut command = self.lab().host.command(binary());
        command.arg("-c").arg(self.config_path()).args(words);
        let ended = command.output().expect("portsentry starts");
        let [out, errors] = [ended.stdout, ended.stderr].map(|text| String::from_utf8(text).expect("UTF-8"));
        Said { out, errors, code: ended.status.code().expect("no signal") }
    }
    /// Returns the entry of `source` in the list that `portsentry WORDS` prints as JSON.
    pub fn entry(&self, words: &str, source: IpAddr) -> Option<Value> {
        let listed = self.say(words).json();
        let mut entries = listed.as_array().expect("a list").iter();
        entries.find(|entry| entry["address"] == source.to_string()).cloned()
    }
}
