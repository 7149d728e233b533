//! This host's names and addresses.

use std::collections::HashSet;

use nix::ifaddrs::getifaddrs;

/// Returns the system's name.
pub fn name() -> String {
    portsentry::host::name().unwrap_or_else(|| "localhost".into())
}

/// Returns all names and addresses, in lower case, and `others`.
pub fn own(host: &str, others: &[String]) -> Vec<String> {
    let mut own: HashSet<String> = others.iter().cloned().collect();
    for name in [&name(), host] {
        own.insert(name.to_lowercase());
        own.extend(name.split('.').next().map(str::to_lowercase));
    }
    for interface in getifaddrs().into_iter().flatten() {
        let Some(address) = interface.address else { continue };
        own.extend(address.as_sockaddr_in().map(|address| address.ip().to_string()));
        own.extend(address.as_sockaddr_in6().map(|address| address.ip().to_string()));
    }
    own.remove("");
    own.into_iter().collect()
}
