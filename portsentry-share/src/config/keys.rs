//! Every setting of `share.conf`.

/// A setting.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// Form of its value.
    pub form: &'static str,
    /// Default value; empty for none.
    pub default: &'static str,
    /// Its effect.
    pub meaning: &'static str,
}

macro_rules! keys {
    ($($name:literal, $form:literal, $default:literal, $meaning:literal;)+) => {
        /// Every setting, in the order of the documentation.
        pub const KEYS: &[Key] = &[$(Key { name: $name, form: $form, default: $default, meaning: $meaning },)+];
    };
}

keys! {
    "SHARE_SOCKET", "path", "/run/portsentry/share.sock", "The daemon's socket, as in `portsentry.conf`.";
    "SERVERS", "hosts or addresses, with or without ports", "",
        "The fleet's NATS servers, this gateway's nearest first. The companion keeps connections to two of them.";
    "GATEWAYS", "names", "", "All gateways of the fleet, this one included.";
    "AUTHORITY", "path", "servers.pem", "Certificate of the authority that signs the servers' certificates.";
    "CERTIFICATE", "path", "gateway.pem", "This gateway's certificate.";
    "KEY", "path", "gateway.key", "Its private key. Other users must not be able to read it.";
    "NEWS_RATE", "1 to 1000000", "100",
        "Words per second that are sent as news, five seconds' at once; as PEER_RATE of the other gateways. Further words \
         reach the others through the fleet's state, within about two seconds.";
    "FEED_LISTEN", "address and port, or off", "off",
        "Address at which HTTP clients read this gateway's shared blocks: `/blocked.txt` and `/blocked.json`.";
    "CROWDSEC_URL", "URL, or off", "off",
        "URL of a CrowdSec's Local API. With `http:` passwords and keys are readable on the way.";
    "CROWDSEC_MACHINE", "name", "", "Name of a machine at that API, to publish this gateway's shared blocks there.";
    "CROWDSEC_PASSWORD", "password", "", "The machine's password.";
    "CROWDSEC_KEY", "key", "",
        "Key of a bouncer at that API, to hear its decisions, as a peer named `crowdsec`. Each gateway needs a key of its own.";
    "STATE_DIRECTORY", "path", "/var/lib/portsentry-share", "Directory for what CrowdSec and routes have said so far.";
    "ROUTES_OUT", "1 to 4294967295, or off", "off",
        "Number of the routing table into which this gateway's shared blocks go, as blackholes with protocol 80.";
    "ROUTES_AT_STOP", "keep or remove", "remove", "What becomes of these routes when portsentry-routes stops.";
    "ROUTES_SOCKET", "path", "/run/portsentry-routes/routes.sock", "The socket of portsentry-routes.";
    "ROUTES_IN", "1 to 4294967295, or off", "off",
        "Number of the routing table whose blackholes are heard, as a peer named `routes`.";
}
