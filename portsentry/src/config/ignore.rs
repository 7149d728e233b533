//! The ignore file (allowlist): one `address` or `address/bits` per line, with `#` comments. IPv4 as in 1.2, IPv6
//! as in 2.x.

use std::{
    io::ErrorKind,
    path::{Path, PathBuf},
};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::{
    Config,
    load_error::LoadError,
    network::network,
    read::read,
    report::Report,
    span::{Span, lines},
};

/// Reads an ignore file. Networks are truncated to their prefix; unreadable lines are errors.
pub fn parse(text: &str, file: &str) -> Result<(Vec<IpNet>, Report), Report> {
    let (networks, report) = parse_valid(text, file);
    report.into_result(networks)
}

/// Reads the valid lines of an ignore file, and reports the others.
pub(super) fn parse_valid(text: &str, file: &str) -> (Vec<IpNet>, Report) {
    let mut report = Report::new(file);
    let mut networks = Vec::new();
    for line in lines(text) {
        let entry = entry(line);
        if entry.text() == "/0" {
            networks.extend([IpNet::V4(Ipv4Net::default()), IpNet::V6(Ipv6Net::default())]);
        } else if is_host_name(entry.text()) {
            // 1.2 goes on with such a line, too, and never matches it.
            report
                .warn(entry, "host names are not looked up: this line ignores nobody")
                .help("write the host's addresses, each on a line");
            continue;
        } else if !entry.is_empty() {
            networks.extend(network(entry, &mut report));
        } else {
            continue;
        }
        if networks.last().is_some_and(|net| net.prefix_len() == 0) {
            report.warn(entry, "this ignores every source of this IP version: none will ever be blocked");
        }
    }
    (networks, report)
}

/// Whether `text` can only be the name of a host (RFC 1123, section 2.1): its last label is not a number.
fn is_host_name(text: &str) -> bool {
    let is_label = |label: &str| {
        !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    let labels = text.strip_suffix('.').unwrap_or(text);
    labels.split('.').all(is_label)
        && labels.rsplit('.').next().is_some_and(|last| !last.bytes().all(|byte| byte.is_ascii_digit()))
}

/// The contents of an ignore file, and of Debian's `portsentry.ignore.static` beside it.
#[derive(Debug, Default)]
pub struct Ignored {
    /// The networks of both files.
    pub networks: Vec<IpNet>,
    /// The warnings.
    pub reports: Vec<Report>,
    /// Whether the default ignore file is missing, which is no error.
    pub is_missing: bool,
}

/// Returns the file and the number of its first line that names exactly `network`: the ignore file at `path`, or the
/// static file beside it. Returns `None` if there is none or the files can't be read.
#[must_use]
pub fn place_of(path: &Path, network: IpNet) -> Option<(PathBuf, usize)> {
    [path.to_path_buf(), static_file(path)].into_iter().find_map(|path| {
        let text = read(&path).ok()?;
        let names = |line: &Span<'_>| parse_valid(line.text(), "").0.contains(&network);
        let line = lines(&text).find(names)?.line.number;
        Some((path, line))
    })
}

/// Returns the path of the file that Debian's start script for 1.2 copied into the ignore file, and that its
/// administrators edit.
#[must_use]
pub fn static_file(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".static");
    name.into()
}

/// Reads the ignore file at `path`, and the static file beside it if there is one, if they can be trusted (see
/// [`LoadError`]).
pub fn load(path: &Path) -> Result<Ignored, LoadError> {
    let mut ignored = Ignored::default();
    for path in [path, &static_file(path)] {
        match read(path) {
            Ok(text) => {
                let (networks, report) = parse(&text, &path.to_string_lossy())?;
                ignored.networks.extend(networks);
                ignored.reports.push(report);
            }
            Err(error) if may_miss(&error) => ignored.is_missing |= path == Config::default().ignore_file,
            Err(error) => return Err(error),
        }
    }
    Ok(ignored)
}

/// Whether `error` only says that the default ignore file, or a static file, is missing.
#[must_use]
pub(super) fn may_miss(error: &LoadError) -> bool {
    matches!(error, LoadError::Io { path, source }
        if source.kind() == ErrorKind::NotFound
            && (*path == Config::default().ignore_file || path.extension().is_some_and(|end| end == "static")))
}

