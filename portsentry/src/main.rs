//! The `portsentry` command.
fn main() {}
