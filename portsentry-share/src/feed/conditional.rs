//! Conditional requests (RFC 9110 section 13).

use std::time::{Duration, SystemTime};

use jiff::{Timestamp, fmt::rfc2822};
use portsentry::{
    http::{Answer, Request},
    policy::peers::time_of,
};

use super::text::Entity;

/// Answers a request for a text: with the text, or that the client has it.
pub fn answer(request: &Request<'_>, entity: &Entity, media: &str, now: SystemTime) -> Answer {
    let modified = modified(entity, now);
    let is_known = match request.header("if-none-match") {
        Some(tags) => has(&tags, &entity.tag),
        // It counts only without tags (section 13.1.3).
        None => match (request.header("if-modified-since").as_deref().and_then(date), modified) {
            (Some(known), Some(modified)) => modified <= known,
            _ => false,
        },
    };
    let dated = modified
        .and_then(|modified| rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&modified).ok());
    let dated = dated.map(|date| format!("Last-Modified: {date}\r\n")).unwrap_or_default();
    let headers = format!("ETag: {}\r\n{dated}Cache-Control: no-cache\r\n", entity.tag);
    if is_known {
        Answer { status: "304 Not Modified", headers, text: "".into() }
    } else {
        let headers = format!("Content-Type: {media}\r\n{headers}");
        Answer { status: "200 OK", headers, text: entity.text.clone() }
    }
}

/// Returns the date of the last change in whole seconds, once that second is over: there may be another change in it.
fn modified(entity: &Entity, now: SystemTime) -> Option<Timestamp> {
    let changed = time_of(entity.changed / 1000 * 1000);
    let is_over = now.duration_since(changed).is_ok_and(|since| since >= Duration::from_secs(1));
    Timestamp::try_from(changed).ok().filter(|_| is_over)
}

/// Whether a list has the tag. Weak tags count as well (section 13.1.2).
fn has(list: &str, tag: &str) -> bool {
    list.split(',')
        .map(str::trim)
        .any(|known| known == "*" || known.strip_prefix("W/").unwrap_or(known) == tag)
}

fn date(text: &str) -> Option<Timestamp> {
    rfc2822::parse(text).ok().map(|date| date.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_found_in_a_list() {
        for (list, expected) in [
            ("\"a-1\"", true),
            ("W/\"a-1\"", true),
            ("\"b\", \"a-1\"", true),
            ("*", true),
            ("\"b\"", false),
            ("a-1", false),
            ("", false),
        ] {
            assert_eq!(has(list, "\"a-1\""), expected, "{list}");
        }
    }

    #[test]
    fn a_second_that_is_not_over_is_no_date() {
        let entity = Entity { text: "".into(), tag: String::new(), changed: 1_500 };
        assert_eq!(modified(&entity, time_of(1_999)), None);
        assert_eq!(modified(&entity, time_of(2_000)), Some(Timestamp::from_second(1).unwrap()));
        assert_eq!(date("Thu, 01 Jan 1970 00:00:01 GMT"), Some(Timestamp::from_second(1).unwrap()));
        assert_eq!(date("yesterday"), None);
    }
}
