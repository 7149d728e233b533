//! A list in formats for other programs.

use super::{super::observed, firewall, stix};
use crate::{cli::Format, inspect::held::Listed, instant::Time, policy::name_of, sanitize::sanitize};

/// Columns of the table in CSV.
const HEADING: &str = "address,state,since,until,proof,port,protocol,kind,hits,dropped,id,by,gateway,country,asn,\
                       organization,reason";

/// Returns the list in this format, as of `now`.
pub(super) fn text(format: Format, sources: &[Listed], now: Time) -> String {
    match format {
        Format::Plain => sources.iter().map(|source| name_of(source.address) + "\n").collect(),
        Format::Nft => firewall::nft(sources, now),
        Format::Ipset => firewall::ipset(sources, now),
        Format::Csv => csv(sources),
        Format::Json => observed::json(&sources),
        Format::Stix => observed::json(&stix::bundle(sources)),
    }
}

/// Returns a table with a heading (RFC 4180).
fn csv(sources: &[Listed]) -> String {
    let mut text = format!("{HEADING}\r\n");
    for source in sources {
        let origin = source.origin.clone().unwrap_or_default();
        let time = |time: Time| crate::instant::universal(time.0);
        let cells = [
            name_of(source.address),
            source.state.name().into(),
            time(source.since),
            source.until.map(time).unwrap_or_default(),
            source.proof.to_string(),
            source.port.map(|port| port.to_string()).unwrap_or_default(),
            source.protocol.as_deref().unwrap_or_default().to_owned(),
            source.kind.clone().unwrap_or_default(),
            source.hits.to_string(),
            source.dropped.to_string(),
            source.id.map(String::from).unwrap_or_default(),
            source.by.name().into(),
            source.gateway.clone().unwrap_or_default(),
            origin.country.unwrap_or_default(),
            origin.asn.map(|asn| asn.to_string()).unwrap_or_default(),
            origin.organization.unwrap_or_default(),
            source.reason.clone().unwrap_or_default(),
        ];
        text += &cells.map(|cell| quoted(&cell)).join(",");
        text += "\r\n";
    }
    text
}

/// Returns a cell. A spreadsheet would evaluate a text that begins like a formula.
fn quoted(cell: &str) -> String {
    let cell = sanitize(cell);
    let mark = if cell.starts_with(['=', '+', '-', '@']) { "'" } else { "" };
    if mark.is_empty() && !cell.contains([',', '"']) {
        return cell.into_owned();
    }
    format!("\"{mark}{}\"", cell.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::{super::tests::fenced, *};

    #[test]
    fn cells_are_quoted_and_never_formulas() {
        for (cell, expected) in [
            ("TCP SYN", "TCP SYN"),
            ("a, b", "\"a, b\""),
            ("a \"guest\"", "\"a \"\"guest\"\"\""),
            ("=HYPERLINK(1)", "\"'=HYPERLINK(1)\""),
            ("@a", "\"'@a\""),
            ("a\nb", "a\\nb"),
        ] {
            assert_eq!(quoted(cell), expected);
        }
    }

    #[test]
    fn a_table_has_as_many_cells_as_headings() {
        let text = text(Format::Csv, &[fenced("192.0.2.9")], Time::now());
        let cells: Vec<_> = text.lines().map(|line| line.split(',').count()).collect();
        assert_eq!(cells, [17, 17], "{text}");
        let line = "192.0.2.9,fenced,1970-01-01T00:00:00Z,1970-01-01T00:05:00Z,none,11,TCP,TCP SYN/Normal scan,1,3,,own,,,,,";
        assert_eq!(text.lines().nth(1), Some(line));
    }

    #[test]
    fn addresses_alone_are_a_block_list() {
        let text = text(Format::Plain, &[fenced("192.0.2.9"), fenced("2001:db8::9")], Time::now());
        assert_eq!(text, "192.0.2.9\n2001:db8::9\n");
    }
}
