//! Watched ports of this host.

pub(super) const OWN: &str = "198.51.100.1:23";
pub(super) const OWN_V6: &str = "[2001:db8::1]:23";
pub(super) const OWN_UDP: &str = "198.51.100.1:69";
