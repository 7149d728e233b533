//! Keys and certificates, made by `openssl`.

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Days for which an authority's certificate is valid.
const AUTHORITY_DAYS: u32 = 3650;
/// Days for which other certificates are valid.
const DAYS: u32 = 730;

/// An authority that signs certificates.
#[derive(Debug)]
pub(super) struct Authority {
    /// Its certificate.
    pub(super) certificate: PathBuf,
    key: PathBuf,
}

/// The owner of a certificate.
#[derive(Clone, Copy, Debug)]
pub(super) enum Subject<'a> {
    /// A server, which also connects to other servers.
    Server(&'a str),
    /// A gateway.
    Gateway(&'a str),
}

impl Authority {
    /// Opens an authority, which is made if it doesn't exist.
    pub(super) fn open(directory: &Path, name: &str) -> Result<Self, String> {
        let path = directory.join(name);
        let authority = Self { certificate: path.with_extension("pem"), key: path.with_extension("key") };
        if !authority.certificate.exists() {
            let extensions = "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\n";
            let common = format!("portsentry {name}");
            request(&authority.key, &authority.certificate, &common, extensions, AUTHORITY_DAYS, None)?;
        }
        Ok(authority)
    }

    /// Makes `path.key` and `path.pem`, unless they exist.
    pub(super) fn sign(&self, path: &Path, subject: &Subject<'_>) -> Result<(), String> {
        let certificate = path.with_extension("pem");
        if certificate.exists() {
            return Ok(());
        }
        let (name, extensions) = match subject {
            Subject::Server(name) => {
                let kind = if name.parse::<std::net::IpAddr>().is_ok() { "IP" } else { "DNS" };
                (*name, format!("extendedKeyUsage=serverAuth,clientAuth\nsubjectAltName={kind}:{name}\n"))
            }
            Subject::Gateway(name) => (*name, "extendedKeyUsage=clientAuth\n".into()),
        };
        let extensions = format!("basicConstraints=critical,CA:FALSE\n{extensions}");
        request(&path.with_extension("key"), &certificate, name, &extensions, DAYS, Some(self))
    }
}

fn request(
    key: &Path,
    certificate: &Path,
    name: &str,
    extensions: &str,
    days: u32,
    authority: Option<&Authority>,
) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("openssl can't be run: {error}");
    let configuration =
        format!("[req]\nprompt=no\ndistinguished_name=name\n[name]\nCN={name}\n[extensions]\n{extensions}");
    let mut command = Command::new("openssl");
    command
        .args(["req", "-x509", "-config", "/dev/stdin", "-extensions", "extensions", "-sha256", "-nodes"])
        .args(["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-days", &days.to_string()])
        .arg("-keyout")
        .arg(key)
        .arg("-out")
        .arg(certificate);
    if let Some(authority) = authority {
        command.arg("-CA").arg(&authority.certificate).arg("-CAkey").arg(&authority.key);
    }
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().map_err(failed)?;
    if let Some(mut input) = child.stdin.take() {
        input.write_all(configuration.as_bytes()).map_err(failed)?;
    }
    let output = child.wait_with_output().map_err(failed)?;
    if output.status.success() {
        Ok(())
    } else {
        Err(format!(
            "openssl failed for {}: {}",
            certificate.display(),
            String::from_utf8_lossy(&output.stderr).trim()
        ))
    }
}
