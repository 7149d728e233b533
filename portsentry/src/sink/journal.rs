//! The log: which line is written, in which PortSentry's words, and which event beside it. It must not decide what is
//! worth a line.

use std::{fmt::Display, net::IpAddr, time::SystemTime};

use portsentry_common::{classify::Protocol, decide::Verdict};

use super::{
    Named, classic,
    event::{Action, Event, Field},
    json_log::Writer,
    output::{self, Output},
    revival,
    runner::{Outcome, Purpose, Ran},
};
use crate::{
    config::{Config, LogFormat, PortSet},
    modes::Modes,
    policy::{Hold, Record, Sighting},
};

/// Ports that are named one by one at the start; longer lists are summed up as ranges.
const NAMED_PORTS: usize = 64;

/// The log.
#[derive(Debug)]
pub struct Journal {
    format: LogFormat,
    tells_notices: bool,
    output: Output,
    /// `JSON_LOG`
    events: Option<Writer>,
}

impl Journal {
    /// The log in the format and to the place that `config` says.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let mut journal = Self {
            format: config.log_format,
            tells_notices: config.log_notices || config.log_format == LogFormat::Revival,
            output: Output::new(config),
            events: None,
        };
        match config.json_log.as_ref().map(Writer::start).transpose() {
            Ok(events) => journal.events = events,
            Err(error) => journal.error(&format!("starting a thread for JSON_LOG: {error}")),
        }
        journal
    }

    /// Tells what has become of the events that were told.
    pub fn tick(&mut self) {
        let news: Vec<String> = self.events.iter().flat_map(Writer::news).collect();
        news.iter().for_each(|news| self.news(news));
    }

    /// Lines or events that were lost up to now, by where they should have gone.
    #[must_use]
    pub fn lost(&self) -> [(&'static str, u64); 2] {
        [("log", self.output.lost()), ("json", self.events.as_ref().map_or(0, Writer::lost))]
    }

    /// What is watched, when the daemon starts.
    pub fn starting(&mut self, config: &Config, modes: Modes) {
        self.admin(&Event::new(Action::Start), &format!("PortSentry {} is starting.", self.version()));
        for line in self.announcements(config, modes) {
            self.output.write(&line, &Event::new(Action::Start));
        }
    }

    /// The lines on what is watched.
    fn announcements(&self, config: &Config, modes: Modes) -> Vec<String> {
        let mut lines = Vec::new();
        let mut say = |text: &str| lines.push(self.worded("adminalert: ", text));
        for (is_on, protocol, ports) in [
            (modes.is_listed(Protocol::Tcp), Protocol::Tcp, &config.ports_tcp),
            (modes.is_listed(Protocol::Udp), Protocol::Udp, &config.ports_udp),
        ] {
            if is_on {
                for port in named(ports) {
                    say(&format!("Going into stealth listen mode on {} port: {port}", protocol.name()));
                }
            }
        }
        for (is_on, protocol, bound, excluded) in [
            (
                modes.is_advanced(Protocol::Tcp),
                Protocol::Tcp,
                config.advanced_ports_tcp,
                &config.advanced_exclude_tcp,
            ),
            (
                modes.is_advanced(Protocol::Udp),
                Protocol::Udp,
                config.advanced_ports_udp,
                &config.advanced_exclude_udp,
            ),
        ] {
            if is_on {
                say(&format!("Advanced mode will monitor first {bound} ports"));
                for port in named(excluded) {
                    // 1.2 has a space at the end of this line.
                    say(&format!("Advanced mode will manually exclude port: {port} "));
                }
                for port in named(excluded) {
                    let name = protocol.name();
                    say(&format!(
                        "Advanced Stealth scan detection mode activated. Ignored {name} port: {port}"
                    ));
                }
            }
        }
        lines
    }

    /// The daemon watches from now on.
    pub fn active(&mut self) {
        let text = match self.format {
            LogFormat::Revival => "Portsentry is now active and listening.",
            _ => "PortSentry is now active and listening.",
        };
        self.admin(&Event::new(Action::Active), text);
    }

    /// Another configuration is in effect, or the processes that share the maps have changed.
    pub fn reloaded(&mut self, what: &str) {
        self.admin(&Event::new(Action::Reload), what);
    }

    /// A probe whose source reached the trigger.
    pub fn attack(&mut self, sighting: &Sighting, source: &Named<'_>) {
        let event = Event::new(Action::Probe).probe(sighting, source);
        if self.format == LogFormat::Revival {
            self.say(&event, &[revival::scan(sighting, source)]);
        } else {
            self.say(&event, &classic::attack(sighting, source).collect::<Vec<_>>());
        }
    }

    /// A probe that nothing is done about. 1.2 does not tell of it unless asked to say more; it is an event anyhow.
    pub fn notice(&mut self, sighting: &Sighting, source: &Named<'_>) {
        let why = match sighting.verdict {
            Verdict::Ignored => "ignored source".to_owned(),
            Verdict::Counted => format!("hit {}, below SCAN_TRIGGER", sighting.hits),
            _ => "may belong to a forgotten connection".to_owned(),
        };
        let line = match self.format {
            LogFormat::Revival => revival::scan(sighting, source),
            _ => classic::notice(sighting, source, &why),
        };
        let event = Event::new(Action::Probe).probe(sighting, source).with(Field::EventReason, why);
        if self.tells_notices {
            self.output.write(&line, &event);
        }
        self.tell(&event, &line);
    }

    /// The configuration says not to act on the source of `sighting`.
    pub fn left_alone(&mut self, sighting: &Sighting, source: &Named<'_>) {
        let name = sighting.protocol.name();
        let event = Event::new(Action::Spare).probe(sighting, source);
        let lines = [
            self.worded(
                "attackalert: ",
                &format!("Ignoring {name} response per configuration file setting."),
            ),
            self.worded(
                "adminalert: ",
                &format!("Host {} would have been blocked with BLOCK_{name}=\"1\"", source.address),
            ),
        ];
        self.say(&event, &lines);
    }

    /// The blocked map has no room for the source of `sighting`.
    pub fn full(&mut self, sighting: &Sighting, source: &Named<'_>) {
        let event = Event::new(Action::Full).probe(sighting, source);
        let source = source.address;
        self.admin(
            &event,
            &format!("ERROR: Could not block host {source}: as many are blocked as MAX_BLOCKED allows"),
        );
    }

    /// The kernel fences the source of `sighting` for so many `seconds`.
    pub fn fenced(&mut self, sighting: &Sighting, source: &Named<'_>, (seconds, until): Term) {
        let event = Event::new(Action::Fence).probe(sighting, source).until(until);
        let source = source.address;
        self.attack_line(
            &event,
            &format!(
                "Host {source} has been fenced for {seconds} seconds (proof: none): what could open anything is \
                 dropped, its connections go on"
            ),
        );
    }

    /// The kernel blocks the source of `sighting` from now on.
    pub fn blocked(&mut self, sighting: &Sighting, source: &Named<'_>, until: Option<SystemTime>) {
        let event = Event::new(Action::Block).probe(sighting, source).until(until);
        let (source, proof) = (source.address, sighting.proof.name());
        self.attack_line(&event, &format!("Host {source} has been blocked in the kernel (proof: {proof})"));
    }

    /// An administrator's line in the blocked file blocks a source.
    pub fn restored(&mut self, record: &Record) {
        let Record { source, hold } = record;
        let event = Event::new(hold_action(hold)).about(*source).hold(hold);
        self.admin(&event, &format!("Host {source} is blocked: the blocked file names it"));
    }

    /// The kernel has blocked or fenced a source, and its probe was not told of. The log has no line for it.
    pub fn found(&mut self, record: &Record) {
        // There may be a million of them.
        if self.events.is_none() {
            return;
        }
        let Record { source, hold } = record;
        let why = "found in the kernel's map; its probe was not told of";
        let event = Event::new(hold_action(hold)).about(*source).hold(hold).with(Field::EventReason, why);
        let what = if hold.is_fence { "fenced" } else { "blocked" };
        self.tell(
            &event,
            &format!("Host {source} has been {what} in the kernel (proof: {})", hold.proof.name()),
        );
    }

    /// `hosts.deny` names `source` from now on.
    pub fn denied(&mut self, source: IpAddr, line: &str) {
        let event = Event::new(Action::Deny).about(source).with(Field::CommandLine, line);
        let event = event.with(Field::Setting, "KILL_HOSTS_DENY");
        let text = format!("Host {source} has been blocked via wrappers with string: \"{line}\"");
        self.attack_line(&event, &text);
    }

    /// `hosts.deny` names so many more sources than are told of one by one.
    pub fn denied_more(&mut self, count: usize) {
        let event =
            Event::new(Action::Deny).with(Field::Count, count).with(Field::Setting, "KILL_HOSTS_DENY");
        self.admin(&event, &format!("{count} more hosts were entered in hosts.deny"));
    }

    /// A command has ended, in the words of 1.2 if it did what it was for.
    pub fn ran(&mut self, ran: &Ran) {
        let Ran { source, purpose, shown, outcome } = ran;
        let event = command_event(ran);
        let done = match (outcome, purpose) {
            (Outcome::Done(output), Purpose::Route) => {
                let how = format!("has been blocked via dropped route using command: \"{shown}\"");
                Some((format!("Host {source} {how}"), output))
            }
            (Outcome::Done(output), Purpose::Command) => {
                Some((format!("External command run for host: {source} using command: \"{shown}\""), output))
            }
            _ => None,
        };
        let Some((text, output)) = done else {
            let problem = format!("{} for host {source}: \"{shown}\" {outcome}", purpose.key());
            return self.problem(&event, &problem);
        };
        let mut lines = vec![self.worded("attackalert: ", &text)];
        if !output.is_empty() {
            let said = format!("The command for host {source} said: \"{output}\"");
            lines.push(self.worded("adminalert: ", &said));
        }
        self.say(&event, &lines);
    }

    /// More sources call for KILL actions than `ACTION_RATE` allows.
    pub fn actions_limited(&mut self) {
        let problem = "more sources call for KILL actions than ACTION_RATE allows; the kernel drops the others all \
                       the same";
        self.problem(&Event::new(Action::Error), problem);
    }

    /// KILL actions are taken again; they were left out against so many sources.
    pub fn actions_resumed(&mut self, left_out: u64) {
        let text = format!("KILL actions are taken again; they were left out against {left_out} sources");
        self.admin(&loss(left_out, "KILL actions: more sources than ACTION_RATE allows"), &text);
    }

    /// `source` is no longer blocked, or fenced.
    pub fn lifted(&mut self, source: IpAddr, was_fence: bool, why: &str) {
        let event = Event::new(Action::Lift).about(source).with(Field::EventReason, why);
        let held = if was_fence { "fenced" } else { "blocked" };
        self.admin(&event, &format!("Host {source} is no longer {held}: {why}"));
    }

    /// So many fences are lifted, as the kernel's map has let them go.
    pub fn surplus(&mut self, count: usize) {
        let why = "more came than MAX_FENCED allows";
        let event = Event::new(Action::Lift).with(Field::Count, count).with(Field::EventReason, why);
        self.admin(&event, &format!("{count} fences are lifted, as {why}"));
    }

    /// The files kept the log so busy that `count` probes were not logged.
    pub fn behind(&mut self, count: u64) {
        let text =
            format!("{count} probes were not logged, as the log was behind; blocks were made all the same");
        self.admin(&loss(count, "probes: the log was behind"), &text);
    }

    /// The kernel program did not tell of `count` probes.
    pub fn untold(&mut self, count: u64) {
        let text = format!(
            "{count} probes were not logged, as more came than EVENT_RATE allows; blocks were made all the same"
        );
        self.admin(&loss(count, "probes: more came than EVENT_RATE or RING_SIZE allows"), &text);
    }

    /// Something that somebody has to look at.
    pub fn error(&mut self, problem: &dyn Display) {
        self.problem(&Event::new(Action::Error), &problem.to_string());
    }

    /// What somebody else has words for; an error begins with `ERROR: `.
    pub fn news(&mut self, news: &str) {
        let is_error = news.starts_with("ERROR: ");
        self.admin(&Event::new(if is_error { Action::Error } else { Action::Note }), news);
    }

    /// Anything else that an administrator wants to know.
    pub fn note(&mut self, what: &dyn Display) {
        self.admin(&Event::new(Action::Note), &what.to_string());
    }

    /// The last words.
    pub fn stopping(&mut self) {
        let event = Event::new(Action::Stop);
        if self.format == LogFormat::Revival {
            return self.admin(&event, "Portsentry is shutting down");
        }
        self.output.write("securityalert: PortSentry is shutting down", &event);
        self.admin(&event, "PortSentry is shutting down");
    }

    /// 1.2's scripts look for its version; everybody else gets ours.
    fn version(&self) -> &'static str {
        match self.format {
            LogFormat::Revival => env!("CARGO_PKG_VERSION"),
            _ => "1.2",
        }
    }

    fn problem(&mut self, event: &Event, problem: &str) {
        let line = |(number, line): (usize, &str)| {
            let text = if number == 0 { format!("ERROR: {line}") } else { line.to_owned() };
            self.worded("adminalert: ", &text)
        };
        let lines: Vec<String> = problem.lines().enumerate().map(line).collect();
        self.say(event, &lines);
    }

    fn admin(&mut self, event: &Event, text: &str) {
        self.say(event, &[self.worded("adminalert: ", text)]);
    }

    fn attack_line(&mut self, event: &Event, text: &str) {
        self.say(event, &[self.worded("attackalert: ", text)]);
    }

    /// `text` with 1.2's word before it, if the log is in its format.
    fn worded(&self, classic: &str, text: &str) -> String {
        let prefix = if self.format == LogFormat::Revival { "" } else { classic };
        format!("{prefix}{text}")
    }

    /// Writes lines, and the event that they tell of.
    fn say(&mut self, event: &Event, lines: &[String]) {
        lines.iter().for_each(|line| self.output.write(line, event));
        self.tell(event, &lines.join("\n"));
    }

    fn tell(&mut self, event: &Event, message: &str) {
        if let Some(events) = &mut self.events {
            let lines: Vec<String> = message.lines().map(output::visible).collect();
            events.tell(event, &lines.join("\n"));
        }
    }
}

