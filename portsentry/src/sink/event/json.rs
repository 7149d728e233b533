//! Writes an event as a line of JSON: objects with sorted members, without building them in memory first, because each
//! event is written, whether or not anybody reads it.

use std::sync::LazyLock;

use serde::Serialize;
use serde_json::Value;

use super::field::{FIELDS, Field};

/// Length of most lines in bytes.
const LENGTH: usize = 1024;

/// The position of each field among all, sorted by the parts of their names.
static POSITIONS: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut sorted: Vec<(&str, usize)> =
        FIELDS.iter().map(|(field, name, ..)| (*name, *field as usize)).collect();
    sorted.sort_by(|(one, _), (other, _)| one.split('.').cmp(other.split('.')));
    let mut positions = vec![0; sorted.len()];
    for (position, (_, field)) in (0..=u8::MAX).zip(sorted) {
        positions[field] = position;
    }
    positions
});

/// The value of a field.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Member<'a> {
    Text(&'a str),
    Texts(&'a [&'a str]),
    Number(u64),
    Value(&'a Value),
}

/// Returns a line with these fields. Of several values of a field, the last counts. Dots in a field's name stand for
/// nested objects.
pub(super) fn line(mut members: Vec<(Field, Member<'_>)>) -> String {
    members.sort_by_key(|(field, _)| POSITIONS.get(*field as usize));
    let mut line = Vec::with_capacity(LENGTH);
    let mut open: Vec<&str> = Vec::new();
    line.push(b'{');
    for (index, (field, member)) in members.iter().enumerate() {
        if members.get(index + 1).is_some_and(|(next, _)| next == field) {
            continue;
        }
        let (path, key) = field.name().rsplit_once('.').unwrap_or(("", field.name()));
        let path = || path.split('.').filter(|name| !name.is_empty());
        let shared = open.iter().zip(path()).take_while(|(one, other)| **one == *other).count();
        line.extend(open.drain(shared..).map(|_| b'}'));
        for name in path().skip(shared) {
            begin(&mut line, name);
            line.push(b'{');
            open.push(name);
        }
        begin(&mut line, key);
        // Writing to memory can't fail, and neither can serialising these values.
        let _ = serde_json::to_writer(&mut line, member);
    }
    line.extend(open.iter().map(|_| b'}'));
    line.push(b'}');
    String::from_utf8(line).unwrap_or_default()
}

/// Begins a member. Names of fields need no escapes.
fn begin(line: &mut Vec<u8>, name: &str) {
    if line.last() != Some(&b'{') {
        line.push(b',');
    }
    line.push(b'"');
    line.extend_from_slice(name.as_bytes());
    line.extend_from_slice(b"\":");
}
