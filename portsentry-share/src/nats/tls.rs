//! TLS with certificates on both sides.

use std::{path::Path, sync::Arc};

use portsentry::config::{LoadError, trusted_text};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

/// Maximum size of a file in bytes.
const LARGEST: u64 = 1 << 20;

/// Reasons why the certificates can't be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file can't be read or trusted.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// A file has no usable content.
    #[error("{0}: {1}")]
    Content(String, String),
}

/// This gateway's certificate, its key, and the authority that signs the servers' certificates.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The client's part of TLS.
    pub config: Arc<ClientConfig>,
    /// The gateway's certificate.
    pub certificate: CertificateDer<'static>,
}

impl Identity {
    /// Reads the files.
    pub fn load(authority: &Path, certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        let content = |path: &Path, problem: String| TlsError::Content(path.display().to_string(), problem);
        let mut roots = RootCertStore::empty();
        for root in certificates(authority)? {
            roots.add(root).map_err(|error| content(authority, error.to_string()))?;
        }
        let chain = certificates(certificate)?;
        let first =
            chain.first().cloned().ok_or_else(|| content(certificate, "there is no certificate".into()))?;
        let text = trusted_text(key, LARGEST)?;
        let private = PrivateKeyDer::from_pem_slice(text.as_bytes());
        let private = private.map_err(|error| content(key, error.to_string()))?;
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| content(authority, error.to_string()))?
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, private)
            .map_err(|error| content(certificate, error.to_string()))?;
        Ok(Self { config: Arc::new(config), certificate: first })
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let text = trusted_text(path, LARGEST)?;
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text.as_bytes()).collect();
    match read {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(TlsError::Content(path.display().to_string(), "there is no certificate".into())),
        Err(error) => Err(TlsError::Content(path.display().to_string(), error.to_string())),
    }
}
