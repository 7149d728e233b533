//! One DNS query and its cross-check. No other module uses the DNS library.

use std::{fmt, net::IpAddr, sync::Arc, time::Duration};

use hickory_resolver::{
    ResolverBuilder, TokioResolver,
    net::runtime::TokioRuntimeProvider,
    proto::rr::{self, RData, RecordType},
};

use super::{Error, Name};

/// Maximum number of an address's names that are checked. More than one is rare, and each costs a query.
const NAMES: usize = 4;

/// The name servers.
#[derive(Clone)]
pub(super) struct Dns(Arc<TokioResolver>);

impl Dns {
    /// Configured by `/etc/resolv.conf` and `/etc/hosts`.
    pub(super) fn of_system(time_limit: Duration) -> Result<Self, Error> {
        let builder =
            TokioResolver::builder_tokio().map_err(|error| Error::Configuration(error.to_string()))?;
        Self::build(builder, time_limit)
    }

    /// Configured for a single server, without files.
    #[cfg(test)]
    pub(super) fn at(server: std::net::SocketAddr, time_limit: Duration) -> Self {
        use hickory_resolver::config::{NameServerConfig, ResolveHosts, ResolverConfig};

        let mut name_server = NameServerConfig::udp(server.ip());
        name_server.connections[0].port = server.port();
        let config = ResolverConfig::from_parts(None, vec![], vec![name_server]);
        let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        builder.options_mut().use_hosts_file = ResolveHosts::Never;
        Self::build(builder, time_limit).unwrap()
    }

    fn build(
        mut builder: ResolverBuilder<TokioRuntimeProvider>,
        time_limit: Duration,
    ) -> Result<Self, Error> {
        let options = builder.options_mut();
        // `memory` caches the final answers.
        options.cache_size = 0;
        // Allows a second attempt if the first datagram is lost.
        options.timeout = time_limit / 2;
        options.attempts = 1;
        let resolver = builder.build().map_err(|error| Error::Configuration(error.to_string()))?;
        Ok(Self(Arc::new(resolver)))
    }

    /// Returns the first name of `address` that resolves back to it.
    ///
    /// The holder of an address can write any name into its PTR record. Only the holder of the name controls the
    /// forward record (RFC 1912 section 2.1).
    pub(super) async fn name_of(&self, address: IpAddr) -> Option<Name> {
        let answer = self.0.reverse_lookup(address).await.ok()?;
        let pointers = answer.answers().iter().filter_map(|record| match &record.data {
            RData::PTR(pointer) => Some(pointer.0.to_ascii()),
            _ => None,
        });
        for name in pointers.take(NAMES).filter_map(|text| Name::new(text.as_bytes()).ok()) {
            if self.leads_to(&name, address).await {
                return Some(name);
            }
        }
        None
    }

    async fn leads_to(&self, name: &Name, address: IpAddr) -> bool {
        let record_type = if address.is_ipv4() { RecordType::A } else { RecordType::AAAA };
        let Ok(mut question) = rr::Name::from_ascii(name.as_str()) else { return false };
        // Prevents search domains from being appended.
        question.set_fqdn(true);
        let Ok(answer) = self.0.lookup(question, record_type).await else { return false };
        answer.answers().iter().any(|record| record.data.ip_addr() == Some(address))
    }
}

impl fmt::Debug for Dns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dns").finish_non_exhaustive()
    }
}
