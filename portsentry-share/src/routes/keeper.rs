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
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{UnixListener, UnixStream},
    runtime,
    signal::unix::{SignalKind, signal},
    time::interval,
};

use super::table::Table;
use crate::{
    config::{self, AtStop},
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
/// Maximum length of a line in bytes.
const LONGEST: usize = 256;

/// Where the routes are.
trait Routes {
    fn add(&mut self, network: IpNet) -> io::Result<()>;
    fn remove(&mut self, network: IpNet) -> io::Result<()>;
}

impl Routes for Table {
    fn add(&mut self, network: IpNet) -> io::Result<()> {
        Self::add(self, network)
    }

    fn remove(&mut self, network: IpNet) -> io::Result<()> {
        Self::remove(self, network)
    }
}

/// The routes with their ends.
#[derive(Debug)]
struct Keeper<T> {
    table: T,
    held: BTreeMap<IpNet, Option<Millis>>,
    /// The first problem of which the companion hasn't been told.
    problem: Option<io::Error>,
}

/// Keeps routes until a signal ends it.
pub fn run(config: &config::Routes) -> Exit {
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

async fn keep(config: &config::Routes) -> io::Result<()> {
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
        keeper.problem = None;
        keeper.remove_all(|_, _| true);
        return ended.and(keeper.problem.map_or(Ok(()), Err));
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

impl Keeper<Table> {
    fn open(number: u32) -> io::Result<Self> {
        let mut table = Table::open(number)?;
        let end = Some(now() + GRACE);
        let held = table.blackholes(true)?.into_iter().map(|network| (network, end)).collect();
        Ok(Self { table, held, problem: None })
    }
}

impl<T: Routes> Keeper<T> {
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
                _ = ticks.tick() => self.expire(),
            }
        }
    }

    /// Does what a companion says: `+NETWORK END` and `-NETWORK`; then `.`, or `=` if all others are to be removed. To these it
    /// answers `COUNT`, or `COUNT PROBLEM`: a route that the kernel refuses must not keep others from being removed.
    async fn hear(&mut self, stream: UnixStream, ticks: &mut tokio::time::Interval) -> io::Result<()> {
        let (reading, mut writing) = stream.into_split();
        let mut reader = BufReader::new(reading);
        let mut bytes = Vec::new();
        // What is said until the first `=`; the companion says all only once.
        let mut whole = Some(BTreeSet::new());
        loop {
            let left = (LONGEST - bytes.len()) as u64;
            let mut limited = (&mut reader).take(left);
            tokio::select! {
                read = limited.read_until(b'\n', &mut bytes) => drop(read?),
                _ = ticks.tick() => {
                    self.expire();
                    continue;
                }
            }
            if bytes.is_empty() {
                return Ok(());
            }
            let line = bytes.strip_suffix(b"\n").and_then(|line| str::from_utf8(line).ok());
            let line = line.ok_or(io::ErrorKind::InvalidData)?;
            match line.split_at_checked(1) {
                Some(("+", rest)) => {
                    let (network, end) = read(rest).ok_or(io::ErrorKind::InvalidData)?;
                    let added = self.add(network, end);
                    self.note(network, added);
                    if let Some(whole) = whole.as_mut().filter(|_| self.held.contains_key(&network)) {
                        whole.insert(network);
                    }
                }
                Some(("-", rest)) => {
                    let network = rest.parse().map_err(io::Error::other)?;
                    let removed = self.remove(network);
                    self.note(network, removed);
                }
                Some(("=", "")) => {
                    let whole = whole.take().ok_or(io::ErrorKind::InvalidData)?;
                    self.remove_all(|network, _| !whole.contains(network));
                    writing.write_all(self.answer().as_bytes()).await?;
                }
                Some((".", "")) => writing.write_all(self.answer().as_bytes()).await?,
                _ => return Err(io::ErrorKind::InvalidData.into()),
            }
            bytes.clear();
        }
    }

    fn answer(&mut self) -> String {
        let problem = self.problem.take().map(|error| format!(" {error}")).unwrap_or_default();
        format!("{}{}\n", self.held.len(), problem.replace('\n', " "))
    }

    fn note(&mut self, network: IpNet, done: io::Result<()>) {
        if let Err(error) = done {
            self.problem.get_or_insert_with(|| io::Error::new(error.kind(), format!("{network}: {error}")));
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
        self.table.remove(network)?;
        // What the kernel still has is tried again.
        self.held.remove(&network);
        Ok(())
    }

    /// Removes all for which `is_over` holds, and notes the first problem.
    fn remove_all(&mut self, is_over: impl Fn(&IpNet, Option<Millis>) -> bool) {
        let over = self.held.iter().filter(|(network, end)| is_over(network, **end));
        let over: Vec<IpNet> = over.map(|(network, _)| *network).collect();
        for network in over {
            let removed = self.remove(network);
            self.note(network, removed);
        }
    }

    fn expire(&mut self) {
        let now = now();
        self.remove_all(|_, end| end.is_some_and(|end| end <= now));
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

    /// Refuses to change one route.
    struct Refusing(IpNet);

    impl Refusing {
        fn change(&self, network: IpNet) -> io::Result<()> {
            if network == self.0 { Err(io::Error::other("no buffer")) } else { Ok(()) }
        }
    }

    impl Routes for Refusing {
        fn add(&mut self, network: IpNet) -> io::Result<()> {
            self.change(network)
        }

        fn remove(&mut self, network: IpNet) -> io::Result<()> {
            self.change(network)
        }
    }

    fn network(last: u8) -> IpNet {
        IpNet::from(std::net::IpAddr::from([203, 0, 113, last]))
    }

    fn keeper(held: &[u8]) -> Keeper<Refusing> {
        let held = held.iter().map(|last| (network(*last), Some(Millis::MAX))).collect();
        Keeper { table: Refusing(network(1)), held, problem: None }
    }

    /// Has a keeper hear a companion. Returns the answers, and whether the connection ended well.
    async fn conversation(keeper: &mut Keeper<Refusing>, said: &str) -> (String, bool) {
        let (mut companion, stream) = UnixStream::pair().unwrap();
        let mut answers = String::new();
        let talk = async {
            companion.write_all(said.as_bytes()).await.unwrap();
            companion.shutdown().await.unwrap();
            // An unread rest of what was said resets the connection.
            let _ = companion.read_to_string(&mut answers).await;
        };
        let mut ticks = interval(TICK);
        let (ended, ()) = tokio::join!(keeper.hear(stream, &mut ticks), talk);
        (answers, ended.is_ok())
    }

    #[tokio::test]
    async fn a_refused_route_does_not_keep_others() {
        let mut keeper = keeper(&[1, 2, 3]);
        let said = "+203.0.113.1/32 -\n+203.0.113.4/32 -\n+203.0.113.3/32 -\n=\n-203.0.113.3/32\n.\n";
        let (answers, is_ok) = conversation(&mut keeper, said).await;
        assert_eq!(answers, "3 203.0.113.1/32: no buffer\n2\n");
        assert!(is_ok);
        assert_eq!(keeper.held.keys().copied().collect::<Vec<_>>(), [network(1), network(4)]);
        keeper.held.insert(network(1), Some(0));
        keeper.held.insert(network(4), Some(0));
        keeper.expire();
        assert_eq!(keeper.held.len(), 1, "the kernel still has it");
        assert_eq!(keeper.answer(), "1 203.0.113.1/32: no buffer\n");
    }

    #[tokio::test]
    async fn nonsense_ends_the_connection() {
        let long = format!("+203.0.113.4/32 {}\n", "0".repeat(LONGEST));
        for said in ["=\n=\n", "+10.0.0.1/32 -\n", "?\n", "+203.0.113.4/32", &long] {
            assert!(!conversation(&mut keeper(&[]), said).await.1, "{said}");
        }
    }

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
