//! Spares clients of this host's services. The kernel program can't look up a source's connections, so the keeper
//! does, once a source has completed enough handshakes with traps.

use std::time::{Duration, Instant};

use ipnet::IpNet;
use portsentry_common::{
    block::{Block, Origin, Proof},
    decide::{Verdict, is_proven},
};

use super::Keeper;
use crate::{
    kernel,
    policy::{Sighting, name_of},
};

/// Interval at which connections of fenced sources are looked at.
const LOOK: Duration = Duration::from_secs(10);

impl Keeper {
    /// Turns the block that `sighting` reports into a fence, if its source has an established connection and has
    /// not yet completed four times as many handshakes. The block was in force for a moment, and TCP retransmits
    /// the packets dropped meanwhile.
    pub(super) fn spare(&mut self, sighting: &mut Sighting) {
        if sighting.verdict == Verdict::Block
            && sighting.proof == Proof::Cookie
            && self.spares(sighting.network())
        {
            sighting.verdict = Verdict::Fence;
            sighting.proof = Proof::None;
        }
    }

    /// Does the same for a source whose block was found in the map. Returns whether it is spared.
    pub(super) fn spares(&mut self, network: IpNet) -> bool {
        self.try_spare(network).unwrap_or_else(|error| {
            self.journal.error(&error);
            false
        })
    }

    fn try_spare(&mut self, network: IpNet) -> Result<bool, kernel::Error> {
        let source = network.addr();
        let Some(block) = self.kernel.blocked.get(source)? else { return Ok(false) };
        let is_ours = block.origin == Origin::Trigger as u8 && block.proof == Proof::Cookie as u8;
        if !is_ours || is_proven(block.hits, true, &self.spare.settings) || !self.is_connected(network) {
            return Ok(false);
        }
        self.kernel.handshakes.vouch(source)?;
        let fence_ns =
            u64::try_from(Duration::from_secs(self.register.fence_seconds()).as_nanos()).unwrap_or(u64::MAX);
        let until_ns = block.since_ns.unsigned_abs().saturating_add(fence_ns);
        let fence = Block { until_ns, proof: Proof::None as u8, mirrored: 0, ..block };
        // The fence comes first: the source must never be free.
        self.kernel.fenced.insert(source, &fence)?;
        self.kernel.blocked.remove(source)?;
        self.journal.note(&format!(
            "Host {} has an established connection to this host: fenced, not blocked (handshakes with {} traps)",
            name_of(network),
            block.hits
        ));
        Ok(true)
    }

    /// Makes clients of the fenced sources whose connections have lasted.
    pub(super) fn promote_lasting(&mut self) {
        let now = Instant::now();
        if now < self.spare.look {
            return;
        }
        let promoted = self.kernel.opened().and_then(|keys| {
            let due = self.spare.opened.due(&keys, now);
            due.iter().try_for_each(|key| self.kernel.forget_opened(key))
        });
        if let Err(error) = promoted {
            self.journal.error(&error);
        }
        // A full map is read within a twentieth of the time.
        self.spare.look = now + LOOK.max(now.elapsed() * 20);
    }

    /// Whether `source` has an established connection to this host.
    pub(super) fn is_connected(&mut self, source: IpNet) -> bool {
        let kernel = &self.kernel;
        let was_opened = |peer, port| kernel.was_opened(peer, port);
        self.spare.is_connected(source, was_opened).unwrap_or_else(|error| {
            self.journal.error(&format!("looking for connections of {source}: {error}"));
            false
        })
    }
}
