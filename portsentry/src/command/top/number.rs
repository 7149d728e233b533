//! Numbers as text: exact, or short with a unit.

use std::time::Duration;

const UNITS: [(u64, char); 6] = [
    (1_000, 'k'),
    (1_000_000, 'M'),
    (1_000_000_000, 'G'),
    (1_000_000_000_000, 'T'),
    (1_000_000_000_000_000, 'P'),
    (1_000_000_000_000_000_000, 'E'),
];

/// Formats `number` in at most five characters: exactly below ten thousand, otherwise rounded to three digits with
/// a unit.
pub(super) fn short(number: u64) -> String {
    if number < 10_000 {
        return number.to_string();
    }
    for (unit, name) in UNITS {
        for (decimals, scale) in [(2, 100), (1, 10), (0, 1)] {
            let rounded = (u128::from(number) * scale + u128::from(unit) / 2) / u128::from(unit);
            if rounded < 1000 {
                let (whole, rest) = (rounded / scale, rounded % scale);
                return match decimals {
                    0 => format!("{whole}{name}"),
                    decimals => format!("{whole}.{rest:0decimals$}{name}"),
                };
            }
        }
    }
    number.to_string()
}

/// Formats a rate in at most five characters: with one decimal below ten.
pub(super) fn speed(a_second: f64) -> String {
    if a_second > 0.0 && a_second < 0.05 {
        "<0.1".into()
    } else if a_second > 0.0 && a_second < 9.95 {
        format!("{a_second:.1}")
    } else {
        short(whole(a_second))
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rate is finite and not negative"
)]
const fn whole(a_second: f64) -> u64 {
    a_second.round() as u64
}

/// Formats a duration in its largest whole unit: `59s`, `3m`, `5h`, `12d`.
pub(super) fn age(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..86400 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86400),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_have_three_digits_and_a_unit() {
        for (number, expected) in [
            (0, "0"),
            (9_999, "9999"),
            (10_000, "10.0k"),
            (12_349, "12.3k"),
            (99_949, "99.9k"),
            (99_950, "100k"),
            (999_499, "999k"),
            (999_500, "1.00M"),
            (1_234_567, "1.23M"),
            (5_000_000_000, "5.00G"),
            (u64::MAX, "18.4E"),
        ] {
            assert_eq!(short(number), expected);
        }
    }

    #[test]
    fn rates_have_a_decimal_only_below_ten() {
        for (a_second, expected) in [
            (0.0, "0"),
            (0.01, "<0.1"),
            (0.5, "0.5"),
            (9.94, "9.9"),
            (9.96, "10"),
            (12.3, "12"),
            (9999.0, "9999"),
            (12_345.0, "12.3k"),
            (2_500_000.0, "2.50M"),
        ] {
            assert_eq!(speed(a_second), expected, "{a_second}");
        }
    }

    #[test]
    fn ages_have_one_unit() {
        for (seconds, expected) in
            [(0, "0s"), (59, "59s"), (60, "1m"), (3599, "59m"), (7200, "2h"), (86400 * 12 + 5, "12d")]
        {
            assert_eq!(age(Duration::from_secs(seconds)), expected);
        }
    }

    proptest! {
        #[test]
        fn a_short_number_is_near_the_number(number: u64) {
            let text = short(number);
            prop_assert!(text.len() <= 5, "{text}");
            let factor = UNITS.iter().find(|(_, name)| text.ends_with(*name)).map_or(1, |(unit, _)| *unit);
            let digits: f64 = text.trim_end_matches(|c: char| c.is_alphabetic()).parse().unwrap();
            #[expect(clippy::cast_precision_loss, reason = "the error is compared with half a percent")]
            let (number, shown) = (number as f64, digits * factor as f64);
            prop_assert!((shown - number).abs() <= number * 0.005, "{number} as {text}");
        }
    }
}
