//! The administrator who blocks or unblocks a source, and the reason.

use std::env;

use crate::{
    policy::register::{ADMINISTRATOR, asked},
    sink::annotation::shortened,
};

/// The variables in which sudo(8) and doas(1) name the user who ran them.
const NAMES: [&str; 2] = ["SUDO_USER", "DOAS_USER"];

/// Returns the administrator's name, if it is known.
pub(super) fn name() -> Option<String> {
    let name = NAMES.iter().find_map(|name| env::var(name).ok()).filter(|name| !name.is_empty());
    name.map(|name| shortened(&name))
}

/// Returns the reason of an unblock for the history, or `None` for the usual one.
pub(super) fn reason(given: Option<&str>) -> Option<String> {
    words(name().as_deref(), given)
}

fn words(name: Option<&str>, given: Option<&str>) -> Option<String> {
    let words = match (name, given) {
        (None, None) => return None,
        (None, Some(given)) => format!("{ADMINISTRATOR}: {given}"),
        (Some(name), given) => asked(name, given),
    };
    Some(shortened(&words))
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
