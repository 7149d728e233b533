//! HTTP requests to a Local API, with the system's certificates.

use std::{
    io::{BufReader, Read},
    sync::Arc,
    time::Duration,
};

use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::task::spawn_blocking;
use ureq::{
    Agent,
    http::{Method, Request},
    tls::{Certificate, RootCerts, TlsConfig, TlsProvider},
};

use crate::log::LOG;

/// Maximum time for a request and its answer.
const PATIENCE: Duration = Duration::from_secs(20);
/// Maximum length of an answer in bytes: about 300,000 decisions.
const LARGEST: u64 = 64 << 20;
/// Maximum number of bytes that are read of an error's text, and at a time of others.
const ERROR: u64 = 4096;
const BUFFER: usize = 64 << 10;
/// Number of characters of an answer that problems show.
const SHOWN: usize = 200;

/// A client.
#[derive(Clone, Debug)]
pub struct Client {
    agent: Agent,
    url: String,
}

/// Why a request failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The status, if there was an answer.
    pub status: Option<u16>,
    /// The reason.
    pub problem: String,
}

impl Client {
    /// Creates a client of the API at this URL.
    #[must_use]
    pub fn new(url: String) -> Self {
        let found = rustls_native_certs::load_native_certs();
        for error in &found.errors {
            LOG.warning(&format!("a certificate of the system can't be read: {error}"));
        }
        let roots: Vec<Certificate<'static>> =
            found.certs.iter().map(|certificate| Certificate::from_der(certificate).to_owned()).collect();
        let tls = TlsConfig::builder()
            .provider(TlsProvider::Rustls)
            .root_certs(RootCerts::Specific(Arc::new(roots)))
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .build();
        let config = Agent::config_builder()
            .tls_config(tls)
            .timeout_global(Some(PATIENCE))
            .http_status_as_error(false)
            .max_redirects(0)
            .user_agent(concat!("portsentry-share/", env!("CARGO_PKG_VERSION")))
            .build();
        Self { agent: config.new_agent(), url }
    }

    /// Returns the API's URL.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Sends a request to a path, with a header for authentication and a body. Returns the answer, which is read from its JSON
    /// as it arrives.
    pub async fn ask<T: DeserializeOwned + Send + 'static>(
        self: &Arc<Self>,
        method: Method,
        path: String,
        (name, secret): (&'static str, String),
        body: Option<Value>,
    ) -> Result<T, Failure> {
        let client = Arc::clone(self);
        let asked = spawn_blocking(move || {
            let mut request = Request::builder().method(method).uri(format!("{}{path}", client.url));
            if !secret.is_empty() {
                request = request.header(name, secret);
            }
            let text = body.map(|body| body.to_string()).unwrap_or_default();
            let request = request.header("Content-Type", "application/json").body(text);
            client.send(request.map_err(|error| Failure::new(error.to_string()))?)
        });
        asked.await.map_err(|error| Failure::new(error.to_string()))?
    }

    fn send<T: DeserializeOwned>(&self, request: Request<String>) -> Result<T, Failure> {
        let failed = |problem: String| Failure::new(format!("{}: {problem}", self.url));
        let response = self.agent.run(request).map_err(|error| failed(error.to_string()))?;
        let status = response.status().as_u16();
        let mut reader = response.into_body().into_reader().take(LARGEST);
        if !(200..300).contains(&status) {
            let mut body = Vec::new();
            // An answer that breaks off has a status, too.
            let _ = reader.take(ERROR).read_to_end(&mut body);
            let text = String::from_utf8_lossy(&body);
            let shown: String = text.chars().filter(|it| !it.is_control()).take(SHOWN).collect();
            return Err(Failure { status: Some(status), ..failed(format!("HTTP status {status}: {shown}")) });
        }
        let read = serde_json::from_reader(BufReader::with_capacity(BUFFER, &mut reader));
        if reader.limit() == 0 {
            return Err(failed(format!("the answer is larger than {} MiB", LARGEST >> 20)));
        }
        read.map_err(|error| failed(error.to_string()))
    }
}

impl Failure {
    fn new(problem: String) -> Self {
        Self { status: None, problem }
    }
}
