//! The kernel's maps, as an administrator sees them with bpftool.

use std::{
    fs,
    net::{IpAddr, Ipv6Addr},
    path::Path,
    process::Command,
};

use serde_json::Value;

/// Returns the sources in the blocked maps below `pins`.
pub(super) fn blocked(pins: &Path) -> Vec<IpAddr> {
    sources(pins, ["BLOCKED_V4", "BLOCKED_V6"])
}

/// Returns the sources in the fenced maps below `pins`.
pub(super) fn fenced(pins: &Path) -> Vec<IpAddr> {
    sources(pins, ["FENCED_V4", "FENCED_V6"])
}

fn sources(pins: &Path, maps: [&str; 2]) -> Vec<IpAddr> {
    let entries = maps.iter().flat_map(|map| dump(&pins.join(map)));
    entries.map(|entry| address(&entry["formatted"]["key"]["octets"])).collect()
}

/// Returns the counter in field `name`, summed over the CPUs.
pub fn counter(pins: &Path, name: &str) -> u64 {
    let entries = dump(&pins.join("COUNTERS"));
    let cpus = entries.iter().flat_map(|entry| entry["formatted"]["values"].as_array().into_iter().flatten());
    cpus.map(|cpu| cpu["value"][name].as_u64().unwrap_or_else(|| panic!("{name} isn't in {cpu}"))).sum()
}

/// Returns a pinned map's entries, as bpftool prints them in JSON.
pub fn dump(map: &Path) -> Vec<Value> {
    let dumped = Command::new("bpftool").args(["-j", "map", "dump", "pinned"]).arg(map).output();
    let dumped = dumped.expect("`bpftool` of the Debian package bpftool");
    let problem = String::from_utf8_lossy(&dumped.stderr);
    assert!(dumped.status.success(), "bpftool map dump pinned {}: {problem}", map.display());
    let entries: Vec<Value> = serde_json::from_slice(&dumped.stdout).expect("bpftool prints JSON");
    // bpftool prints an error as the value of an entry deleted during its walk.
    entries.into_iter().filter(|entry| entry["value"]["error"].is_null()).collect()
}

fn address(octets: &Value) -> IpAddr {
    let octets: Vec<u8> = serde_json::from_value(octets.clone()).expect("an address has octets");
    if let Ok(octets) = <[u8; 4]>::try_from(octets.as_slice()) {
        return octets.into();
    }
    Ipv6Addr::from(<[u8; 16]>::try_from(octets).expect("an IPv6 address has 16")).into()
}

/// Removes a directory of pins. On bpffs `remove_dir_all` can't safely distinguish files from directories.
pub fn remove_pins(directory: &Path) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() { remove_pins(&path) } else { drop(fs::remove_file(path)) }
    }
    // A failed clean-up must not hide the test's own failure.
    let _ = fs::remove_dir(directory);
}
