//! Reads a gateway's part of the fleet's state. A stream is read directly, without a consumer, of which a gateway could create
//! any number.

use std::time::Duration;

use portsentry::policy::peers::{Gateway, Word};
use serde_json::json;
use tokio::time::timeout;

use super::{links::Links, wire};

/// Number of words per request.
const BATCH: u64 = 1024;
/// Maximum time for each answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// Status at the end of the answers.
const END: u16 = 204;
/// Status if there is no word.
const NONE: u16 = 404;

/// Words in the state: each with the end of its subject and its text.
pub type Found = Vec<(String, Vec<u8>, Word)>;

/// Reads the words from sequence number `next` on, at most [`BATCH`] of them. Returns them with the next sequence number, and
/// whether there are more. Returns `None` if no server answers.
pub async fn read(links: &Links, gateway: &Gateway, next: u64) -> Option<(Found, u64, bool)> {
    let subject = format!("$JS.API.DIRECT.GET.{}", wire::stream(gateway));
    let prefix = wire::state(gateway, "");
    // The stream has nothing else. With any other filter the server would count all its subjects for each request.
    let request = json!({"seq": next, "batch": BATCH, "next_by_subj": ">"});
    let mut answers = links.request(&subject, request.to_string().as_bytes())?;
    let (mut found, mut last, mut is_more) = (Vec::new(), next, false);
    loop {
        let message = timeout(PATIENCE, answers.receiver.recv()).await.ok()??;
        let number = |name: &str| message.headers.get(name).and_then(|text| text.parse::<u64>().ok());
        let is_whole = follows(number("Nats-Last-Sequence"), next, last);
        match message.headers.status {
            None if is_whole => {}
            Some(END) if is_whole => return Some((found, last, is_more)),
            Some(NONE) => return Some((found, last, is_more)),
            _ => return None,
        }
        last = last.max(number("Nats-Sequence")? + 1);
        is_more = number("Nats-Num-Pending").is_some_and(|pending| pending > 0);
        let key = message.headers.get("Nats-Subject").and_then(|subject| subject.strip_prefix(&prefix))?;
        if let Some(word) = wire::read_stored(gateway, key, &message.payload) {
            found.push((key.to_owned(), message.payload, word));
        }
    }
}

/// Whether an answer is the one after those before it, which ended before the sequence number `last`; `before` is the one of the answer
/// before it, according to the server. The servers lose answers if the routes between them break meanwhile.
fn follows(before: Option<u64>, next: u64, last: u64) -> bool {
    before.is_none_or(|before| if last == next { before < next } else { before + 1 == last })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_answer_is_noticed() {
        for (before, last, expected, why) in [
            (None, 5, true, "the server doesn't say"),
            (Some(0), 5, true, "the first one"),
            (Some(4), 5, true, "the first one, named after the request"),
            (Some(5), 5, false, "the first one is lost"),
            (Some(9), 5, false, "several are lost, or all of them"),
            (Some(7), 8, true, "the next one"),
            (Some(9), 8, false, "one is lost"),
            (Some(6), 8, false, "it belongs to another reading"),
        ] {
            assert_eq!(follows(before, 5, last), expected, "{why}");
        }
    }
}
