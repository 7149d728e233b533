//! Subjects and messages. A gateway may publish only on subjects with its name, and the servers see to that.

use std::net::IpAddr;

use ipnet::IpNet;
use portsentry::policy::peers::{Gateway, Millis, Word};
use serde::{Deserialize, Serialize};

/// Maximum number of words of a message.
pub const WORDS: usize = 256;
/// Maximum number of seconds for which the fleet's state holds a word that has no earlier end: a year, which is the longest
/// time for which a gateway enforces another's block, and a day.
const YEAR: u64 = 366 * 86_400;
/// Seconds for which a block stays in the state behind its end, for gateways whose clocks are slow.
const MARGIN: u64 = 86_400;

/// Number of the subscription to answers.
pub const ANSWERS: u64 = 1;
/// Number of the first peer's subscription to news. Each peer has two: to news, and to beats.
pub const FIRST: u64 = 2;

/// Returns the subjects of the peers' news and beats.
#[must_use]
pub fn subjects(peers: &[Gateway]) -> Vec<String> {
    peers.iter().flat_map(|peer| [news(peer), beat(peer)]).collect()
}

/// Returns the subject of a gateway's news.
#[must_use]
pub fn news(gateway: &Gateway) -> String {
    format!("ps.v1.news.{gateway}")
}

/// Returns the subject of a gateway's beats.
#[must_use]
pub fn beat(gateway: &Gateway) -> String {
    format!("ps.v1.beat.{gateway}")
}

/// Returns the subject of a word in the fleet's state.
#[must_use]
pub fn state(gateway: &Gateway, key: &str) -> String {
    format!("ps.v1.state.{gateway}.{key}")
}

/// Returns the name of the stream with a gateway's state.
#[must_use]
pub fn stream(gateway: &Gateway) -> String {
    format!("PS-{gateway}")
}

/// News of a gateway.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct News {
    /// Identifies the run of its companion.
    pub run: u64,
    /// Number of these news in that run.
    pub number: u64,
    /// The words.
    pub words: Vec<Word>,
}

/// A gateway's sign of life.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Beat {
    /// Identifies the run of its companion.
    pub run: u64,
    /// Number of the latest words.
    pub number: u64,
    /// Number up to which the fleet's state has all words.
    pub stored: u64,
    /// Sequence number in its part of the state, up to which these are.
    #[serde(default)]
    pub sequence: u64,
    /// The gateway's clock.
    pub clock: Millis,
}

/// Words about one address or network, for the state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The end of its subject. A later word with the same key replaces it.
    pub key: String,
    /// Its text.
    pub payload: Vec<u8>,
    /// Seconds until the state forgets it.
    pub seconds: Option<u64>,
}

/// Splits a word into those about one address each, for the state.
#[must_use]
pub fn split(word: &Word, now: Millis) -> Vec<Stored> {
    let store = |key: String, word: &Word, seconds| Stored {
        key,
        payload: serde_json::to_vec(word).unwrap_or_default(),
        seconds,
    };
    match word {
        Word::Block { gateway, blocks, .. } => blocks.iter().map(|block| {
            let word =
                Word::Block { gateway: gateway.clone(), state: true, said: 0, blocks: vec![block.clone()] };
            let rest = block.until.map_or(YEAR, |until| until.saturating_sub(now) / 1000 + MARGIN);
            store(block_key(block.address), &word, Some(rest.min(YEAR)))
        }),
        Word::Lift { gateway, addresses, at, .. } => {
            return addresses
                .iter()
                .map(|address| {
                    let (gateway, addresses) = (gateway.clone(), vec![*address]);
                    let word = Word::Lift { gateway, state: true, addresses, at: *at };
                    store(lift_key(*address), &word, Some(YEAR))
                })
                .collect();
        }
        Word::Allow { gateway, network, at, allowed, .. } => {
            let key = allow_key(*network);
            let (gateway, network, at, allowed) = (gateway.clone(), *network, *at, *allowed);
            return vec![store(key, &Word::Allow { gateway, state: true, network, at, allowed }, None)];
        }
        Word::Beat { .. } => return Vec::new(),
    }
    .collect()
}

fn block_key(address: IpAddr) -> String {
    format!("block.{}", token(address))
}

fn lift_key(address: IpAddr) -> String {
    format!("lift.{}", token(address))
}

fn allow_key(network: IpNet) -> String {
    format!("allow.{}-{}", token(network.addr()), network.prefix_len())
}

/// Returns the key of a word about one address.
fn key_of(word: &Word) -> Option<String> {
    match word {
        Word::Block { blocks, .. } => match &blocks[..] {
            [block] => Some(block_key(block.address)),
            _ => None,
        },
        Word::Lift { addresses, .. } => match addresses[..] {
            [address] => Some(lift_key(address)),
            _ => None,
        },
        Word::Allow { network, .. } => Some(allow_key(*network)),
        Word::Beat { .. } => None,
    }
}

