//! Log lines about the `KILL_*` actions.

use ipnet::IpNet;

use super::{
    super::{
        blocked_file::is_prefix,
        event::{Action, Event, Field},
        runner::{Outcome, Purpose, Ran},
    },
    ATTACK, Log, loss,
};
use crate::policy::{BlockId, name_of};

impl Log {
    /// Logs that `hosts.deny` now names a network.
    pub fn denied(&mut self, (network, id): (IpNet, Option<BlockId>), line: &str) {
        let source = host_of(network);
        let event = Event::new(Action::Deny).about_network(network).id(id).with(Field::CommandLine, line);
        let event = event.with(Field::Setting, "KILL_HOSTS_DENY");
        let text = format!("Host {source} has been blocked via wrappers with string: \"{line}\"");
        self.attack_line(&event, &text);
    }

    /// Logs the number of sources that were added to `hosts.deny` without separate log lines.
    pub fn denied_more(&mut self, count: usize) {
        let event =
            Event::new(Action::Deny).with(Field::Count, count).with(Field::Setting, "KILL_HOSTS_DENY");
        self.admin(&event, &format!("{count} more hosts added to hosts.deny"));
    }

    /// Logs the end of a command, in 1.2's words if it succeeded.
    pub fn ran(&mut self, ran: &Ran) {
        let Ran { network, purpose, shown, outcome, .. } = ran;
        let source = host_of(*network);
        let event = command_event(ran);
        let done = match (outcome, purpose) {
            (Outcome::Done(output), Purpose::Route) => {
                let how = format!("has been blocked via dropped route using command: \"{shown}\"");
                Some((format!("Host {source} {how}"), output))
            }
            (Outcome::Done(output), Purpose::RouteLift) => {
                Some((format!("Dropped route for host {source} undone using command: \"{shown}\""), output))
            }
            (Outcome::Done(output), Purpose::Command | Purpose::Lift) => {
                Some((format!("External command run for host: {source} using command: \"{shown}\""), output))
            }
            _ => None,
        };
        let Some((text, output)) = done else {
            let problem = format!("{} for host {source}: \"{shown}\" {outcome}", purpose.key());
            return self.problem(&event, &problem);
        };
        let word =
            if matches!(purpose, Purpose::RouteLift | Purpose::Lift) { "adminalert: " } else { ATTACK };
        let mut lines = vec![self.worded(word, &text)];
        if !output.is_empty() {
            let said = format!("Output of the command for host {source}: \"{output}\"");
            lines.push(self.worded("adminalert: ", &said));
        }
        self.say(&event, &lines);
    }

    /// Logs that `ACTION_RATE` is exceeded.
    pub fn actions_limited(&mut self) {
        let problem = "ACTION_RATE exceeded: KILL actions skipped, the sources stay blocked";
        self.problem(&Event::new(Action::Error), problem);
    }

    /// Logs that KILL actions resume, and the number of sources that were skipped.
    pub fn actions_resumed(&mut self, left_out: u64) {
        let text = format!("KILL actions resumed; they were skipped for {left_out} sources");
        self.admin(&loss(left_out, "KILL actions: ACTION_RATE exceeded"), &text);
    }
}

/// Returns a network's name in both PortSentrys' lines. For an IPv6 source it is the network's first address, as in
/// files.
fn host_of(network: IpNet) -> String {
    if is_prefix(network) { network.addr().to_string() } else { name_of(network) }
}

fn command_event(ran: &Ran) -> Event {
    let outcome = if ran.outcome.is_done() { "success" } else { "failure" };
    let event = Event::new(Action::Command)
        .about_network(ran.network)
        .id(ran.id)
        .with(Field::Setting, ran.purpose.key())
        .with(Field::CommandLine, ran.shown.as_str())
        .with(Field::EventOutcome, outcome);
    let code = match &ran.outcome {
        Outcome::Done(_) => Some(0),
        Outcome::Failed { status, .. } => status.code(),
        _ => None,
    };
    match code {
        Some(code) => event.with(Field::ExitCode, code),
        None => event,
    }
}
