//! The service's log.

use portsentry::systemd::Program;

pub const LOG: Program = Program("portsentry-notify");
