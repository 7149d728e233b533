//! `portsentry-share routes`: keeps this gateway's blocks as blackholes in one table, as the companion says. It accepts single
//! public sources only, so that a captured companion can't blackhole a network.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    os::unix::fs::PermissionsExt,
    path::Path,
    time::{Duration, SystemTime},
};

use ipnet::IpNet;
use portsentry::{
    exit::Exit,
    policy::peers::{Millis, may_be_shared, millis_of},
    sandbox,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{UnixListener, UnixStream},
    runtime,
    signal::unix::{SignalKind, signal},
    time::interval,
};

use super::table::Table;
use crate::{
    config::{AtStop, Routes},
    log::LOG,
};

/// Maximum number of routes.
const MOST: usize = 1 << 20;
/// Shortest IPv6 network, as `IPV6_PREFIX` may have it.
const SHORTEST: u8 = 48;
/// Time for which routes of an earlier run stay until the companion says which are right.
const GRACE: Millis = 600_000;
/// Interval at which routes that are over are removed.
const TICK: Duration = Duration::from_secs(1);

/// The routes with their ends.
#[derive(Debug)]
struct Keeper {
    table: Table,
    held: BTreeMap<IpNet, Option<Millis>>,
}

/// Keeps routes until a signal ends it.
pub fn run(config: &Routes) -> Exit {
    let kept = runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .and_then(|runtime| runtime.block_on(keep(config)));
    match kept {
        Ok(()) => Exit::Success,
        Err(error) => {
            LOG.error(&format!("routes: {error}"));
            Exit::Failure
        }
    }
}

async fn keep(config: &Routes) -> io::Result<()> {
    let mut keeper = Keeper::open(config.out)?;
    let listener = listen(&config.socket)?;
    if let Some(note) = sandbox::seal(None).map_err(io::Error::other)? {
        LOG.warning(note);
    }
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let ended = tokio::select! {
        ended = keeper.serve(&listener) => ended,
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
    };
    if config.at_stop == AtStop::Remove {
        let all: Vec<IpNet> = keeper.held.keys().copied().collect();
        all.into_iter().try_for_each(|network| keeper.remove(network))?;
    }
    ended
}

fn listen(path: &Path) -> io::Result<UnixListener> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    // The companion has the same user.
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

impl Keeper {
    fn open(number: u32) -> io::Result<Self> {
        let mut table = Table::open(number)?;
        let end = Some(now() + GRACE);
        let held = table.blackholes(true)?.into_iter().map(|network| (network, end)).collect();
        Ok(Self { table, held })
    }

    /// Serves one companion after another.
    async fn serve(&mut self, listener: &UnixListener) -> io::Result<()> {
        let mut ticks = interval(TICK);
        loop {
            tokio::select! {
                accepted = listener.accept() => {
                    let ended = self.hear(accepted?.0, &mut ticks).await;
                    if let Err(error) = ended {
                        LOG.warning(&format!("routes: the companion's connection ended: {error}"));
                    }
                }
                _ = ticks.tick() => self.expire()?,
            }
        }
    }

    /// Does what a companion says: `+NETWORK END` and `-NETWORK`; then `.`, or `=` if all others are to be removed.
    async fn hear(&mut self, stream: UnixStream, ticks: &mut tokio::time::Interval) -> io::Result<()> {
        let (reading, mut writing) = stream.into_split();
        let mut lines = BufReader::new(reading).lines();
        let mut whole = BTreeSet::new();
        loop {
            let line = tokio::select! {
                line = lines.next_line() => line?,
                _ = ticks.tick() => {
                    self.expire()?;
                    continue;
                }
            };
            let Some(line) = line else { return Ok(()) };
            match line.split_at_checked(1) {
                Some(("+", rest)) => {
                    let (network, end) = read(rest).ok_or(io::ErrorKind::InvalidData)?;
                    self.add(network, end)?;
                    whole.insert(network);
                }
                Some(("-", rest)) => {
                    self.remove(rest.parse().map_err(io::Error::other)?)?;
                }
                Some(("=", "")) => {
                    let others: Vec<IpNet> =
                        self.held.keys().filter(|network| !whole.contains(*network)).copied().collect();
                    others.into_iter().try_for_each(|network| self.remove(network))?;
                    writing.write_all(format!("{}\n", self.held.len()).as_bytes()).await?;
                }
                Some((".", "")) => writing.write_all(format!("{}\n", self.held.len()).as_bytes()).await?,
                _ => return Err(io::ErrorKind::InvalidData.into()),
            }
        }
    }

    fn add(&mut self, network: IpNet, end: Option<Millis>) -> io::Result<()> {
        if !self.held.contains_key(&network) && self.held.len() >= MOST {
            return Err(io::Error::other("there are too many routes"));
        }
        self.table.add(network)?;
        self.held.insert(network, end);
        Ok(())
    }

    fn remove(&mut self, network: IpNet) -> io::Result<()> {
        self.held.remove(&network);
        self.table.remove(network)
    }

    fn expire(&mut self) -> io::Result<()> {
        let now = now();
        let over = self.held.iter().filter(|(_, end)| end.is_some_and(|end| end <= now));
        let over: Vec<IpNet> = over.map(|(network, _)| *network).collect();
        over.into_iter().try_for_each(|network| self.remove(network))
    }
}

/// Reads a network and its end. Returns `None` for what isn't a single public source.
fn read(text: &str) -> Option<(IpNet, Option<Millis>)> {
    let (network, end) = text.split_once(' ')?;
    let network: IpNet = network.parse().ok()?;
    let is_source = match network {
        IpNet::V4(network) => network.prefix_len() == 32,
        IpNet::V6(network) => network.prefix_len() >= SHORTEST && network.network() == network.addr(),
    };
    let end = if end == "-" { None } else { Some(end.parse().ok()?) };
    (is_source && may_be_shared(network.addr())).then_some((network, end))
}

fn now() -> Millis {
    millis_of(SystemTime::now())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_single_public_sources_become_routes() {
        for (text, expected) in [
            ("203.0.113.9/32 5000", true),
            ("203.0.113.9/32 -", true),
            ("2001:db8:7::/64 -", true),
            ("203.0.113.0/24 -", false),
            ("0.0.0.0/0 -", false),
            ("::/0 -", false),
            ("2001::/16 -", false),
            ("10.0.0.1/32 -", false),
            ("127.0.0.1/32 -", false),
            ("203.0.113.9/32 soon", false),
            ("203.0.113.9/32", false),
        ] {
            assert_eq!(read(text).is_some(), expected, "{text}");
        }
    }
}