/// How long a fence lasts, in seconds, and until when.
pub type Term = (u64, Option<SystemTime>);

const fn hold_action(hold: &Hold) -> Action {
    if hold.is_fence { Action::Fence } else { Action::Block }
}

fn loss(count: u64, what: &str) -> Event {
    Event::new(Action::Loss).with(Field::Count, count).with(Field::EventReason, what)
}

fn command_event(ran: &Ran) -> Event {
    let outcome = if ran.outcome.is_done() { "success" } else { "failure" };
    let event = Event::new(Action::Command)
        .about(ran.source)
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

/// The ports one by one where they are few, else as ranges.
fn named(ports: &PortSet) -> Vec<String> {
    if ports.len() <= NAMED_PORTS {
        ports.iter().map(|port| port.to_string()).collect()
    } else {
        vec![ports.to_string()]
    }
}

#[cfg(test)]
pub(super) mod tests {
    use portsentry_common::{block::Proof, classify::Kind};

    use crate::modes::Mode;

    use super::*;

    pub(in crate::sink) fn sighting() -> Sighting {
        Sighting {
            time: SystemTime::UNIX_EPOCH,
            source: [192, 0, 2, 9].into(),
            destination: [198, 51, 100, 1].into(),
            source_port: 40_000,
            port: 11,
            protocol: Protocol::Tcp,
            kind: Kind::Syn,
            flags: 2,
            options: Some(false),
            interface: 1,
            vlan: 0,
            hits: 1,
            verdict: Verdict::Block,
            proof: Proof::None,
        }
    }

    fn lines(format: LogFormat, write: impl FnOnce(&mut Journal)) -> Vec<String> {
        let mut journal =
            Journal { format, tells_notices: false, output: Output::Kept(Vec::new()), events: None };
        write(&mut journal);
        match journal.output {
            Output::Kept(lines) => lines,
            _ => Vec::new(),
        }
    }

    #[test]
    fn the_start_has_the_words_of_1_2() {
        let text = "TCP_PORTS=\"1,11\"\nADVANCED_EXCLUDE_UDP=\"67\"\nADVANCED_PORTS_UDP=\"512\"";
        let (config, _) = Config::parse(text, "test").unwrap();
        let modes = [Mode::Stcp, Mode::Audp].into_iter().collect();
        let written = lines(LogFormat::Classic, |journal| {
            journal.starting(&config, modes);
            journal.active();
            journal.stopping();
        });
        assert_eq!(
            written,
            [
                "adminalert: PortSentry 1.2 is starting.",
                "adminalert: Going into stealth listen mode on TCP port: 1",
                "adminalert: Going into stealth listen mode on TCP port: 11",
                "adminalert: Advanced mode will monitor first 512 ports",
                "adminalert: Advanced mode will manually exclude port: 67 ",
                "adminalert: Advanced Stealth scan detection mode activated. Ignored UDP port: 67",
                "adminalert: PortSentry is now active and listening.",
                "securityalert: PortSentry is shutting down",
                "adminalert: PortSentry is shutting down",
            ]
        );
    }

    #[test]
    fn start_and_end_have_the_words_of_2() {
        let written = lines(LogFormat::Revival, |journal| {
            journal.active();
            journal.stopping();
        });
        assert_eq!(written, ["Portsentry is now active and listening.", "Portsentry is shutting down"]);
    }

    #[test]
    fn actions_have_the_words_of_1_2() {
        let source = IpAddr::from([192, 0, 2, 9]);
        let written = lines(LogFormat::Classic, |journal| {
            journal.denied(source, "ALL: 192.0.2.9 : DENY");
            journal.left_alone(&sighting(), &source.into());
        });
        assert_eq!(
            written,
            [
                "attackalert: Host 192.0.2.9 has been blocked via wrappers with string: \"ALL: 192.0.2.9 : DENY\"",
                "attackalert: Ignoring TCP response per configuration file setting.",
                "adminalert: Host 192.0.2.9 would have been blocked with BLOCK_TCP=\"1\"",
            ]
        );
    }
}
