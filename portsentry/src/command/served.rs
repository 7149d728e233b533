//! `portsentry served` and `portsentry forget`: list and forget the ports learned from other hosts' answers.

use std::time::SystemTime;

use serde::Serialize;

use super::{
    block, observed, options,
    show::{self, Time},
    table::{self, Align},
    zone::Zone,
};
use crate::{
    cli::{Cli, Forget, Served},
    config::Config,
    exit::Exit,
    kernel::{LearnedPort, LearnedPorts, wall_time},
    modes::Modes,
    policy::{
        Hold, Record,
        register::{Case, HistoryAction, Release},
    },
    sink::Files,
};

/// A learned port, as printed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Listed {
    address: String,
    port: u16,
    protocol: &'static str,
    state: &'static str,
    last_answer: Time,
}

impl From<&LearnedPort> for Listed {
    fn from(port: &LearnedPort) -> Self {
        Self {
            address: port.at.ip().to_string(),
            port: port.at.port(),
            protocol: port.protocol.name(),
            state: if port.is_served { "served" } else { "refused" },
            last_answer: Time(wall_time(i64::try_from(port.answered_ns).unwrap_or(i64::MAX))),
        }
    }
}

/// Prints the learned ports.
pub(super) fn run(cli: &Cli, served: &Served) -> Exit {
    let ports = match open(&options::config(cli)).and_then(|ports| read(ports.as_ref())) {
        Ok(ports) => ports,
        Err(exit) => return exit,
    };
    let is_wanted =
        |port: &&LearnedPort| served.network.is_none_or(|network| network.contains(&port.at.ip()));
    let ports: Vec<Listed> = ports.iter().filter(is_wanted).map(Listed::from).collect();
    let text = if served.json { observed::json(&ports) } else { render(&ports, &Zone::new(served.utc)) };
    show::print(&text)
}

/// Forgets learned ports, and records that in the history.
pub(super) fn forget(cli: &Cli, forget: &Forget) -> Exit {
    let config = options::config(cli);
    let forgotten = open(&config).and_then(|ports| {
        let Some(mut ports) = ports else { return Ok(0) };
        let mut forgotten: usize = 0;
        for port in read(Some(&ports))? {
            let is_meant = forget.network.contains(&port.at.ip())
                && forget.port.is_none_or(|number| number == port.at.port());
            if is_meant && ports.forget(&port).map_err(|error| observed::failure(&error))? {
                forgotten += 1;
            }
        }
        Ok(forgotten)
    });
    match forgotten {
        Ok(0) => {
            eprintln!("portsentry: no learned port matches");
            Exit::Failure
        }
        Ok(number) => {
            let done =
                if number == 1 { "forgot one port".to_owned() } else { format!("forgot {number} ports") };
            record(&config, cli.modes(), forget, &done);
            show::print(&format!("{done}\n"))
        }
        Err(exit) => exit,
    }
}

/// Writes a line of the history, with the administrator's name if it is known. Prints errors.
fn record(config: &Config, modes: Modes, forget: &Forget, done: &str) {
    let now = SystemTime::now();
    let hold = Hold { port: forget.port.unwrap_or_default(), ..Hold::ordered(now, None) };
    let record = Record { network: forget.network.trunc(), hold };
    let reason = block::signed(done);
    let case = Case::let_go(Release::Administrator, record, &reason, now);
    let mut files = Files::new(config, modes);
    files.recorder().record(HistoryAction::Forgotten, &case, &record.source().into());
    files.recorder().flush_now().iter().for_each(|problem| eprintln!("portsentry: {problem}"));
}

fn open(config: &Config) -> Result<Option<LearnedPorts>, Exit> {
    if observed::observer(config)?.is_none() {
        return Ok(None);
    }
    LearnedPorts::open(&config.pin_path).map_err(|error| observed::failure(&error))
}

fn read(ports: Option<&LearnedPorts>) -> Result<Vec<LearnedPort>, Exit> {
    ports.map_or_else(|| Ok(Vec::new()), |ports| ports.read().map_err(|error| observed::failure(&error)))
}

fn render(ports: &[Listed], zone: &Zone) -> String {
    use Align::{Left, Right};
    if ports.is_empty() {
        return "no port is learned\n".into();
    }
    let times = zone.heading("LAST ANSWER");
    let columns = [("ADDRESS", Left), ("PORT", Right), ("STATE", Left), (times.as_str(), Left)];
    let row = |port: &Listed| {
        [
            port.address.clone(),
            format!("{}/{}", port.port, port.protocol),
            port.state.to_owned(),
            zone.show(port.last_answer.0),
        ]
    };
    table::render(columns, &ports.iter().map(row).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use portsentry_common::classify::Protocol;

    use super::*;

    #[test]
    fn ports_are_listed_with_their_state() {
        let port = |at: &str, is_served| {
            let at = at.parse().unwrap();
            Listed::from(&LearnedPort { at, protocol: Protocol::Tcp, is_served, answered_ns: 0 })
        };
        let text = render(&[port("192.0.2.7:80", true), port("[2001:db8::7]:8080", false)], &Zone::utc());
        let lines: Vec<Vec<&str>> =
            text.lines().map(|line| line.split_whitespace().take(3).collect()).collect();
        assert_eq!(
            lines,
            [
                ["ADDRESS", "PORT", "STATE"],
                ["192.0.2.7", "80/TCP", "served"],
                ["2001:db8::7", "8080/TCP", "refused"]
            ]
        );
        assert_eq!(render(&[], &Zone::utc()), "no port is learned\n");
    }
}
