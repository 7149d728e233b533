//! The configuration file, `share.conf`.

mod content;
mod keys;
mod read;

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use portsentry::config::{LoadError, Report, trusted_text};

pub use self::{
    content::{AtStop, CROWDSEC, Config, CrowdSec, ROUTES, Routes, Server},
    keys::KEYS,
};

/// Maximum size of the file in bytes.
const LARGEST: u64 = 1 << 20;

/// Reasons why the file can't be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It can't be read or trusted, or it has errors.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// Other users may read the key.
    #[error("other users may read {0}: chmod o-r {0}")]
    Readable(PathBuf),
}

/// Reads the file.
pub fn load(path: &Path) -> Result<(Config, Report), Error> {
    let text = trusted_text(path, LARGEST)?;
    let (config, report) = parse(&text, path).map_err(LoadError::from)?;
    let key = Some(config.key.as_path()).filter(|_| config.is_fleet());
    for secret in [path].into_iter().chain(key) {
        let metadata = fs::metadata(secret);
        let metadata = metadata.map_err(|source| LoadError::Io { path: secret.into(), source })?;
        if metadata.mode() & 0o004 != 0 {
            return Err(Error::Readable(secret.into()));
        }
    }
    Ok((config, report))
}

/// Reads a text. Its paths are relative to the directory of `file`.
fn parse(text: &str, file: &Path) -> Result<(Config, Report), Report> {
    let mut report = Report::new(&file.to_string_lossy());
    let values = read::values(text, &mut report);
    let config = read::config(values, file.parent().unwrap_or(Path::new("/")), text, &mut report);
    match config {
        Some(config) => report.into_result(config),
        None => Err(report),
    }
}

#[cfg(test)]
mod tests {
    use portsentry::policy::peers::Gateway;

    use super::*;

    const WHOLE: &str = "SERVERS=\"nats1:4222 [2001:db8::1]:4223 192.0.2.7\"\nGATEWAYS=\"gw1 gw2\"\n";

    fn read(text: &str) -> Result<Config, String> {
        let read = parse(text, Path::new("/etc/portsentry/share.conf"));
        read.map(|(config, _)| config).map_err(|report| report.to_string())
    }

    #[test]
    fn a_file_is_read() {
        let config = read(&format!("# a comment\n{WHOLE}KEY=\"other.key\"\nNEWS_RATE=\"7\"\n")).unwrap();
        let servers: Vec<_> = config.servers.iter().map(|it| (it.host.as_str(), it.port)).collect();
        assert_eq!(servers, [("nats1", 4222), ("2001:db8::1", 4223), ("192.0.2.7", 4222)]);
        assert_eq!(config.gateways.iter().map(Gateway::name).collect::<Vec<_>>(), ["gw1", "gw2"]);
        assert_eq!(config.key, Path::new("/etc/portsentry/other.key"));
        assert_eq!(config.certificate, Path::new("/etc/portsentry/gateway.pem"));
        assert_eq!((config.rate, config.socket.as_path()), (7, Path::new("/run/portsentry/share.sock")));
    }

    #[test]
    fn a_gateway_without_a_fleet_has_another_way() {
        let config = read("FEED_LISTEN=\"[::1]:8402\"\n").unwrap();
        assert_eq!((config.is_fleet(), config.feed), (false, Some("[::1]:8402".parse().unwrap())));
        assert!(read(WHOLE).unwrap().is_fleet() && read("FEED_LISTEN=\"off\"\n").is_err());
    }

    #[test]
    fn secrets_are_read_and_not_shown() {
        let url = "CROWDSEC_URL=\"https://lapi:8080/\"\n";
        let text =
            format!("{url}CROWDSEC_KEY=\"k3y\"\nCROWDSEC_MACHINE=\"gw1\"\nCROWDSEC_PASSWORD=\"s e\"\n");
        let config = read(&text).unwrap();
        let crowdsec = config.crowdsec.as_ref().unwrap();
        assert_eq!((crowdsec.url.as_str(), crowdsec.key.as_deref()), ("https://lapi:8080", Some("k3y")));
        assert_eq!(crowdsec.machine, Some(("gw1".to_owned(), "s e".to_owned())));
        let shown = format!("{config:?}");
        assert!(!shown.contains("k3y") && !shown.contains("s e"), "{shown}");
    }

    #[test]
    fn errors_name_their_lines() {
        for (text, expected) in [
            ("GATEWAYS=\"gw1\"\n", "SERVERS is missing"),
            ("SERVERS=\"a\"\n", "GATEWAYS is missing"),
            ("SERVERS=\"a:0\"\nGATEWAYS=\"gw1\"\n", "share.conf:1:10"),
            ("SERVERS=\"a b\"\nGATEWAYS=\"gw1 g.w\"\n", "share.conf:2:15"),
            ("SERVERS=\"a b\"\nGATEWAYS=\"gw1 gw1\"\n", "twice"),
            ("SERVERS=\"a a\"\nGATEWAYS=\"gw1 gw2\"\n", "twice"),
            ("SERVER=\"a\"\n", "did you mean SERVERS?"),
            ("nonsense\n", "not a setting"),
            ("SERVERS=a\n", "not in quotes"),
            ("NEWS_RATE=\"0\"\n", "share.conf:1:12"),
            ("FEED_LISTEN=\"here\"\n", "share.conf:1:14"),
            ("SERVERS=\"a\"\nGATEWAYS=\"gw1 crowdsec\"\n", "share.conf:2:15"),
            ("ROUTES_OUT=\"254\"\n", "share.conf:1:13"),
            ("ROUTES_OUT=\"80\"\nROUTES_AT_STOP=\"no\"\n", "share.conf:2:17"),
            ("CROWDSEC_URL=\"ftp://x\"\n", "share.conf:1:15"),
            ("CROWDSEC_URL=\"https://x/\"\n", "CROWDSEC_MACHINE or CROWDSEC_KEY is missing"),
            ("CROWDSEC_URL=\"https://x\"\nCROWDSEC_MACHINE=\"gw1\"\n", "needs CROWDSEC_PASSWORD"),
            ("FEED_LISTEN=\"127.0.0.1:80\"\nGATEWAYS=\"gw1\"\n", "SERVERS is missing"),
        ] {
            let report = read(text).unwrap_err();
            assert!(report.contains(expected), "{text}: {report}");
        }
    }
}