/// Reads words of a gateway in the state. Returns `None` unless they are its own, and stand under the right key.
#[must_use]
pub fn read_stored(gateway: &Gateway, key: &str, payload: &[u8]) -> Option<Word> {
    let word: Word = serde_json::from_slice(payload).ok()?;
    let is_own = word.gateway() == gateway && word.is_state();
    (is_own && key_of(&word).as_deref() == Some(key)).then_some(word)
}

/// Reads the run and the number of news, and nothing else. Most news arrive several times.
#[must_use]
pub fn number(payload: &[u8]) -> Option<(u64, u64)> {
    let rest = payload.strip_prefix(b"{\"run\":")?;
    let (run, rest) = digits(rest)?;
    let (number, rest) = digits(rest.strip_prefix(b",\"number\":")?)?;
    rest.starts_with(b",").then_some((run, number))
}

fn digits(text: &[u8]) -> Option<(u64, &[u8])> {
    let end = text.iter().position(|byte| !byte.is_ascii_digit())?;
    let (digits, rest) = text.split_at(end);
    Some((std::str::from_utf8(digits).ok()?.parse().ok()?, rest))
}

/// Reads news of a gateway. Returns `None` unless all words are its own, and news.
#[must_use]
pub fn read_news(gateway: &Gateway, payload: &[u8]) -> Option<News> {
    let news: News = serde_json::from_slice(payload).ok()?;
    let is_news =
        |word: &Word| word.gateway() == gateway && !word.is_state() && !matches!(word, Word::Beat { .. });
    let count: usize = news.words.iter().map(Word::count).sum();
    (count <= WORDS && news.words.iter().all(is_news)).then_some(news)
}

/// Returns an address as a part of a subject: without dots and colons.
fn token(address: IpAddr) -> String {
    address.to_string().replace(['.', ':'], "-")
}

#[cfg(test)]
pub mod tests {
    use portsentry::policy::peers::Said;

    use super::*;

    pub fn gateway(name: &str) -> Gateway {
        name.to_owned().try_into().unwrap()
    }

    /// Returns the word that a gateway blocks a source from second 1 to second 3601.
    pub fn block(name: &str, address: &str) -> Word {
        let said = Said {
            address: address.parse().unwrap(),
            since: 1000,
            until: Some(3_601_000),
            first: None,
            proof: "cookie".into(),
            kind: None,
            port: 23,
            protocol: None,
        };
        Word::Block { gateway: gateway(name), state: false, said: 5, blocks: vec![said] }
    }

    #[test]
    fn words_are_stored_by_address_and_read_again() {
        let lift = Word::Lift {
            gateway: gateway("gw2"),
            state: false,
            addresses: vec!["192.0.2.9".parse().unwrap(), "2001:db8::1".parse().unwrap()],
            at: 7,
        };
        let network = "192.0.2.0/24".parse().unwrap();
        let allow = Word::Allow { gateway: gateway("gw2"), state: false, network, at: 8, allowed: true };
        let block = block("gw2", "192.0.2.9");
        let all: Vec<Stored> = [block, lift, allow].iter().flat_map(|word| split(word, 1000)).collect();
        let keys: Vec<_> = all.iter().map(|stored| (stored.key.as_str(), stored.seconds)).collect();
        assert_eq!(
            keys,
            [
                ("block.192-0-2-9", Some(3600 + MARGIN)),
                ("lift.192-0-2-9", Some(YEAR)),
                ("lift.2001-db8--1", Some(YEAR)),
                ("allow.192-0-2-0-24", None)
            ]
        );
        for stored in &all {
            let word = read_stored(&gateway("gw2"), &stored.key, &stored.payload).expect("it is its own");
            assert_eq!(split(&word, 1000), std::slice::from_ref(stored));
            assert_eq!(read_stored(&gateway("gw3"), &stored.key, &stored.payload), None, "another's words");
            assert_eq!(read_stored(&gateway("gw2"), "block.192-0-2-8", &stored.payload), None);
        }
    }

    #[test]
    fn news_are_the_speakers_own() {
        let news = |words: Vec<Word>| serde_json::to_vec(&News { run: 1, number: 2, words }).unwrap();
        let good = news(vec![block("gw2", "192.0.2.9"), block("gw2", "192.0.2.8")]);
        assert_eq!(read_news(&gateway("gw2"), &good).map(|news| news.words.len()), Some(2));
        assert_eq!(number(&good), Some((1, 2)));
        for bad in
            [&b"{}"[..], b"{\"run\":1,\"number\":", b"{\"run\":,\"number\":2,", b"{ \"run\":1,\"number\":2,"]
        {
            assert_eq!(number(bad), None, "these are read as a whole");
        }
        let many = vec![block("gw2", "192.0.2.9"); WORDS + 1];
        let beat = vec![Word::Beat { gateway: gateway("gw2"), clock: 1 }];
        for bad in
            [news(vec![block("gw3", "192.0.2.9")]), news(many), news(beat), b"{}".into(), b"\xff".into()]
        {
            assert_eq!(read_news(&gateway("gw2"), &bad), None);
        }
    }
}
