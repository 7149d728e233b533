//! The configuration of a demonstration's daemons, and its output.

use std::{
    fmt::Write,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
};

use anyhow::{Result, ensure};

const CONFIG: &str = r#"TCP_PORTS="1,11,15,79,111,119,143,540,635,1080,1524,2000"
UDP_PORTS="1,7,9,69,161,162,513"
BLOCK_TCP="1"
BLOCK_UDP="1"
SCAN_TRIGGER="0"
CHALLENGE="1"
FENCE="open"
XDP_MODE="generic"
KILL_HOSTS_DENY="ALL: $TARGET$ : DENY"
"#;

/// Returns the configuration of a daemon with these directories.
pub(super) fn config(files: &Path, pins: &Path) -> String {
    let files = files.display();
    let mut text = format!("{CONFIG}PIN_PATH=\"{}\"\n", pins.display());
    // The configuration overrides settings whose default path is system-wide.
    for (key, file) in [
        ("IGNORE_FILE", "portsentry.ignore"),
        ("HISTORY_FILE", "portsentry.history"),
        ("BLOCKED_FILE", "portsentry.blocked"),
        ("EVIDENCE_FILE", "portsentry.evidence"),
        ("BLOCK_LIST", "portsentry.blocklist"),
        ("CONTROL_SOCKET", "run/control.sock"),
        ("WRAPPER_HOSTS_DENY", "hosts.deny"),
    ] {
        let _ = writeln!(text, "{key}=\"{files}/{file}\"");
    }
    text
}

pub(super) fn ensure_running(interrupted: &AtomicBool) -> Result<()> {
    ensure!(!interrupted.load(Ordering::Relaxed), "interrupted");
    Ok(())
}

pub(super) fn heading(text: &str) {
    println!("\n== {text}\n");
}
