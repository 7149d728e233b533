//! A real CrowdSec with its Local API alone: a database of its own, and no Central API.

use std::{fs, path::PathBuf};

use tempfile::TempDir;

use super::{Namespace, fleet::Process};
use crate::document::root;

/// A Local API at 127.0.0.1:8080 of a namespace.
#[derive(Debug)]
pub struct CrowdSec<'n> {
    namespace: &'n Namespace,
    files: TempDir,
    process: Option<Process>,
}

impl<'n> CrowdSec<'n> {
    /// The key of the gateway's bouncer.
    pub const KEY: &'static str = "0123456789abcdef";
    /// The password of its machine.
    pub const PASSWORD: &'static str = "a password";

    /// Starts it, with a machine and a bouncer for the gateway.
    pub fn start(namespace: &'n Namespace) -> Self {
        let files = TempDir::with_prefix("portsentry-crowdsec-").expect("a directory for files");
        let path = files.path().display();
        let text = format!(
            "common: {{daemonize: false, log_media: stdout, log_level: info, working_dir: .}}\n\
             config_paths: {{config_dir: {path}, data_dir: {path}, simulation_path: {path}/simulation.yaml, hub_dir: {path}, \
             index_path: {path}/index.json}}\n\
             cscli: {{output: raw}}\n\
             db_config: {{type: sqlite, use_wal: true, db_path: {path}/crowdsec.db}}\n\
             api:\n  client: {{credentials_path: {path}/client.yaml}}\n  \
             server: {{listen_uri: \"127.0.0.1:8080\", profiles_path: {path}/profiles.yaml}}\n\
             prometheus: {{enabled: false}}\n"
        );
        let write = |name: &str, text: &str| fs::write(files.path().join(name), text).expect("a file");
        write("config.yaml", &text);
        write("index.json", "{}");
        write("simulation.yaml", "simulation: off\n");
        write("client.yaml", "");
        write("profiles.yaml", "name: none\nfilters: [\"false\"]\ndecisions: []\n");
        let mut crowdsec = Self { namespace, files, process: None };
        let credentials = crowdsec.files.path().join("client.yaml").display().to_string();
        crowdsec.cscli(&[
            "machines",
            "add",
            "admin",
            "--password",
            "admin",
            "--file",
            &credentials,
            "--url",
            "http://127.0.0.1:8080",
        ]);
        crowdsec.cscli(&["machines", "add", "gw1", "--password", Self::PASSWORD, "--file", "/dev/null"]);
        crowdsec.cscli(&["bouncers", "add", "gw1", "--key", Self::KEY]);
        crowdsec.resume();
        crowdsec
    }

    /// Returns the lines of `share.conf` for both directions.
    pub fn lines(state: &TempDir) -> String {
        format!(
            "CROWDSEC_URL=\"http://127.0.0.1:8080\"\nCROWDSEC_MACHINE=\"gw1\"\nCROWDSEC_PASSWORD=\"{}\"\n\
             CROWDSEC_KEY=\"{}\"\nSTATE_DIRECTORY=\"{}\"\n",
            Self::PASSWORD,
            Self::KEY,
            state.path().display()
        )
    }

    /// Starts it again with its database.
    pub fn resume(&mut self) {
        let mut command = self.namespace.command(program("crowdsec"));
        command.arg("-c").arg(self.config()).arg("-no-cs");
        let process = Process::start(command);
        process.log.wait_for("Local API listening");
        self.process = Some(process);
    }

    /// Kills it.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Stops or continues the process.
    pub fn signal(&self, signal: &str) {
        self.process.as_ref().expect("it runs").signal(signal);
    }

    /// Runs `cscli`, which must succeed. Returns its output.
    pub fn cscli(&self, words: &[&str]) -> String {
        let mut command = self.namespace.command(program("cscli"));
        let ended = command.arg("-c").arg(self.config()).args(words).output().expect("cscli");
        let text = String::from_utf8_lossy(&ended.stdout).into_owned();
        assert!(ended.status.success(), "cscli {words:?}: {text}{}", String::from_utf8_lossy(&ended.stderr));
        text
    }

    /// Returns the banned addresses and networks, sorted, of the decisions whose reason is this.
    pub fn banned(&self, reason: &str) -> Vec<String> {
        let listed = self.cscli(&["decisions", "list", "--limit", "0", "--output", "json"]);
        let alerts: serde_json::Value = serde_json::from_str(&listed).expect("JSON");
        let alerts = alerts.as_array().cloned().unwrap_or_default();
        let decisions =
            alerts.iter().flat_map(|alert| alert["decisions"].as_array().cloned().unwrap_or_default());
        let banned = decisions.filter(|decision| decision["scenario"] == reason);
        let mut banned: Vec<String> =
            banned.filter_map(|it| it["value"].as_str().map(str::to_owned)).collect();
        banned.sort();
        banned
    }

    fn config(&self) -> PathBuf {
        self.files.path().join("config.yaml")
    }
}

fn program(name: &str) -> PathBuf {
    fs::canonicalize(root().join("target/tools/crowdsec/usr/bin").join(name))
        .expect("run `cargo xtask test crowdsec::`")
}
