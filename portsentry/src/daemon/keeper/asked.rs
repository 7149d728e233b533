//! An administrator's requests at the control socket.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    time::{Duration, SystemTime},
};

use ipnet::IpNet;
use serde_json::{Value, json};

use super::{Keeper, entries::is_of_others};
use crate::{
    config::block_list::is_too_much,
    control::{Answer, Code, Health, Refusal, Request, Trouble},
    host::ssh_ports,
    instant::Time,
    kernel::{self, connections::established_at},
    policy::{
        Hold, Record, is_host as is_single, lockout, name_of, network_of,
        register::{ADMINISTRATOR, Admission, Release, asked},
    },
    sink::{annotation::shortened, blocked_file::is_host},
};

impl Keeper {
    /// Fulfils a request, or returns the reason for refusing it.
    pub(super) fn on_asked(&mut self, request: Request) -> Answer {
        match request {
            Request::Status { .. } => self.health().map_err(|error| failed(&error)),
            Request::Block { addresses, seconds, reason, by, force } => {
                let term = seconds.map(Duration::from_secs);
                self.refuse(&addresses, force)
                    .and_then(|()| self.block(&addresses, term, reason.as_deref(), by.as_deref()))
            }
            Request::Unblock { addresses, reason, here } => {
                self.outside.fleet.is_here = here;
                let answer = self.unblock(&addresses, reason.as_deref());
                self.outside.fleet.is_here = false;
                answer
            }
            Request::Peers {} => Ok(self.report_peers()),
            Request::Claims { address } => Ok(self.report_claims(address.to_canonical())),
            Request::Peer { gateway, action } => self.judge_peer(&gateway, action),
            Request::Allow { networks, remove } => self.allow_all(&networks, !remove),
            Request::Summary {} => {
                self.summarize();
                Ok(json!({}))
            }
            Request::Reload {}
            | Request::List(_)
            | Request::Lists {}
            | Request::Top {}
            | Request::History(_)
            | Request::Events(_)
            | Request::Why { .. } => Err(Refusal::new(Code::Failed, "another thread does that")),
        }
    }

    fn health(&self) -> Result<Value, kernel::Error> {
        let health = Health {
            mode: self.totals.enforcement().into(),
            held: self.register.ledger().len(),
            interfaces: self.attachments.watched(),
            not_watched: self.attachments.lacking(),
            left_out: self.attachments.left_out(),
            unseen: self.attachments.unseen(),
            scope: self.scope.trouble().cloned(),
            counters: self.kernel.counters()?,
            ring: self.kernel.ring().ok(),
            awaited: self.schedule.awaited.count(),
            lost: self.totals.lost,
            last_error: self
                .journal
                .last_error()
                .map(|(time, message)| Trouble { time: Time(*time), message: message.clone() }),
        };
        Ok(serde_json::to_value(health).unwrap_or_default())
    }

    /// Refuses networks that are never blocked and, unless forced, those whose block would lock an administrator out.
    fn refuse(&self, networks: &[IpNet], is_forced: bool) -> Result<(), Refusal> {
        let mut details: Vec<String> = networks
            .iter()
            .filter(|network| !is_host(network.addr()) || self.scope.exempt().cover(**network))
            .map(|network| format!("{} is never blocked", name_of(*network)))
            .chain(networks.iter().filter_map(is_too_much))
            .collect();
        let mut message = "some of them are never blocked; nothing was changed";
        if details.is_empty() && !is_forced {
            details = lockout::dangers(networks, self.scope.exempt(), &ssh_peers());
            message = "some of them would lock you out, or cut this host off; nothing was changed";
        }
        if details.is_empty() {
            return Ok(());
        }
        Err(Refusal { code: Code::Refused, message: message.into(), details })
    }

