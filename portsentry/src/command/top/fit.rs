//! Fits a table into a width without cutting a number: numbers get a unit, and then whole columns are left out.

/// Spaces between columns.
pub(super) const GAP: usize = 2;

/// A column before it is fitted.
#[derive(Clone, Debug)]
pub(super) struct Column {
    /// The heading, in full and in short.
    pub heading: [String; 2],
    /// Whether the cells are aligned to the right.
    pub is_right: bool,
    /// Columns with the highest rank are left out first; the one with rank 0 stays.
    pub rank: u8,
    /// Each cell, in full and in short.
    pub cells: Vec<[String; 2]>,
}

/// A column that fits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fitted {
    /// Its index among the given columns.
    pub index: usize,
    pub width: usize,
    /// The form of its cells: 0 in full, 1 in short.
    pub form: usize,
}

/// Returns the columns that fit into `width`, in order. The last remaining column may be wider.
pub(super) fn fit(columns: &[Column], width: usize) -> Vec<Fitted> {
    let fitted = |form: usize, highest: u8| -> Vec<Fitted> {
        let kept = columns.iter().enumerate().filter(|(_, column)| column.rank <= highest);
        kept.map(|(index, column)| Fitted { index, width: width_of(column, form), form }).collect()
    };
    let needed = |fitted: &[Fitted]| {
        fitted.iter().map(|column| column.width).sum::<usize>() + GAP * fitted.len().saturating_sub(1)
    };
    let mut ranks: Vec<u8> = columns.iter().map(|column| column.rank).collect();
    ranks.sort_unstable();
    ranks.dedup();
    for rank in ranks.iter().rev() {
        for form in [0, 1] {
            let found = fitted(form, *rank);
            if needed(&found) <= width {
                return found;
            }
        }
    }
    fitted(1, ranks.first().copied().unwrap_or_default())
}

fn width_of(column: &Column, form: usize) -> usize {
    let cells = column.cells.iter().map(|cell| cell[form].chars().count());
    cells.chain([column.heading[form].chars().count()]).max().unwrap_or_default()
}

/// Returns as many of `parts`, most important first, as fit whole into `lines` lines of this width. A part that
/// doesn't fit is replaced by its short form, or left out. Parts are separated by two spaces.
pub(super) fn flow<T: Clone>(
    parts: &[([String; 2], T)],
    width: usize,
    lines: usize,
) -> Vec<Vec<(String, T)>> {
    let mut flowed: Vec<Vec<(String, T)>> = vec![Vec::new()];
    let mut used = 0;
    for (forms, tag) in parts {
        for form in forms.iter().filter(|form| !form.is_empty()) {
            let length = form.chars().count();
            let gap = if used == 0 { 0 } else { GAP };
            if used + gap + length <= width {
                used += gap + length;
            } else if flowed.len() < lines && length <= width {
                flowed.push(Vec::new());
                used = length;
            } else {
                continue;
            }
            if let Some(line) = flowed.last_mut() {
                line.push((form.clone(), tag.clone()));
            }
            break;
        }
    }
    flowed
}

/// Shortens an address to `width` by leaving out groups in the middle, with an ellipsis in their place. Its end, with
/// the length of a network, stays if there is room.
pub(super) fn elided(address: &str, width: usize) -> String {
    if address.chars().count() <= width {
        return address.into();
    }
    let separator = if address.contains(':') { ':' } else { '.' };
    let groups: Vec<&str> = address.split(separator).collect();
    let joined = |from: &[&str]| from.join(&separator.to_string());
    let mut best = (false, 1, "…".to_owned());
    for head in 0..groups.len() {
        for tail in 0..groups.len() - head {
            let (first, last) = (&groups[..head], &groups[groups.len() - tail..]);
            let mut text = joined(first);
            if head > 0 {
                text.push(separator);
            }
            text.push('…');
            if tail > 0 {
                text.push(separator);
            }
            text += &joined(last);
            let length = text.chars().count();
            // Of several of the same length, the one with more at its beginning.
            if length <= width && (head > 0 && tail > 0, length) >= (best.0, best.1) {
                best = (head > 0 && tail > 0, length, text);
            }
        }
    }
    best.2
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn column(rank: u8, full: &str, short: &str) -> Column {
        Column {
            heading: ["H".into(), "H".into()],
            is_right: true,
            rank,
            cells: vec![[full.into(), short.into()]],
        }
    }

    #[test]
    fn numbers_get_units_before_columns_are_left_out() {
        let columns =
            [column(0, "192.0.2.1", "192.0.2.1"), column(2, "1234567", "1.23M"), column(1, "ab", "ab")];
        for (width, expected) in [
            (22, vec![(0, 9, 0), (1, 7, 0), (2, 2, 0)]),
            (21, vec![(0, 9, 1), (1, 5, 1), (2, 2, 1)]),
            (19, vec![(0, 9, 0), (2, 2, 0)]),
            (12, vec![(0, 9, 0)]),
            (5, vec![(0, 9, 1)]),
        ] {
            let expected: Vec<_> =
                expected.into_iter().map(|(index, width, form)| Fitted { index, width, form }).collect();
            assert_eq!(fit(&columns, width), expected, "{width}");
        }
    }

    #[test]
    fn parts_flow_into_lines_and_are_never_cut() {
        let part = |full: &str, short: &str| ([full.into(), short.into()], ());
        let parts =
            [part("dropped 12345", "dropped 12.3k"), part("probes 1000000", "probes 1.00M"), part("x 1", "")];
        let text = |width, lines| -> Vec<String> {
            let line = |parts: &Vec<(String, ())>| {
                parts.iter().map(|(text, ())| text.as_str()).collect::<Vec<_>>().join("  ")
            };
            flow(&parts, width, lines).iter().map(line).collect()
        };
        assert_eq!(text(40, 1), ["dropped 12345  probes 1000000  x 1"]);
        assert_eq!(text(28, 1), ["dropped 12345  probes 1.00M"]);
        assert_eq!(text(20, 1), ["dropped 12345  x 1"]);
        assert_eq!(text(20, 2), ["dropped 12345", "probes 1000000  x 1"]);
        assert_eq!(text(4, 1), ["x 1"]);
    }

    #[test]
    fn a_long_address_loses_its_middle() {
        for (address, width, expected) in [
            ("192.0.2.1", 9, "192.0.2.1"),
            ("2001:db8:1:2:3:4:5:6/64", 20, "2001:db8:1:2:…:6/64"),
            ("2001:db8:1:2:3:4:5:6", 12, "2001:db8:…:6"),
            ("2001:db8:1:2:3:4:5:6", 2, "…"),
        ] {
            let text = elided(address, width);
            assert!(text.chars().count() <= width, "{text}");
            if expected.chars().count() <= width {
                assert_eq!(text, expected);
            }
        }
    }

    proptest! {
        #[test]
        fn an_elided_address_consists_of_whole_groups(address: std::net::Ipv6Addr, width in 1_usize..50) {
            let (full, text) = (address.to_string(), elided(&address.to_string(), width));
            prop_assert!(text.chars().count() <= width);
            if let Some((head, tail)) = text.split_once('…') {
                prop_assert!(full.starts_with(head) && full.ends_with(tail), "{full} as {text}");
                prop_assert!(head.is_empty() || head.ends_with(':'));
                prop_assert!(tail.is_empty() || tail.starts_with(':'));
            } else {
                prop_assert_eq!(text, full);
            }
        }
    }
}
