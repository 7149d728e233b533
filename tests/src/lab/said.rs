//! Output of portsentry's commands.

use std::{
    fs,
    net::IpAddr,
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use serde_json::Value;

use super::{Log, Portsentry, binary};

/// Runs a command until it ends.
pub(super) fn said(mut command: Command) -> Said {
    let ended = command.output().expect("a command starts");
    let [out, errors] = [ended.stdout, ended.stderr].map(|text| String::from_utf8(text).expect("UTF-8"));
    Said { out, errors, code: ended.status.code().expect("no signal") }
}

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

/// A command that runs. Dropping it ends it.
#[derive(Debug)]
pub struct Listener {
    child: Child,
    /// Its lines on standard output.
    pub out: Log,
    /// Its lines on standard error.
    pub errors: Log,
}

impl Drop for Listener {
    fn drop(&mut self) {
        // The process may have ended before.
        let _ = self.child.kill();
        let _ = self.child.wait();
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
        // The test's own user is no part of the history.
        command.env_remove("SUDO_USER").env_remove("DOAS_USER");
        command.arg("-c").arg(self.config_path()).args(words);
        said(command)
    }

    /// Runs `portsentry WORDS` with this configuration, as root by sudo(8) of the user with this name.
    pub fn say_by(&self, name: &str, words: &str) -> Said {
        let mut command = self.lab().host.command(binary());
        command.env("SUDO_USER", name).arg("-c").arg(self.config_path()).args(words.split_whitespace());
        said(command)
    }

    /// Runs `portsentry WORDS` with this configuration and the time zone `TZ`.
    pub fn say_in(&self, zone: &str, words: &str) -> Said {
        let mut command = self.lab().host.command(binary());
        command.env("TZ", zone).arg("-c").arg(self.config_path()).args(words.split_whitespace());
        said(command)
    }

    /// Runs `portsentry WORDS` with this configuration as the user and group with this number, without privileges.
    pub fn say_as(&self, user: u32, words: &str) -> Said {
        said(self.command_as(user, words))
    }

    /// Starts `portsentry WORDS` as such a user, and follows its output, including errors.
    pub fn listen_as(&self, user: u32, words: &str) -> Listener {
        let mut command = self.command_as(user, words);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("a command starts");
        let [out, errors] = [Log::default(), Log::default()];
        out.follow(child.stdout.take().expect("a pipe"));
        errors.follow(child.stderr.take().expect("a pipe"));
        Listener { child, out, errors }
    }

    fn command_as(&self, user: u32, words: &str) -> Command {
        let user = user.to_string();
        let mut command = self.lab().host.command("setpriv");
        command.args(["--reuid", &user, "--regid", &user, "--clear-groups"]).arg(self.open());
        command.arg("-c").arg(self.config_path()).args(words.split_whitespace());
        command
    }

    /// Lets other users read the files and run the program, as after an installation. Returns the program's copy.
    fn open(&self) -> PathBuf {
        let program = self.lab().files().join("portsentry");
        if !program.exists() {
            fs::set_permissions(self.lab().files(), fs::Permissions::from_mode(0o755)).expect("a mode");
            // Copied in a separate process: concurrently started processes would inherit the file while it is open
            // for writing.
            let copied = Command::new("cp").arg(binary()).arg(&program).status();
            assert!(copied.is_ok_and(|copied| copied.success()), "a copy of the program");
        }
        program
    }

    /// Returns the entry of `source` in the list that `portsentry WORDS` prints as JSON.
    pub fn entry(&self, words: &str, source: IpAddr) -> Option<Value> {
        let listed = self.say(words).json();
        let mut entries = listed.as_array().expect("a list").iter();
        entries.find(|entry| entry["address"] == source.to_string()).cloned()
    }
}
