//! The sources of a frame: those that are blocked or fenced, and those that would be.

use std::{rc::Rc, time::Duration};

use ipnet::IpNet;
use portsentry_common::{block::Block, classify::Protocol};
use serde::{Serialize, Serializer, ser::SerializeStruct};

use crate::{
    inspect::would::Would,
    policy::{ScanKind, State, name_of},
    sink::classic,
};

/// A source.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::command::top) struct Source {
    /// A host, or a network.
    pub address: IpNet,
    pub state: State,
    /// Time since it has been blocked or fenced, or, if it only would be, since its last packet.
    pub age: Duration,
    pub held: Held,
}

/// Whether a source is held.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::command::top) enum Held {
    /// It is blocked or fenced.
    Now {
        /// Packets dropped per second.
        a_second: f64,
        /// Its entry in the kernel's map.
        block: Block,
    },
    /// It would be, but PortSentry only observes.
    Not(Rc<Would>),
}

impl Source {
    /// Whether it only would be held.
    pub(in crate::command::top) const fn is_observed(&self) -> bool {
        matches!(self.held, Held::Not(_))
    }

    /// Returns the number of packets dropped per second.
    pub(in crate::command::top) const fn a_second(&self) -> f64 {
        match self.held {
            Held::Now { a_second, .. } => a_second,
            Held::Not(_) => 0.0,
        }
    }

    /// Returns the number of packets dropped.
    pub(in crate::command::top) const fn dropped(&self) -> u64 {
        match &self.held {
            Held::Now { block, .. } => block.dropped,
            Held::Not(_) => 0,
        }
    }

    /// Returns the number of its probes, or, if it only would be held, of its recorded packets.
    pub(in crate::command::top) fn hits(&self) -> u64 {
        match &self.held {
            Held::Now { block, .. } => block.hits.into(),
            Held::Not(would) => would.packets as u64,
        }
    }

    /// Returns its ports in two lengths: that of the last probe, or all recorded ones. An administrator's block has
    /// none.
    pub(in crate::command::top) fn ports(&self) -> [String; 2] {
        /// Ports that are named one by one.
        const NAMED: usize = 3;
        let would = match &self.held {
            Held::Now { block, .. } => {
                let port = port(block).unwrap_or_else(|| "-".into());
                return [port.clone(), port];
            }
            Held::Not(would) => would,
        };
        let long = would.named_ports(NAMED);
        let first = would.ports.first().map_or("-", String::as_str);
        let short = match would.port_count.saturating_sub(1) {
            0 => first.to_owned(),
            more => format!("{first}+{more}"),
        };
        [long, short]
    }

    /// Returns all recorded ports of a source that would be held.
    pub(super) fn all_ports(&self) -> &[String] {
        match &self.held {
            Held::Now { .. } => &[],
            Held::Not(would) => &would.ports,
        }
    }

    /// Returns the texts in which a filter looks for a port.
    pub(in crate::command::top) fn port_texts(&self) -> Vec<String> {
        match &self.held {
            Held::Now { block, .. } => port(block).into_iter().collect(),
            Held::Not(would) => would.ports.clone(),
        }
    }

    /// Returns the kind of the last probe, or the other cause of the block.
    pub(in crate::command::top) fn kind(&self) -> String {
        match &self.held {
            Held::Now { block, .. } if block.port == 0 => "administrator".into(),
            Held::Now { block, .. } => classic::entry_type(block).unwrap_or_else(|| "unknown".into()),
            Held::Not(would) => would.kind.clone(),
        }
    }

    /// Returns the kind of the last probe in a word or two.
    pub(in crate::command::top) fn short_kind(&self) -> String {
        let kind = self.kind();
        if kind.starts_with("Unknown Type") {
            return "odd flags".into();
        }
        let kind = kind.strip_prefix("TCP ").unwrap_or(&kind);
        if ScanKind::ALL.iter().any(|scan| scan.name() == kind) {
            return kind.into();
        }
        let end = kind.find(['/']).or_else(|| kind.find(" scan")).unwrap_or(kind.len());
        kind[..end].into()
    }

    /// Returns the port and the kind of the last probe, which is in `block`.
    fn probe(&self, block: &Block) -> String {
        port(block).map_or_else(|| self.kind(), |port| format!("{port} {}", self.kind()))
    }

    /// Returns its state for people, in two lengths.
    pub(in crate::command::top) fn states(&self) -> [String; 2] {
        let words = match (self.is_observed(), self.state) {
            (false, _) => [self.state.name(); 2],
            (true, State::Blocked) => ["would be blocked", "would block"],
            (true, State::Fenced) => ["would be fenced", "would fence"],
        };
        words.map(str::to_owned)
    }
}

impl Serialize for Source {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let block = match &self.held {
            Held::Now { block, .. } => block,
            Held::Not(would) => return would.serialize(serializer),
        };
        let mut source = serializer.serialize_struct("Source", 7)?;
        source.serialize_field("address", &name_of(self.address))?;
        source.serialize_field("state", &self.state)?;
        source.serialize_field("a_second", &self.a_second())?;
        source.serialize_field("dropped", &block.dropped)?;
        source.serialize_field("hits", &block.hits)?;
        source.serialize_field("probe", &self.probe(block))?;
        source.serialize_field("age", &self.age.as_secs())?;
        source.end()
    }
}

fn port(block: &Block) -> Option<String> {
    probed(block).map(|(port, protocol)| format!("{port}/{}", protocol.name()))
}

/// Returns the port of the last probe, or `None` for an administrator's block.
pub(super) fn probed(block: &Block) -> Option<(u16, Protocol)> {
    let protocol = Protocol::try_from(block.protocol).ok()?;
    (block.port != 0).then_some((block.port, protocol))
}
