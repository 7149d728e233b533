//! Escapes text from outside for HTML.

use crate::sanitize::sanitize;

/// Returns `text` for an element's content or a quoted attribute. Control characters, and characters that change the
/// text direction, are spelt out.
#[must_use]
pub fn html(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in sanitize(text).chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            c => safe.push(c),
        }
    }
    safe
}

/// Returns a number with its thousands apart.
#[must_use]
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn markup_is_text() {
        assert_eq!(html("<a href='x'>\"&\u{202e}\n"), "&lt;a href=&#39;x&#39;&gt;&quot;&amp;\\u{202e}\\n");
        for (number, expected) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(number), expected);
        }
    }

    proptest! {
        #[test]
        fn no_text_opens_an_element_or_closes_an_attribute(text: String) {
            let safe = html(&text);
            prop_assert!(!safe.contains(['<', '>', '"', '\'']));
        }
    }
}
