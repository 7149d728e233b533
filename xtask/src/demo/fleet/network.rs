//! The network of the fleet's demonstration.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result};
use tempfile::TempDir;

use super::super::stage::ip;

pub(super) const GATEWAYS: [&str; 3] = ["gw1", "gw2", "gw3"];
/// The servers' names are their addresses.
pub(super) const SERVERS: [&str; 3] = ["198.51.100.11", "198.51.100.12", "198.51.100.13"];
pub(super) const SCANNERS: [&str; 2] = ["198.51.100.98", "198.51.100.99"];
const SWITCH: &str = "switch";
const SCANNER: &str = "scanner";

/// Namespaces joined by a switch, and a directory for files. Dropping it removes everything.
pub(super) struct Network {
    files: TempDir,
}

impl Network {
    /// Creates the namespaces, after removing leftovers of a killed run.
    pub(super) fn open() -> Result<Self> {
        sweep();
        let files = TempDir::with_prefix("portsentry-demo-").context("making a directory for the files")?;
        let network = Self { files };
        let switch = namespace(SWITCH);
        ip(&["netns", "add", &switch])?;
        ip(&["-n", &switch, "link", "add", "br0", "type", "bridge", "mcast_snooping", "0"])?;
        ip(&["-n", &switch, "link", "set", "br0", "up"])?;
        for gateway in GATEWAYS {
            plug_in(gateway, &[&gateway_address(gateway)])?;
        }
        for server in SERVERS {
            plug_in(server, &[server])?;
        }
        plug_in(SCANNER, &SCANNERS)?;
        Ok(network)
    }

    pub(super) fn files(&self) -> &Path {
        self.files.path()
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        sweep();
    }
}

/// Returns a gateway's address.
pub(super) fn gateway_address(gateway: &str) -> String {
    gateway.replace("gw", "198.51.100.")
}

/// Returns the directory of a gateway's pins.
pub(super) fn pins(gateway: &str) -> PathBuf {
    format!("/sys/fs/bpf/portsentry-fleet-{gateway}").into()
}

/// Returns the name of a member's namespace.
pub(super) fn namespace(member: &str) -> String {
    format!("portsentry-fleet-{member}")
}

fn plug_in(member: &str, addresses: &[&str]) -> Result<()> {
    let (own, switch) = (namespace(member), namespace(SWITCH));
    // A name of an interface has at most 15 characters.
    let port = format!("p{}", member.replace('.', ""));
    ip(&["netns", "add", &own])?;
    ip(&["-n", &switch, "link", "add", &port, "type", "veth", "peer", "name", "eth0", "netns", &own])?;
    ip(&["-n", &switch, "link", "set", &port, "master", "br0", "up"])?;
    ip(&["-n", &own, "link", "set", "lo", "up"])?;
    for address in addresses {
        ip(&["-n", &own, "address", "add", &format!("{address}/24"), "dev", "eth0"])?;
    }
    ip(&["-n", &own, "link", "set", "eth0", "up"])
}

/// Removes namespaces and pins; missing ones are no error.
fn sweep() {
    for member in GATEWAYS.iter().chain(&SERVERS).chain(&[SCANNER, SWITCH]) {
        let namespace = namespace(member);
        let _ = Command::new("ip").args(["netns", "delete", &namespace]).stderr(Stdio::null()).status();
    }
    for gateway in GATEWAYS {
        let _ = fs::remove_dir_all(pins(gateway));
    }
}
