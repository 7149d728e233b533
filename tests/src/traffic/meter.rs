//! Counts packets that arrive in a namespace.

use serde_json::Value;

use crate::lab::Namespace;

/// A counter of nftables.
#[derive(Debug)]
pub struct Meter<'lab> {
    namespace: &'lab Namespace,
    name: String,
}

impl<'lab> Meter<'lab> {
    /// Counts the packets that match `expression`. `name` is unique in the namespace.
    pub fn new(namespace: &'lab Namespace, name: &str, expression: &str) -> Self {
        let script = format!(
            "add table ip counted; add counter ip counted {name}; \
             add chain ip counted in {{ type filter hook prerouting priority -300; }}; \
             add rule ip counted in {expression} counter name {name}"
        );
        namespace.run("nft", &[&script]);
        Self { namespace, name: name.into() }
    }

    /// Counts other packets, too.
    #[must_use]
    pub fn and(self, expression: &str) -> Self {
        Self::new(self.namespace, &self.name, expression)
    }

    /// Returns the number of packets.
    pub fn packets(&self) -> u64 {
        let said = self.namespace.run("nft", &["-j", "list", "counter", "ip", "counted", &self.name]);
        let said: Value = serde_json::from_str(&said).expect("JSON");
        let objects = said["nftables"].as_array().expect("objects");
        objects.iter().find_map(|it| it["counter"]["packets"].as_u64()).expect("a number")
    }
}
