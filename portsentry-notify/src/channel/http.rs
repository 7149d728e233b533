//! HTTP requests, with the system's certificates.

use std::{io::Read, sync::Arc, time::Duration};

use jiff::{Timestamp, fmt::rfc2822};
use ureq::{
    Agent,
    http::{HeaderMap, Request, Response},
    tls::{Certificate, RootCerts, TlsConfig, TlsProvider},
};

use super::Outcome;

/// Maximum time for a request and its answer.
const PATIENCE: Duration = Duration::from_secs(20);
/// The same for a download.
const DOWNLOAD: Duration = Duration::from_mins(3);
/// Maximum number of redirects of a download.
const REDIRECTS: u32 = 5;
/// Maximum length of an answer that is read, in bytes.
const LONGEST: u64 = 64 << 10;
/// Number of characters of an answer that errors show.
const SHOWN: usize = 200;
/// Longest time that a receiver can ask for.
const LONGEST_REST: Duration = Duration::from_hours(24);

/// A client.
#[derive(Clone, Debug)]
pub struct Client(Agent);

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The body.
    pub body: String,
    /// The time to wait until the next request, if a header has it.
    pub rest: Option<Duration>,
    /// Number of requests left, and the time at which there are more, if headers have them.
    pub left: Option<(u64, Option<i64>)>,
}

/// A download.
#[derive(Clone, Debug)]
pub struct Download {
    /// The status code.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Vec<u8>,
}

impl Client {
    /// Creates a client. The system's certificates are read once.
    #[must_use]
    pub fn new() -> Self {
        let found = rustls_native_certs::load_native_certs();
        for error in &found.errors {
            crate::log::LOG.warning(&format!("a certificate of the system can't be read: {error}"));
        }
        let roots: Vec<Certificate<'static>> =
            found.certs.iter().map(|certificate| Certificate::from_der(certificate).to_owned()).collect();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = TlsConfig::builder()
            .provider(TlsProvider::Rustls)
            .root_certs(RootCerts::Specific(Arc::new(roots)))
            .unversioned_rustls_crypto_provider(provider)
            .build();
        let config = Agent::config_builder()
            .tls_config(tls)
            .timeout_global(Some(PATIENCE))
            .http_status_as_error(false)
            .max_redirects(0)
            .user_agent(concat!("portsentry-notify/", env!("CARGO_PKG_VERSION")))
            .build();
        Self(config.new_agent())
    }

    /// Sends a request.
    pub fn send(&self, request: Request<String>) -> Result<Answer, String> {
        self.0.run(request).map(Answer::read).map_err(|error| error.to_string())
    }
}

impl Client {
    /// Downloads at most `most` bytes.
    pub fn download(&self, request: Request<()>, most: u64, may_redirect: bool) -> Result<Download, String> {
        let redirects = if may_redirect { REDIRECTS } else { 0 };
        let is_https = request.uri().scheme_str() == Some("https");
        let request = self.0.configure_request(request);
        // No redirect leads from https to http.
        let request =
            request.timeout_global(Some(DOWNLOAD)).max_redirects(redirects).https_only(is_https).build();
        let response = self.0.run(request).map_err(|error| error.to_string())?;
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let mut body = Vec::new();
        let mut reader = response.into_body().into_reader().take(most + 1);
        reader.read_to_end(&mut body).map_err(|error| error.to_string())?;
        if body.len() as u64 > most {
            return Err(format!("it is larger than {} MiB", most >> 20));
        }
        Ok(Download { status, headers, body })
    }
}

impl Answer {
    fn read(response: Response<ureq::Body>) -> Self {
        let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
        let number = |name: &str| header(name).and_then(|text| text.trim().parse().ok());
        let rest = header("retry-after").and_then(|text| rest(text, Timestamp::now()));
        let more_at = number("x-ratelimit-reset").and_then(|seconds: u64| i64::try_from(seconds).ok());
        let left = number("x-ratelimit-remaining").map(|left| (left, more_at));
        let status = response.status().as_u16();
        let mut body = Vec::new();
        // An answer that breaks off after its status is one.
        let _ = response.into_body().into_reader().take(LONGEST).read_to_end(&mut body);
        Self { status, body: String::from_utf8_lossy(&body).into_owned(), rest, left }
    }

    /// Returns the outcome by the status code.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        let problem = || {
            let shown = self.body.chars().filter(|it| !it.is_control()).take(SHOWN);
            format!("HTTP status {}: {}", self.status, shown.collect::<String>())
        };
        match self.status {
            200..=299 => Outcome::Sent,
            400 | 413 | 415 | 422 => Outcome::Refused(problem()),
            _ => Outcome::Later(problem(), self.rest),
        }
    }
}

/// Reads `Retry-After` (RFC 9110 section 10.2.3): seconds, or a date.
fn rest(text: &str, now: Timestamp) -> Option<Duration> {
    let text = text.trim();
    let seconds = if let Ok(seconds) = text.parse() {
        Duration::try_from_secs_f64(seconds).ok()?
    } else {
        let date = rfc2822::parse(text).ok()?.timestamp();
        Duration::try_from(date.duration_since(now)).unwrap_or_default()
    };
    Some(seconds.min(LONGEST_REST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rest_is_in_seconds_or_until_a_date() {
        let now = "2026-11-23T09:30:00Z".parse().unwrap();
        for (text, seconds) in [
            ("30", Some(30)),
            ("0.5", Some(0)),
            ("Mon, 23 Nov 2026 09:31:00 GMT", Some(60)),
            ("Mon, 23 Nov 2026 09:29:00 GMT", Some(0)),
            ("9999999", Some(86400)),
            ("-1", None),
            ("soon", None),
        ] {
            assert_eq!(rest(text, now).map(|rest| rest.as_secs()), seconds, "{text}");
        }
    }
}
