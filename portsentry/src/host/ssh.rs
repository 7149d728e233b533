//! The ports of this host's SSH servers, as far as a process without privileges can know them.

use std::{collections::BTreeSet, fs, path::Path};

/// Directory of OpenSSH's configuration (`sshd_config(5)`).
const DIRECTORY: &str = "/etc/ssh";
const PORT: u16 = 22;

/// Returns port 22, and the ports in the configuration of OpenSSH's server.
#[must_use]
pub fn ssh_ports() -> BTreeSet<u16> {
    ports_below(Path::new(DIRECTORY))
}

fn ports_below(directory: &Path) -> BTreeSet<u16> {
    let more = fs::read_dir(directory.join("sshd_config.d")).into_iter().flatten().flatten();
    let files = more.map(|entry| entry.path()).chain([directory.join("sshd_config")]);
    let texts: Vec<String> = files.filter_map(|file| fs::read_to_string(file).ok()).collect();
    texts.iter().flat_map(|text| text.lines()).filter_map(port).chain([PORT]).collect()
}

/// Returns the port in a line of the file, if it names one.
fn port(line: &str) -> Option<u16> {
    let mut words = line.split(|c: char| c.is_whitespace() || c == '=').filter(|word| !word.is_empty());
    let (keyword, value) = (words.next()?.to_ascii_lowercase(), words.next()?.trim_matches('"'));
    match keyword.as_str() {
        "port" => value.parse().ok(),
        // An IPv6 address with a port is in brackets.
        "listenaddress" => {
            let (host, port) = value.rsplit_once(':')?;
            (!host.contains(':') || host.ends_with(']')).then(|| port.parse().ok())?
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_read_as_sshd_reads_them() {
        for (line, expected) in [
            ("Port 2222", Some(2222)),
            ("  port=2022 # the old one", Some(2022)),
            ("PORT \"22\"", Some(22)),
            ("#Port 22", None),
            ("Port many", None),
            ("ListenAddress 192.0.2.1:2200", Some(2200)),
            ("ListenAddress [2001:db8::1]:2201", Some(2201)),
            ("ListenAddress 2001:db8::1", None),
            ("ListenAddress 0.0.0.0", None),
            ("PermitRootLogin no", None),
            ("", None),
        ] {
            assert_eq!(port(line), expected, "{line}");
        }
    }

    #[test]
    fn included_files_count() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(ports_below(directory.path()), [22].into());
        fs::write(directory.path().join("sshd_config"), "Port 2222\n").unwrap();
        fs::create_dir(directory.path().join("sshd_config.d")).unwrap();
        fs::write(directory.path().join("sshd_config.d/more.conf"), "Port 2223\n").unwrap();
        assert_eq!(ports_below(directory.path()), [22, 2222, 2223].into());
    }
}
