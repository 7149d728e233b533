//! Details of blocks and fences from the evidence file: the probe's kind, and the source's proof.

use std::{collections::BTreeMap, path::Path, time::SystemTime};

use ipnet::IpNet;
use jiff::Timestamp;
use portsentry_common::block::Proof;

use super::{
    WriteError,
    evidence::{self, Done, Seen},
};
use crate::policy::{BlockId, is_same_moment, register::HistoryAction};

/// A packet that caused a block or fence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Time of the packet.
    pub time: SystemTime,
    /// Whether it caused a fence rather than a block.
    pub is_fence: bool,
    /// Its kind, in 1.2's words.
    pub kind: String,
    /// The proof that its source sent it.
    pub proof: Proof,
}

/// All decisions in the evidence file, by source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decided {
    decisions: BTreeMap<IpNet, Vec<Decision>>,
    ids: BTreeMap<IpNet, Vec<Identified>>,
}

/// The id of a decision at some time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Identified {
    time: SystemTime,
    /// Whether the network was released at that time rather than admitted.
    is_lift: bool,
    id: BlockId,
}

impl Decided {
    /// Reads the evidence at `path`. Returns no decisions without a file.
    pub fn read(path: Option<&Path>) -> Result<Self, WriteError> {
        let (seen, done) = path.map(evidence::all).transpose()?.unwrap_or_default();
        let mut decided: Self = seen.into_iter().collect();
        done.iter().for_each(|done| decided.add(done));
        Ok(decided)
    }

    /// Adds a block or fence for which no packet is recorded.
    fn add(&mut self, done: &Done) {
        let is_fence = done.action == "fenced";
        let (Some(network), Some((time, proof))) = (done.network(), done.proven()) else { return };
        if let Some(id) = done.id {
            let is_lift = done.action == HistoryAction::Lifted.name();
            self.ids.entry(network).or_default().push(Identified { time, is_lift, id });
        }
        let known = self.at(network, time, is_fence);
        if (is_fence || done.action == "blocked") && known.is_none() {
            let kind = done.kind.clone().unwrap_or_default();
            self.decisions.entry(network).or_default().push(Decision { time, is_fence, kind, proof });
        }
    }

    /// Returns the id of the block or fence of `network` that began, or was released, at about that time.
    #[must_use]
    pub fn id_at(&self, network: IpNet, time: SystemTime, is_lift: bool) -> Option<BlockId> {
        let of = self.ids.get(&network)?.iter().filter(|of| of.is_lift == is_lift);
        let near = of.filter(|of| is_same_moment(of.time, time));
        near.min_by_key(|of| of.time.duration_since(time).unwrap_or_else(|error| error.duration()))
            .map(|of| of.id)
    }

    /// Returns the decision about `network` at about that time.
    #[must_use]
    pub fn at(&self, network: IpNet, time: SystemTime, is_fence: bool) -> Option<&Decision> {
        let apart = |decision: &&Decision| {
            let earlier = decision.time.duration_since(time);
            earlier.unwrap_or_else(|error| error.duration())
        };
        let near = self.decisions.get(&network)?.iter().filter(|decision| decision.is_fence == is_fence);
        near.filter(|decision| is_same_moment(decision.time, time)).min_by_key(apart)
    }
}

impl FromIterator<Seen> for Decided {
    fn from_iter<T: IntoIterator<Item = Seen>>(all: T) -> Self {
        let mut decided = Self::default();
        for seen in all {
            let (is_fence, network) = (seen.verdict == "fence", seen.network());
            let Some((time, proof)) = seen.time.parse::<Timestamp>().ok().zip(Proof::named(&seen.proof))
            else {
                continue;
            };
            if is_fence || seen.verdict == "block" {
                let decision = Decision { time: time.into(), is_fence, kind: seen.kind, proof };
                decided.decisions.entry(network).or_default().push(decision);
            }
        }
        decided
    }
}

#[cfg(test)]
mod tests {
    use portsentry_common::decide::Verdict;

    use std::time::Duration;

    use super::*;
    use crate::policy::{Sighting, sample_sighting};

    #[test]
    fn a_decision_is_found_by_source_time_and_what_was_decided() {
        let fence = Sighting { verdict: Verdict::Fence, ..sample_sighting() };
        let block = Sighting {
            verdict: Verdict::Block,
            proof: Proof::Cookie,
            time: fence.time + Duration::from_secs(1),
            ..fence.clone()
        };
        let counted = Sighting { verdict: Verdict::Counted, proof: Proof::Connection, ..fence.clone() };
        let decided: Decided = [&fence, &block, &counted].into_iter().map(Seen::from).collect();
        let proof = |seconds: u64, is_fence| {
            let time = fence.time + Duration::from_secs(seconds);
            decided.at(fence.network(), time, is_fence).map(|decision| decision.proof)
        };
        assert_eq!((proof(0, true), proof(0, false)), (Some(Proof::None), Some(Proof::Cookie)));
        assert_eq!((proof(2, true), proof(2, false)), (None, Some(Proof::Cookie)));
        assert_eq!(proof(3, false), None);
        assert_eq!(decided.at("203.0.113.250/32".parse().unwrap(), fence.time, true), None);
    }
}
