//! The end of a certificate's validity (RFC 5280, section 4.1).

use jiff::{civil::DateTime, tz::Offset};
use portsentry::policy::peers::Millis;

const SEQUENCE: u8 = 0x30;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
/// Tag of the version, which only old certificates lack.
const VERSION: u8 = 0xa0;

/// Returns the end of the validity of a certificate in DER, in milliseconds since 1970.
#[must_use]
pub fn end(certificate: &[u8]) -> Option<Millis> {
    let (_, content, _) = element(certificate)?;
    let (_, mut fields, _) = element(content)?;
    if fields.first() == Some(&VERSION) {
        fields = element(fields)?.2;
    }
    // Serial number, algorithm, issuer.
    for _ in 0..3 {
        fields = element(fields)?.2;
    }
    let (tag, validity, _) = element(fields)?;
    let (_, _, rest) = element(validity)?;
    let (kind, text, _) = element(rest)?;
    if tag == SEQUENCE { time(kind, std::str::from_utf8(text).ok()?) } else { None }
}

/// Returns the tag and the content of the first element, and the bytes behind it.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[tag, first], rest) = bytes.split_first_chunk::<2>()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x83 => {
            let (digits, rest) = rest.split_at_checked(usize::from(first - 0x80))?;
            (digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

/// Reads `YYMMDDHHMMSSZ` or `YYYYMMDDHHMMSSZ`.
fn time(kind: u8, text: &str) -> Option<Millis> {
    let whole = match kind {
        UTC_TIME => format!("{}{text}", if text < "5" { "20" } else { "19" }),
        GENERALIZED_TIME => text.to_owned(),
        _ => return None,
    };
    let digits = whole.strip_suffix('Z').filter(|digits| digits.len() == 14)?;
    let time = DateTime::strptime("%Y%m%d%H%M%S", digits).ok()?;
    Millis::try_from(Offset::UTC.to_timestamp(time).ok()?.as_millisecond()).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn times_are_read() {
        for (kind, text, expected) in [
            (UTC_TIME, "700101000000Z", Some(0)),
            (UTC_TIME, "261129190102Z", Some(1_795_978_862_000)),
            (UTC_TIME, "000229000000Z", Some(951_782_400_000)),
            (GENERALIZED_TIME, "20501231235959Z", Some(2_556_143_999_000)),
            (GENERALIZED_TIME, "20500230000000Z", None),
            (GENERALIZED_TIME, "500101", None),
            (0x13, "700101000000Z", None),
        ] {
            assert_eq!(time(kind, text), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = end(&bytes);
        }
    }
}
