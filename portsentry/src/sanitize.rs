//! Makes text safe to show.

use std::borrow::Cow;

/// Returns `text` with special characters escaped: control characters, line separators, and characters that change
/// the text direction (UAX #9), which can make one name look like another.
#[must_use]
pub fn sanitize(text: &str) -> Cow<'_, str> {
    if !text.contains(is_acted_on) {
        return text.into();
    }
    let spell = |shown: String, c: char| {
        if is_acted_on(c) {
            shown + &c.escape_default().to_string()
        } else {
            shown + c.encode_utf8(&mut [0; 4])
        }
    };
    text.chars().fold(String::with_capacity(text.len()), spell).into()
}

fn is_acted_on(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_a_terminal_acts_on_is_spelt_out() {
        for (text, expected) in [
            ("a\nattackalert: b\u{1b}[2J\u{9b}", "a\\nattackalert: b\\u{1b}[2J\\u{9b}"),
            ("eth0\u{202e}0hte", "eth0\\u{202e}0hte"),
            ("café 東京", "café 東京"),
        ] {
            assert_eq!(sanitize(text), expected);
        }
    }

    proptest! {
        #[test]
        fn nothing_of_it_is_left(text: String) {
            prop_assert!(!sanitize(&text).contains(is_acted_on));
        }
    }
}
