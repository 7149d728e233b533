//! `portsentry served` and `portsentry forget`: list and forget the ports learned from other hosts' answers.

use serde::Serialize;

use super::{
    observed, options,
    show::{self, Time},
    table::{self, Align},
    zone::Zone,
};
use crate::{
    cli::{Cli, Forget, Served},
    exit::Exit,
    kernel::{LearnedPort, LearnedPorts, wall_time},
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
    let ports = match open(cli).and_then(|ports| read(ports.as_ref())) {
        Ok(ports) => ports,
        Err(exit) => return exit,
    };
    let is_wanted =
        |port: &&LearnedPort| served.network.is_none_or(|network| network.contains(&port.at.ip()));
    let ports: Vec<Listed> = ports.iter().filter(is_wanted).map(Listed::from).collect();
    let text = if served.json { observed::json(&ports) } else { render(&ports, &Zone::new(served.utc)) };
    show::print(&text)
}

/// Forgets learned ports.
pub(super) fn forget(cli: &Cli, forget: &Forget) -> Exit {
    let forgotten = open(cli).and_then(|ports| {
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
        Ok(1) => show::print("forgot one port\n"),
        Ok(number) => show::print(&format!("forgot {number} ports\n")),
        Err(exit) => exit,
    }
}

fn open(cli: &Cli) -> Result<Option<LearnedPorts>, Exit> {
    let config = options::config(cli);
    if observed::observer(&config)?.is_none() {
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
