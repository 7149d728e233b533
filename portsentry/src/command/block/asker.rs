//! The administrator who unblocks a source, and the reason.

use std::env;

use crate::{policy::register::ADMINISTRATOR, sink::annotation::shortened};

/// The variables in which sudo(8) and doas(1) name the user who ran them.
const NAMES: [&str; 2] = ["SUDO_USER", "DOAS_USER"];

/// Returns the words for the history, or `None` for the usual ones.
pub(super) fn reason(given: Option<&str>) -> Option<String> {
    let name = NAMES.iter().find_map(|name| env::var(name).ok()).filter(|name| !name.is_empty());
    words(name.as_deref(), given)
}

fn words(name: Option<&str>, given: Option<&str>) -> Option<String> {
    let asked = name.map_or_else(|| ADMINISTRATOR.into(), |name| format!("{name} asked for it"));
    match (name, given) {
        (None, None) => None,
        (Some(_), None) => Some(shortened(&asked)),
        (_, Some(given)) => Some(shortened(&format!("{asked}: {given}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_and_reason_are_words() {
        for (name, given, expected) in [
            (None, None, None),
            (Some("alice"), None, Some("alice asked for it")),
            (None, Some("a \"guest\""), Some("an administrator asked for it: a \"guest\"")),
            (Some("alice"), Some("a\nguest"), Some("alice asked for it: aguest")),
        ] {
            assert_eq!(words(name, given).as_deref(), expected);
        }
    }
}
