//! Every setting of `notify.conf`.

/// A setting.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// The channels that have it: `*` for all, empty if it stands before the sections.
    pub channels: &'static str,
    /// Form of its value.
    pub form: &'static str,
    /// Default value; empty for none.
    pub default: &'static str,
    /// Its effect.
    pub meaning: &'static str,
}

impl Key {
    /// Whether a channel of this kind has it.
    #[must_use]
    pub fn is_of(&self, kind: &str) -> bool {
        self.channels == "*" || self.channels.split(' ').any(|channel| channel == kind)
    }
}

/// Channels that are webhooks.
pub const WEBHOOKS: &str = "webhook slack discord ntfy matrix";

macro_rules! keys {
    ($($name:literal, $channels:expr, $form:literal, $default:literal, $meaning:literal;)+) => {
        /// Every setting, in the order of the documentation.
        pub const KEYS: &[Key] = &[$(Key {
            name: $name, channels: $channels, form: $form, default: $default, meaning: $meaning,
        },)+];
    };
}

keys! {
    "CONTROL_SOCKET", "", "path", "/run/portsentry/control.sock", "The daemon's control socket, as in `portsentry.conf`.";
    "SPOOL_DIRECTORY", "", "path", "/var/lib/portsentry-notify",
        "Directory for events that have yet to be sent, and for each channel's position.";
    "SPOOL_SIZE", "", "size", "16M",
        "Maximum size of these events. When they take more, the oldest are dropped, and the next message says how many.";
    "HOST_NAME", "", "name", "", "This host's name in messages; by default the system's.";
    "REDACT", "", "words", "", "Words that no report to others may contain, besides this host's names and addresses.";
    "CHANNEL", "*", "word", "",
        "Kind of the channel: `mail`, `webhook`, `slack`, `discord`, `ntfy`, `matrix` or `abuseipdb`.";
    "EVENTS", "*", "words", "block fence full error",
        "Actions of the events to send; `all` for every one. For `abuseipdb` only `block`.";
    "SEVERITY", "*", "word", "info", "Least level of the events to send: `error`, `warning`, `notice` or `info`.";
    "KINDS", "*", "words", "",
        "Kinds of probes and scans to send, such as `syn udp slow-scan`. Like each list below: `!udp` for all but those.";
    "COUNTRIES", "*", "words", "", "Countries of the sources to send, such as `CN RU` or `!DE` (needs `GEOIP_COUNTRY`).";
    "NETWORKS", "*", "networks", "", "Networks of the sources to send, such as `!10.0.0.0/8`.";
    "PROVEN", "*", "0 or 1", "0",
        "`1` sends only events about sources that have proved that they sent the packets themselves. Always so for `abuseipdb`.";
    "ONCE", "*", "time", "0", "Time within which a source is sent only once. At least `15m` for `abuseipdb`.";
    "BATCH", "*", "time", "0", "Time for which events are gathered into one message; a hundred events are sent at once.";
    "RATE", "*", "number/time", "", "Maximum number of messages, such as `20/1h`. Later events are gathered into one.";
    "DAILY_LIMIT", "*", "number", "", "Maximum number of messages a day, in UTC. `1000` by default for `abuseipdb`.";
    "QUIET_HOURS", "*", "time-time", "", "Hours without messages, in local time, such as `22:00-07:00`. They follow afterwards.";
    "DIGEST", "*", "time", "", "Sends one message a day, at this local time, such as `08:00`.";
    "URL", "webhook slack discord ntfy matrix abuseipdb", "URL", "",
        "Address of the webhook, of ntfy's topic, or of the Matrix server; of AbuseIPDB or a service with the same interface.";
    "TOKEN", WEBHOOKS, "text", "", "Sent as `Authorization: Bearer`: the access token of ntfy or Matrix.";
    "HEADER", "webhook slack discord ntfy matrix list", "name: value", "", "One more header of the request.";
    "ROOM", "matrix", "id", "", "Id of the Matrix room, such as `!abc:example.org`.";
    "BODY_FILE", WEBHOOKS, "path", "", "File with a template for the request's body.";
    "CONTENT_TYPE", WEBHOOKS, "type", "application/json",
        "Type of that body. In a type with `json` the values are escaped for strings.";
    "LIST", "list", "URL", "",
        "Makes the section a block list to download (`BLOCK_LISTS` in `portsentry.conf`), and no channel: the address of the list.";
    "EVERY", "list", "time", "1d", "Interval of the downloads, at least a minute. Publishers ask for an hour or more.";
    "KEY", "abuseipdb", "text", "", "Key of the account.";
    "TO", "mail", "addresses", "", "Recipients, separated by commas.";
    "FROM", "mail", "address", "", "Sender; by default `portsentry@` and this host's name.";
    "SERVER", "mail", "host:port", "localhost:25", "Mail server.";
    "SERVER_TLS", "mail", "word", "",
        "`starttls`, `tls`, or `off`. By default `tls` for port 465, `off` for `localhost`, otherwise `starttls`.";
    "SENDMAIL", "mail", "path", "",
        "Program that sends the mail instead of a server, such as `/usr/sbin/sendmail`. It runs as the notifier's user.";
    "USER", "mail", "text", "", "User at that server.";
    "PASSWORD", "mail", "text", "", "The user's password.";
}