/// Returns a line's entry: the text before white space or a comment.
pub(super) fn entry(line: Span<'_>) -> Span<'_> {
    let line = line.trim();
    let end = line.text().find(|c: char| c.is_ascii_whitespace() || c == '#');
    end.map_or(line, |end| line.split_at(end).0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn networks(text: &str) -> Vec<String> {
        parse(text, "ignore").unwrap().0.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn every_way_to_write_a_network() {
        for (line, network) in [
            ("127.0.0.1", "127.0.0.1/32"),
            ("0.0.0.0", "0.0.0.0/32"),
            ("192.168.2.0/24", "192.168.2.0/24"),
            ("10.1.2.3/16", "10.1.0.0/16"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("192.0.2.7/0", "0.0.0.0/0"),
            ("::1", "::1/128"),
            ("::/0", "::/0"),
            ("10.1.2.3/255.255.0.0", "10.1.0.0/16"),
            ("192.0.2.7/255.255.255.255 host.example", "192.0.2.7/32"),
            ("192.0.2.7/0.0.0.0", "0.0.0.0/0"),
            ("2001:db8::1/ffff:ffff::", "2001:db8::/32"),
            ("2001:DB8::AbCd/32", "2001:db8::/32"),
            ("fe80::1/10", "fe80::/10"),
            ("::ffff:192.0.2.7", "192.0.2.7/32"),
            ("::ffff:192.0.2.7/120", "192.0.2.0/24"),
            ("::ffff:192.0.2.7/80", "::/80"),
            ("  10.0.0.1\t the gateway", "10.0.0.1/32"),
            ("10.0.0.1#gateway", "10.0.0.1/32"),
        ] {
            assert_eq!(networks(line), [network], "{line:?}");
        }
    }

    #[test]
    fn a_host_name_is_warned_of_and_the_rest_is_read() {
        let (networks, report) =
            parse("scanner.example\n192.0.2.7\nlocalhost # name\nmail-1.example.\n", "ignore").unwrap();
        assert_eq!(networks, ["192.0.2.7/32".parse().unwrap()]);
        let found: Vec<_> = report.iter().map(|d| (d.line(), d.text())).collect();
        assert_eq!(found, [(1, "scanner.example"), (3, "localhost"), (4, "mail-1.example.")]);
    }

    #[test]
    fn the_static_file_of_debian_is_read_too() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("portsentry.ignore");
        std::fs::write(&path, "192.0.2.7\n").unwrap();
        assert_eq!(load(&path).unwrap().networks, ["192.0.2.7/32".parse().unwrap()]);
        std::fs::write(static_file(&path), "198.51.100.0/24\n").unwrap();
        let ignored = load(&path).unwrap();
        let expected: [IpNet; 2] = ["192.0.2.7/32".parse().unwrap(), "198.51.100.0/24".parse().unwrap()];
        assert_eq!((ignored.networks.as_slice(), ignored.is_missing), (&expected[..], false));
        assert_eq!(super::super::salvage_ignored(&path), (expected.to_vec(), vec![]));
        std::fs::write(static_file(&path), "no:where\n").unwrap();
        assert!(load(&path).is_err());
        std::fs::remove_file(&path).unwrap();
        assert!(load(&path).is_err(), "only the default file may be missing");
    }

    #[test]
    fn comments_blank_lines_and_line_ends() {
        assert_eq!(networks("# all\n\n 10.0.0.1\r\n\t# x\n::1"), ["10.0.0.1/32", "::1/128"]);
        assert!(networks("").is_empty());
    }

    #[test]
    fn a_bare_prefix_of_nothing_is_everything() {
        assert_eq!(networks("/0"), ["0.0.0.0/0", "::/0"]);
    }

    #[test]
    fn ignoring_everybody_is_worth_a_warning() {
        for (text, warnings) in [("0.0.0.0/0", 1), ("::/0", 1), ("/0", 1), ("10.0.0.0/8\n1.2 y", 0)] {
            let count = parse(text, "ignore").map_or(0, |(_, report)| report.iter().count());
            assert_eq!(count, warnings, "{text:?}");
        }
    }

    #[test]
    fn all_that_is_wrong_is_told_at_once() {
        let text = "10.0.0.0/33\nhost.example/24\n10.0.0.1\n::1/129\n1.2.3\n10.0.0.0/255.0.255.0\n010.0.0.1\n10.0.0.0/\n/8";
        let report = parse(text, "ignore").unwrap_err();
        let found: Vec<_> = report.iter().map(|d| (d.line(), d.column(), d.text())).collect();
        assert_eq!(
            found,
            [
                (1, 10, "33"),
                (2, 1, "host.example"),
                (4, 5, "129"),
                (5, 1, "1.2.3"),
                (6, 10, "255.0.255.0"),
                (7, 1, "010.0.0.1"),
                (8, 10, ""),
                (9, 1, ""),
            ]
        );
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "(?s).{0,200}|([0-9a-f:./# \n]{0,20}\n?){0,5}") {
            if let Err(report) = parse(&text, "ignore") {
                prop_assert!(!report.to_string().is_empty());
            }
        }

        #[test]
        fn any_network_is_read_truncated(ip: std::net::IpAddr, bits in 0..=128u8) {
            prop_assume!(!matches!(ip, std::net::IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some()));
            let bits = if ip.is_ipv4() { bits.min(32) } else { bits };
            let read = parse(&format!("{ip}/{bits}"), "ignore").unwrap().0;
            prop_assert_eq!(read, [IpNet::new(ip, bits).unwrap().trunc()]);
        }
    }
}
