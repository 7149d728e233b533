//! What an administrator asks of the keeper at the control socket.

use std::{
    collections::BTreeSet,
    net::IpAddr,
    time::{Duration, Instant, SystemTime},
};

use portsentry_common::{block::Proof, classify::Protocol};
use serde_json::{Value, json};

use super::Keeper;
use crate::{
    control::{Answer, Code, Health, Refusal, Request, Trouble},
    instant::Time,
    kernel,
    policy::{Hold, Record, network_of},
    sink::{annotation::shortened, blocked_file::is_host},
};

impl Keeper {
    /// Does what is asked, or says why not.
    pub(super) fn on_asked(&mut self, request: Request) -> Answer {
        match request {
            Request::Status {} => self.health().map_err(|error| failed(&error)),
            Request::Block { addresses, seconds, reason } => {
                self.block(&addresses, seconds.map(Duration::from_secs), reason.as_deref())
            }
            Request::Unblock { addresses } => self.unblock(&addresses),
            Request::Summary {} => {
                self.summarize();
                Ok(json!({}))
            }
            Request::Reload {} => Err(Refusal::new(Code::Failed, "it is not the keeper's to reload")),
        }
    }

    fn health(&self) -> Result<Value, kernel::Error> {
        let health = Health {
            held: self.ledger.len(),
            interfaces: self.attachments.watched(),
            not_watched: self.attachments.lacking(),
            left_out: self.attachments.left_out(),
            scope: self.scope.trouble().cloned(),
            counters: self.kernel.counters()?,
            ring: self.kernel.ring().ok(),
            lost: self.lost,
            last_error: self
                .journal
                .last_error()
                .map(|(time, message)| Trouble { time: Time(*time), message: message.clone() }),
        };
        Ok(serde_json::to_value(health).unwrap_or_default())
    }

    fn block(&mut self, addresses: &[IpAddr], term: Option<Duration>, reason: Option<&str>) -> Answer {
        let sources: Vec<IpAddr> = addresses.iter().map(IpAddr::to_canonical).collect();
        let details: Vec<String> = sources
            .iter()
            .filter(|source| !is_host(**source) || self.is_exempt(**source))
            .map(|source| format!("{source} is never blocked"))
            .collect();
        if !details.is_empty() {
            let message = "some of them are never blocked; nothing was changed".into();
            return Err(Refusal { code: Code::Refused, message, details });
        }
        let since = whole_seconds(SystemTime::now());
        let until = match term.map(|term| since.checked_add(term)) {
            Some(None) => return Err(Refusal::new(Code::Refused, "that is too long; leave it out for good")),
            until => until.flatten(),
        };
        let has_terms = until.is_some() || reason.is_some();
        let is_known = |source: &IpAddr| self.ledger.get(*source).is_some_and(|hold| !hold.is_fence);
        let (unchanged, wanted): (Vec<IpAddr>, Vec<IpAddr>) =
            sources.into_iter().partition(|source| is_known(source) && !has_terms);
        let (mut changed, mut details) = (Vec::new(), Vec::new());
        for source in wanted {
            let proof = Proof::Administrator;
            let hold = Hold { until, proof, ..Hold::for_good(since, 0, Protocol::Tcp) };
            let record = Record { source, hold };
            match self.hold(&record) {
                Ok(()) => {
                    if let Some(reason) = reason {
                        self.files.explain(source, shortened(reason));
                    }
                    self.journal.restored(&record, "an administrator asked for it");
                    changed.push(source);
                }
                Err(error) => details.push(format!("{source}: {error}")),
            }
        }
        self.outcome(&changed, &unchanged, details)
    }

    fn unblock(&mut self, addresses: &[IpAddr]) -> Answer {
        let sources: Vec<IpAddr> = addresses.iter().map(IpAddr::to_canonical).collect();
        let (mut changed, mut unchanged, mut details) = (Vec::new(), Vec::new(), Vec::new());
        for source in sources {
            let held = self.keys_of(source);
            if held.is_empty() {
                unchanged.push(source);
            } else if held.into_iter().all(|key| self.lift(key, "an administrator asked for it")) {
                changed.push(source);
            } else {
                details.push(format!("{source}: the log says why"));
            }
        }
        self.outcome(&changed, &unchanged, details)
    }

    /// What holds `source`: itself, its network, or both.
    fn keys_of(&self, source: IpAddr) -> BTreeSet<IpAddr> {
        let in_map = |map: &kernel::Blocked| map.holding(source).ok().flatten().map(|(key, _)| key);
        let maps = [in_map(&self.kernel.blocked), in_map(&self.kernel.fenced)];
        let network = network_of(source, self.prefix_of(source)).addr();
        let known = [source, network].into_iter().filter_map(|key| {
            let record = Record { source: key, hold: *self.ledger.get(key)? };
            record.network().contains(&source).then_some(key)
        });
        known.chain(maps.into_iter().flatten()).collect()
    }

    /// The files are to say it when the answer does.
    fn outcome(&mut self, changed: &[IpAddr], unchanged: &[IpAddr], details: Vec<String>) -> Answer {
        self.next_flush = Instant::now();
        self.flush();
        if details.is_empty() {
            return Ok(json!({"changed": changed, "unchanged": unchanged}));
        }
        let message = format!("{} of them failed, {} were done", details.len(), changed.len());
        Err(Refusal { code: Code::Failed, message, details })
    }
}

/// As the blocked file has it, so that nothing changes when it is read again.
fn whole_seconds(time: SystemTime) -> SystemTime {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    SystemTime::UNIX_EPOCH + Duration::from_secs(since.as_secs())
}

fn failed(error: &kernel::Error) -> Refusal {
    Refusal::new(Code::Failed, error.to_string())
}
