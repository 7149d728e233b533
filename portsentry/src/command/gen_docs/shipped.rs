//! The end of the shipped configuration file: settings that its hand-written part doesn't show.

use std::fmt::Write;

use crate::config::keys;

const FILE: &str = include_str!("../../../../etc/portsentry.conf");
const BEGIN: &str = "\n# Further settings (made from the code: cargo xtask gen-docs)\n";
const END: &str = "\n# EOF\n";
/// Maximum length of a comment line.
const WIDTH: usize = 90;

/// Returns the shipped file, with missing settings added at its end.
pub(super) fn file() -> String {
    let text = FILE.strip_suffix(END).unwrap_or(FILE);
    let text = text.split_once(BEGIN).map_or(text, |(text, _)| text);
    let is_shown =
        |name: &str| text.lines().any(|line| line.trim_start_matches('#').split('=').next() == Some(name));
    let lacking = keys::all().filter(|key| !is_shown(key.name));
    let mut further = String::new();
    for key in lacking {
        // Writing to a string never fails.
        let _ = write!(further, "#\n{}#{}=\"{}\"\n", comment(key.meaning), key.name, key.default);
    }
    let begin = if further.is_empty() { "" } else { BEGIN };
    format!("{text}{begin}{further}{END}")
}

/// Returns `text` as comment lines.
fn comment(text: &str) -> String {
    let mut lines = String::new();
    let mut line = String::from("#");
    for word in text.split_whitespace() {
        if line.len() + 1 + word.len() > WIDTH {
            lines += &line;
            lines.push('\n');
            line = String::from("#");
        }
        line.push(' ');
        line += word;
    }
    lines + &line + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comment_is_wrapped() {
        let words = vec!["word"; 50].join(" ");
        let lines = comment(&words);
        assert!(
            lines.lines().count() == 3
                && lines.lines().all(|line| line.starts_with("# word") && line.len() <= WIDTH)
        );
        assert_eq!(lines.replace("# ", "").split_whitespace().count(), 50);
    }
}
