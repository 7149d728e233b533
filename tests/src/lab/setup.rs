//! The configuration file and flags of a daemon.

use std::{
    env,
    fmt::{Display, Write},
    fs,
    path::PathBuf,
    process::Command,
};

use portsentry::config::Config;

use super::{INTERFACE, Lab, installed};

/// Defaults of all tests: enough ports for a scan, and all files and pins in the lab's own directories.
const DEFAULTS: [(&str, &str); 10] = [
    ("TCP_PORTS", "1,7,11,15,79,80,111,119,143"),
    ("UDP_PORTS", "1,7,9,69,161,513"),
    ("BLOCK_TCP", "1"),
    ("BLOCK_UDP", "1"),
    ("KILL_HOSTS_DENY", "ALL: $TARGET$ : DENY"),
    ("SCAN_TRIGGER", "0"),
    ("LOG_FORMAT", "classic"),
    // PortSentry's old behaviour. Other tests cover proof.
    ("BLOCK_UNPROVEN", "1"),
    // Most tests don't depend on the number of traps.
    ("PROOF_TRAPS", "1"),
    // All sources of a lab are in one network.
    ("IPV6_PREFIX", "128"),
];

/// Path of the daemon's program: `PORTSENTRY_BIN`, or the one in this test's target directory.
pub fn binary() -> PathBuf {
    let beside = || {
        let test = env::current_exe().expect("a test knows where it is");
        test.ancestors().nth(2).expect("a test is below a directory of targets").join("portsentry")
    };
    let binary = env::var_os("PORTSENTRY_BIN").map_or_else(beside, PathBuf::from);
    assert!(binary.exists(), "{} is missing: run `cargo build -p portsentry`", binary.display());
    binary
}

/// A daemon yet to be started.
#[derive(Clone, Debug)]
pub struct Portsentry<'lab> {
    lab: &'lab Lab,
    flags: Vec<String>,
    settings: Vec<(String, String)>,
    config: Option<String>,
    is_installed: bool,
    ignored: String,
}

impl<'lab> Portsentry<'lab> {
    pub(super) fn new(lab: &'lab Lab, flags: &str) -> Self {
        let files = lab.files().display();
        let mut new = Self {
            lab,
            flags: flags.split_whitespace().map(Into::into).collect(),
            settings: Vec::new(),
            config: None,
            is_installed: false,
            ignored: String::new(),
        };
        for (key, value) in DEFAULTS {
            new = new.with(key, value);
        }
        new.with("IGNORE_FILE", &format!("{files}/portsentry.ignore"))
            .with("HISTORY_FILE", &format!("{files}/portsentry.history"))
            .with("BLOCKED_FILE", &format!("{files}/portsentry.blocked"))
            .with("WRAPPER_HOSTS_DENY", &format!("{files}/hosts.deny"))
            .with("EVIDENCE_FILE", &format!("{files}/portsentry.evidence"))
            .with("CONTROL_SOCKET", &format!("{files}/run/control.sock"))
            .with("PIN_PATH", &lab.pins().display().to_string())
    }

    /// Sets `key`, replacing any earlier value.
    #[must_use]
    pub fn with(mut self, key: &str, value: &str) -> Self {
        self.settings.retain(|(set, _)| set != key);
        self.settings.push((key.into(), value.into()));
        self
    }

    /// Leaves `key` out.
    #[must_use]
    pub fn without(mut self, key: &str) -> Self {
        self.settings.retain(|(set, _)| set != key);
        self
    }

    /// Uses `text` as the configuration file, instead of all settings.
    #[must_use]
    pub fn with_config(mut self, text: &str) -> Self {
        self.config = Some(text.into());
        self
    }

    /// Installs the daemon: `text` becomes the configuration file in `/etc`, its paths stay as they are, and the
    /// daemon is started with only its flags.
    #[must_use]
    pub fn installed(mut self, text: &str) -> Self {
        let (config, _) = Config::parse(text, "portsentry.conf").unwrap_or_else(|report| panic!("{report}"));
        for (key, path) in [
            ("IGNORE_FILE", config.ignore_file),
            ("HISTORY_FILE", config.history_file),
            ("BLOCKED_FILE", config.blocked_file),
            ("WRAPPER_HOSTS_DENY", config.wrapper_hosts_deny),
            ("PIN_PATH", config.pin_path),
        ] {
            self = self.with(key, &path.display().to_string());
        }
        self.is_installed = true;
        self.with("SCAN_TRIGGER", &config.scan_trigger.to_string()).with_config(text)
    }

    /// Whether its files and maps are in their installed places, visible only to itself.
    pub(super) fn is_installed(&self) -> bool {
        self.is_installed
    }

    /// Path of the file in setting `key`.
    pub fn path(&self, key: &str) -> PathBuf {
        let path = PathBuf::from(self.setting(key));
        if self.is_installed { installed::place(self.lab, &path) } else { path }
    }

    /// Adds `network` to the ignore file.
    #[must_use]
    pub fn ignoring(mut self, network: impl Display) -> Self {
        let _ = writeln!(self.ignored, "{network}");
        self
    }

    /// Value of setting `key`.
    pub fn setting(&self, key: &str) -> &str {
        let found = self.settings.iter().find(|(set, _)| set == key);
        found.map_or_else(|| panic!("{key} isn't set"), |(_, value)| value.as_str())
    }

    fn has(&self, key: &str) -> bool {
        self.settings.iter().any(|(set, _)| set == key)
    }

    /// The lab in which it will run.
    pub fn lab(&self) -> &'lab Lab {
        self.lab
    }

    /// Whether the flags watch UDP but not TCP.
    pub(super) fn is_udp_only(&self) -> bool {
        let has =
            |letter| self.flags.iter().any(|flag| flag.ends_with("tcp") == letter && flag.ends_with('p'));
        has(false) && !has(true)
    }

    /// Writes the files, and returns the command that starts the daemon.
    pub fn command(&self) -> Command {
        if self.is_installed {
            installed::furnish(self.lab, self.config.as_deref().unwrap_or_default(), &self.ignored);
            let mut command = installed::command(self.lab);
            command.arg(binary()).args(&self.flags);
            return command;
        }
        let config = self.write_files();
        let mut command = self.lab.host.command(binary());
        command.args(["-l", "stdout", "-c"]).arg(config).args(&self.flags);
        if !self.flags.iter().any(|flag| flag == "-i") && !self.has("INTERFACES") {
            command.args(["-i", INTERFACE]);
        }
        command
    }

    /// Path of the configuration file.
    pub fn config_path(&self) -> PathBuf {
        self.lab.files().join("portsentry.conf")
    }

    fn write_files(&self) -> PathBuf {
        fs::write(self.lab.files().join("portsentry.ignore"), &self.ignored).expect("an ignore file");
        self.write();
        self.config_path()
    }

    /// Writes the configuration file, for a running daemon to reload.
    pub fn write(&self) {
        let text = self.config.clone().unwrap_or_else(|| {
            self.settings.iter().fold(String::new(), |mut text, (key, value)| {
                let _ = writeln!(text, "{key}=\"{value}\"");
                text
            })
        });
        fs::write(self.config_path(), text).expect("a configuration file");
    }
}