    fn block(
        &mut self,
        networks: &[IpNet],
        term: Option<Duration>,
        reason: Option<&str>,
        by: Option<&str>,
    ) -> Answer {
        let since = whole_seconds(SystemTime::now());
        let until = match term.map(|term| since.checked_add(term)) {
            Some(None) => return Err(Refusal::new(Code::Refused, "that is too long; leave it out for good")),
            until => until.flatten(),
        };
        let has_terms = until.is_some() || reason.is_some();
        let is_known =
            |network: IpNet| self.register.ledger().get(network).is_some_and(|hold| !hold.is_fence);
        let (unchanged, wanted): (Vec<IpNet>, Vec<IpNet>) =
            networks.iter().partition(|network| is_known(**network) && !has_terms);
        let (mut changed, mut details) = (Vec::new(), Vec::new());
        let signed = by.map(|name| asked(name, reason));
        let reason = signed.as_deref().or(reason).map(shortened);
        for network in wanted {
            let record = Record { network, hold: Hold::ordered(since, until) };
            match self.admit(Admission::Administrator, record, None, reason.as_deref().into()) {
                Ok(()) => changed.push(network),
                Err(error) => details.push(format!("{}: {error}", name_of(network))),
            }
        }
        self.outcome(&changed, &unchanged, details)
    }

    fn unblock(&mut self, networks: &[IpNet], reason: Option<&str>) -> Answer {
        let reason = reason.map_or_else(|| ADMINISTRATOR.into(), shortened);
        let (mut changed, mut unchanged, mut details) = (Vec::new(), Vec::new(), Vec::new());
        let mut inside = BTreeMap::new();
        if networks.iter().any(|network| !is_single(*network))
            && let Err(error) = self.record_unreported()
        {
            return Err(failed(&error));
        }
        for network in networks {
            let is_of_peers = self.lift_for_fleet(*network);
            let mut held = self.holding(*network);
            held.extend(self.register.ledger().within(*network));
            let count = held.iter().filter(|key| *key != network && network.contains(*key)).count();
            if count > 0 {
                inside.insert(name_of(*network), count);
            }
            // A source that isn't held may be a suspect all the same.
            if let Err(error) = self.acquit(*network) {
                self.journal.error(&error);
            }
            let mut release = |key| self.release(Release::Administrator, key, &reason);
            if held.is_empty() && is_of_peers {
                changed.push(*network);
            } else if held.is_empty() {
                unchanged.push(*network);
            } else if held.into_iter().all(&mut release) {
                changed.push(*network);
            } else {
                details.push(format!("{}: the log says why", name_of(*network)));
            }
        }
        self.outcome(&changed, &unchanged, details).map(|mut done| {
            if !inside.is_empty() {
                done["inside"] = json!(inside);
            }
            done
        })
    }

    /// Returns the networks by which a host is blocked or fenced: itself, its network of `IPV6_PREFIX`, or both. A
    /// network blocked by an administrator is released only as a whole.
    fn holding(&self, network: IpNet) -> BTreeSet<IpNet> {
        let in_map = |map: &kernel::Blocked| {
            let (key, block) = map.holding(network.addr()).ok().flatten()?;
            (!is_of_others(&block)).then(|| network_of(key, block.prefix))
        };
        let maps = [in_map(&self.kernel.blocked), in_map(&self.kernel.fenced)];
        let known = [network, self.scope.network_of(network.addr())];
        let known = known.into_iter().filter(|key| self.register.ledger().holds(*key));
        let all = known.chain(maps.into_iter().flatten());
        all.filter(|key| *key == network || self.scope.is_prefix(*key) && key.contains(&network)).collect()
    }

    /// The files must be up to date when the answer is sent.
    fn outcome(&mut self, changed: &[IpNet], unchanged: &[IpNet], details: Vec<String>) -> Answer {
        self.schedule.flush_now();
        self.flush();
        if details.is_empty() {
            let names =
                |networks: &[IpNet]| -> Vec<String> { networks.iter().copied().map(name_of).collect() };
            return Ok(json!({"changed": names(changed), "unchanged": names(unchanged)}));
        }
        let message = format!("{} of them failed, {} were done", details.len(), changed.len());
        Err(Refusal { code: Code::Failed, message, details })
    }
}

/// Returns the peers of connections to this host's SSH servers. The daemon can't see other processes, so it knows
/// the servers by their ports.
fn ssh_peers() -> BTreeMap<IpAddr, &'static str> {
    let connections = ssh_ports().into_iter().flat_map(|port| established_at(port).unwrap_or_default());
    connections.map(|it| (it.peer.ip(), "the peer of an SSH session on this host")).collect()
}

/// Rounded as in the blocked file, so that nothing changes when the file is read again.
fn whole_seconds(time: SystemTime) -> SystemTime {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    SystemTime::UNIX_EPOCH + Duration::from_secs(since.as_secs())
}

fn failed(error: &kernel::Error) -> Refusal {
    Refusal::new(Code::Failed, error.to_string())
}
