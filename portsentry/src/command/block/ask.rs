//! Asks the running daemon at its control socket.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;
use serde::Deserialize;

use super::{super::table, report::Report};
use crate::{
    control::{Code, Refusal, Request, client},
    daemon::Options,
    exit::Exit,
    policy::is_host,
    sink::Change,
};

/// Addresses per request, which has room for about twice as many.
const AT_ONCE: usize = 50;

/// Asks the running daemon; returns `None` if none answers.
pub(super) fn ask(
    options: &Options,
    change: &Change,
    networks: &BTreeSet<IpNet>,
    request: &dyn Fn(Vec<IpNet>) -> Request,
    report: &mut Report,
) -> Option<Exit> {
    #[derive(Deserialize)]
    struct Done {
        changed: Vec<String>,
        unchanged: Vec<String>,
        /// Numbers of entries lifted with networks that hold them.
        #[serde(default)]
        inside: BTreeMap<String, usize>,
    }
    let socket = options.config.control_socket.as_deref()?;
    let (done, not_needed) = match change {
        Change::Block(_) => ("blocked", "already blocked"),
        Change::Unblock => ("unblocked", "is not blocked"),
    };
    // Hosts before networks, as people read them.
    let mut networks: Vec<IpNet> = networks.iter().copied().collect();
    networks.sort_by_key(|network| !is_host(*network));
    for (turn, some) in networks.chunks(AT_ONCE).enumerate() {
        let answer = match client::ask(socket, &request(some.to_vec())) {
            // The daemon has ended meanwhile, or never ran.
            None if turn == 0 => return None,
            None => Err(Refusal::new(Code::Failed, "the daemon ended in the meantime")),
            Some(answer) => answer,
        };
        let answer = answer.and_then(|value| {
            serde_json::from_value::<Done>(value)
                .map_err(|error| Refusal::new(Code::Failed, error.to_string()))
        });
        match answer {
            Ok(Done { changed, unchanged, inside }) => {
                for source in &changed {
                    match inside.get(source) {
                        Some(1) => report.change(source, format!("{done}, with the one entry in it")),
                        Some(count) => report.change(source, format!("{done}, with {count} entries in it")),
                        None => report.change(source, done),
                    }
                }
                unchanged.iter().for_each(|source| report.leave(source, not_needed));
            }
            Err(refusal) => {
                refusal.details.iter().for_each(|line| eprintln!("portsentry: {}", table::plain(line)));
                eprintln!("portsentry: {}", table::plain(&refusal.message));
                return Some(Exit::Failure);
            }
        }
    }
    Some(Exit::Success)
}
