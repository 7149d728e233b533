//! Tells `portsentry-share routes` which sources this gateway blocks.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    future::pending,
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use ipnet::IpNet;
use portsentry::policy::peers::Millis;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::UnixStream,
    time::{Instant, sleep, sleep_until, timeout},
};

use crate::{blocks::Book, ways::Ways};

/// Name of the way.
const NAME: &str = "routes-out";
/// Pause before another attempt to connect.
const PAUSE: Duration = Duration::from_secs(1);
/// Maximum time for all changes at once.
const PATIENCE: Duration = Duration::from_mins(1);
/// Time after which refused routes are tried again.
const RETRY: Duration = Duration::from_mins(1);
/// Time in which further blocks are gathered.
const GATHERING: Duration = Duration::from_millis(20);

type Wanted = BTreeMap<IpNet, Option<Millis>>;

/// Publishes the blocks for good.
pub async fn publish(socket: PathBuf, book: Book, ways: Ways) {
    loop {
        let ended = converse(&socket, &book, &ways).await;
        if let Err(error) = ended {
            let remedy = "is portsentry-routes.service running?";
            ways.fails(NAME, format!("{}: {error}; {remedy}", socket.display()));
        }
        sleep(PAUSE).await;
    }
}

/// Tells one connection's keeper of the blocks. Returns when all is to be told anew, because some routes were refused.
async fn converse(socket: &Path, book: &Book, ways: &Ways) -> io::Result<()> {
    let mut stream = UnixStream::connect(socket).await?;
    let (reading, mut writing) = stream.split();
    let mut answers = BufReader::new(reading).lines();
    let mut changes = book.follow();
    let mut told: Option<Wanted> = None;
    let mut again: Option<Instant> = None;
    loop {
        changes.mark_unchanged();
        if let Some(wanted) = wanted(book) {
            let text = difference(told.as_ref(), &wanted);
            let exchange = async {
                writing.write_all(text.as_bytes()).await?;
                answers.next_line().await?.ok_or(io::Error::from(io::ErrorKind::UnexpectedEof))
            };
            let answer = timeout(PATIENCE, exchange).await.map_err(io::Error::from)??;
            match answer.split_once(' ') {
                Some((_, problem)) => {
                    ways.fails(NAME, problem.to_owned());
                    again.get_or_insert_with(|| Instant::now() + RETRY);
                }
                // A route that was refused before is still missing.
                None if again.is_some() => {}
                None => ways.works(NAME, format!("{answer} routes")),
            }
            told = Some(wanted);
        }
        tokio::select! {
            more = changes.changed() => more.map_err(io::Error::other)?,
            // It says nothing by itself.
            () = due(again) => return Ok(()),
            ended = answers.next_line() => return ended.and(Err(io::ErrorKind::UnexpectedEof.into())),
        }
        sleep(GATHERING).await;
    }
}

async fn due(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => pending().await,
    }
}

/// Returns the blocks with their ends, or `None` before the daemon has told all.
fn wanted(book: &Book) -> Option<Wanted> {
    book.look(|blocks| {
        blocks.is_whole().then(|| blocks.iter().map(|(network, said)| (network, said.until)).collect())
    })
}

fn difference(told: Option<&Wanted>, wanted: &Wanted) -> String {
    let mut text = String::new();
    let before = |network: &IpNet| told.and_then(|told| told.get(network));
    for (network, end) in wanted.iter().filter(|(network, end)| before(network) != Some(end)) {
        let end = end.map_or_else(|| "-".to_owned(), |end| end.to_string());
        // Writing to a string never fails.
        let _ = writeln!(text, "+{network} {end}");
    }
    for network in told.into_iter().flat_map(Wanted::keys).filter(|network| !wanted.contains_key(*network)) {
        let _ = writeln!(text, "-{network}");
    }
    text + if told.is_some() { ".\n" } else { "=\n" }
}

#[cfg(test)]
mod tests {
    use tokio::net::UnixListener;

    use super::*;
    use crate::daemon::Told;

    #[tokio::test]
    async fn a_refused_route_is_a_problem() {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("socket");
        let listener = UnixListener::bind(&socket).unwrap();
        let (book, ways) = (Book::new(), Ways::new());
        book.take(&Told::Synced);
        let keeper = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(b"3 203.0.113.1/32: no buffer\n").await.unwrap();
            let (reading, _writing) = stream.split();
            BufReader::new(reading).lines().next_line().await.unwrap()
        };
        let (said, ended) = tokio::join!(keeper, converse(&socket, &book, &ways));
        assert_eq!(said.as_deref(), Some("="));
        assert!(ended.is_err(), "the keeper has gone");
        assert_eq!(ways.problem(NAME).as_deref(), Some("203.0.113.1/32: no buffer"));
    }

    #[test]
    fn only_differences_are_told() {
        let all = |list: &[(&str, Option<Millis>)]| -> Wanted {
            list.iter().map(|(network, end)| (network.parse().unwrap(), *end)).collect()
        };
        let first = all(&[("203.0.113.1/32", None), ("203.0.113.2/32", Some(5))]);
        assert_eq!(difference(None, &first), "+203.0.113.1/32 -\n+203.0.113.2/32 5\n=\n");
        let second = all(&[("203.0.113.2/32", Some(7)), ("203.0.113.3/32", None)]);
        assert_eq!(
            difference(Some(&first), &second),
            "+203.0.113.2/32 7\n+203.0.113.3/32 -\n-203.0.113.1/32\n.\n"
        );
    }
}
