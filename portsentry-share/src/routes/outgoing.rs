//! Tells `portsentry-share routes` which sources this gateway blocks.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use ipnet::IpNet;
use portsentry::policy::peers::Millis;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::UnixStream,
    time::{sleep, timeout},
};

use crate::{blocks::Book, ways::Ways};

/// Name of the way.
const NAME: &str = "routes-out";
/// Pause before another attempt to connect.
const PAUSE: Duration = Duration::from_secs(1);
/// Maximum time for all changes at once.
const PATIENCE: Duration = Duration::from_mins(1);
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

async fn converse(socket: &Path, book: &Book, ways: &Ways) -> io::Result<()> {
    let mut stream = UnixStream::connect(socket).await?;
    let (reading, mut writing) = stream.split();
    let mut answers = BufReader::new(reading).lines();
    let mut changes = book.follow();
    let mut told: Option<Wanted> = None;
    loop {
        changes.mark_unchanged();
        if let Some(wanted) = wanted(book) {
            let text = difference(told.as_ref(), &wanted);
            let exchange = async {
                writing.write_all(text.as_bytes()).await?;
                answers.next_line().await?.ok_or(io::Error::from(io::ErrorKind::UnexpectedEof))
            };
            let count = timeout(PATIENCE, exchange).await.map_err(io::Error::from)??;
            ways.works(NAME, format!("{count} routes"));
            told = Some(wanted);
        }
        tokio::select! {
            more = changes.changed() => more.map_err(io::Error::other)?,
            // It says nothing by itself.
            ended = answers.next_line() => return ended.and(Err(io::ErrorKind::UnexpectedEof.into())),
        }
        sleep(GATHERING).await;
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
    use super::*;

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
