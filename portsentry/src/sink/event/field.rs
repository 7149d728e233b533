//! The fields of events. Their names come from the Elastic Common Schema (ECS) if it has one, otherwise they are
//! `portsentry.*`. Fields are defined only here, and a test compares `docs/events.md` with them.

use std::fmt;

/// Type of a field's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// UTC, in the format of RFC 3339.
    Date,
    /// One of a few words, or an identifier.
    Keyword,
    /// A list of keywords.
    Keywords,
    /// Free text.
    Text,
    /// An IPv4 or IPv6 address.
    Ip,
    /// A whole number from 0.
    Number,
    /// A whole number.
    Signed,
    /// Any number.
    Decimal,
    /// True or false.
    Switch,
}

/// Writes the type as the documentation names it.
impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Date => "date",
            Self::Keyword => "keyword",
            Self::Keywords => "keyword list",
            Self::Text => "text",
            Self::Ip => "ip",
            Self::Number => "number",
            Self::Signed => "signed number",
            Self::Decimal => "decimal number",
            Self::Switch => "boolean",
        })
    }
}

/// Defines [`Field`] and [`FIELDS`].
macro_rules! fields {
    ($($(#[doc = $doc:literal])+ $name:ident: $form:ident => $ecs:literal, $journal:literal;)+) => {
        /// A field of an event.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Field {
            $($(#[doc = $doc])+ $name,)+
        }

        /// Every field: its name in JSON, its name in the journal (empty if it has none), its type, its meaning.
        pub const FIELDS: &[(Field, &str, &str, Form, &str)] =
            &[$((Field::$name, $ecs, $journal, Form::$form, concat!($($doc),+)),)+];

        impl Field {
            /// Returns its name in JSON.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $ecs,)+
                }
            }

            /// Returns its name in the journal, if it has one.
            #[must_use]
            pub const fn journal(self) -> Option<&'static str> {
                match self {
                    $(Self::$name => if $journal.is_empty() { None } else { Some($journal) },)+
                }
            }
        }
    };
}

fields! {
    /// Time of the event; for a probe, when it was received.
    Timestamp: Date => "@timestamp", "";
    /// The log line.
    Message: Text => "message", "";
    /// `error`, `warning`, `notice` or `info`.
    Level: Keyword => "log.level", "";
    /// The ECS version of the names.
    Ecs: Keyword => "ecs.version", "";
    /// `alert` for probes and actions against a source, otherwise `event`.
    EventKind: Keyword => "event.kind", "";
    /// The action, see above.
    EventAction: Keyword => "event.action", "PORTSENTRY_EVENT";
    /// ECS categories.
    EventCategory: Keywords => "event.category", "";
    /// ECS types.
    EventType: Keywords => "event.type", "";
    /// `success` or `failure` of a command.
    EventOutcome: Keyword => "event.outcome", "PORTSENTRY_OUTCOME";
    /// The reason, in words.
    EventReason: Text => "event.reason", "PORTSENTRY_REASON";
    /// The number of the event; it grows with each event, also over restarts, but not always by one.
    Sequence: Number => "event.sequence", "";
    /// Always `portsentry`.
    EventModule: Keyword => "event.module", "";
    /// The version of the program.
    ObserverVersion: Keyword => "observer.version", "";
    /// The interface that received a probe.
    InterfaceName: Keyword => "observer.ingress.interface.name", "PORTSENTRY_INTERFACE";
    /// That interface's index.
    InterfaceId: Keyword => "observer.ingress.interface.id", "";
    /// Identifier of the innermost VLAN tag, if there was one.
    VlanId: Keyword => "observer.ingress.vlan.id", "PORTSENTRY_VLAN";
    /// Source address of a probe, or the source that the event is about.
    SourceIp: Ip => "source.ip", "PORTSENTRY_SOURCE";
    /// The blocked or fenced network, if it isn't a single host; `source.ip` is its first address.
    Network: Keyword => "portsentry.network", "PORTSENTRY_NETWORK";
    /// Source port of the probe.
    SourcePort: Number => "source.port", "PORTSENTRY_SOURCE_PORT";
    /// The source's DNS name, if `RESOLVE_HOST` found one.
    SourceDomain: Keyword => "source.domain", "PORTSENTRY_SOURCE_NAME";
    /// The source's country (ISO 3166-1), if `GEOIP_COUNTRY` has it.
    Country: Keyword => "source.geo.country_iso_code", "PORTSENTRY_COUNTRY";
    /// Number of the autonomous system of the source's network, if `GEOIP_ASN` has it.
    Asn: Number => "source.as.number", "PORTSENTRY_ASN";
    /// The name of that system's organisation.
    AsOrganization: Keyword => "source.as.organization.name", "PORTSENTRY_AS_NAME";
    /// Destination address of the probe.
    DestinationIp: Ip => "destination.ip", "PORTSENTRY_DESTINATION";
    /// Destination port of the probe.
    DestinationPort: Number => "destination.port", "PORTSENTRY_PORT";
    /// `tcp` or `udp`.
    Transport: Keyword => "network.transport", "PORTSENTRY_PROTOCOL";
    /// `ipv4` or `ipv6`.
    NetworkType: Keyword => "network.type", "";
    /// The command, with its macros replaced, or the line for `hosts.deny`.
    CommandLine: Text => "process.command_line", "PORTSENTRY_COMMAND";
    /// The command's exit status.
    ExitCode: Signed => "process.exit_code", "PORTSENTRY_EXIT_CODE";
    /// The version of this schema.
    Schema: Number => "portsentry.schema", "PORTSENTRY_SCHEMA";
    /// `syn`, `fin`, `null`, `xmas`, `unknown`, `maimon`, `ack`, `fragment`, `udp`, `connect` or `chain` (IPv6 extension headers that hide the transport header, so that protocol and port say TCP and 0); with `SCAN_DETECTION` also `slow scan`, `sweep` or `distributed scan`.
    Kind: Keyword => "portsentry.kind", "PORTSENTRY_KIND";
    /// Number of distinct addresses and ports at which a scan's first contacts failed, at most 255.
    ScanPairs: Number => "portsentry.scan.pairs", "PORTSENTRY_SCAN_PAIRS";
    /// Seconds from the first to the last of these failures.
    ScanSpan: Number => "portsentry.scan.span", "PORTSENTRY_SCAN_SPAN";
    /// The scan's score, in natural logarithms: 9.2 leads to a report, 13.8 to a fence.
    ScanScore: Decimal => "portsentry.scan.score", "PORTSENTRY_SCAN_SCORE";
    /// The network of which a distributed scan covers addresses.
    ScanNetwork: Keyword => "portsentry.scan.network", "PORTSENTRY_SCAN_NETWORK";
    /// Number of addresses that a distributed scan has covered.
    ScanCovered: Number => "portsentry.scan.covered", "PORTSENTRY_SCAN_COVERED";
    /// Approximate number of a distributed scan's sources.
    ScanSources: Number => "portsentry.scan.sources", "PORTSENTRY_SCAN_SOURCES";
    /// The latest of these sources, at most 64: IPv4 addresses, or IPv6 /64s.
    ScanMembers: Keywords => "portsentry.scan.members", "PORTSENTRY_SCAN_MEMBERS";
    /// TCP's control bits as received, of `FIN`, `SYN`, `RST`, `PSH`, `ACK`, `URG`, `ECE` and `CWR`.
    Flags: Keywords => "portsentry.flags", "PORTSENTRY_FLAGS";
    /// Whether IPv4 options or IPv6 extension headers were present.
    Options: Switch => "portsentry.options", "";
    /// Number of the source's probes so far; 0 if this one doesn't count.
    Hits: Number => "portsentry.hits", "PORTSENTRY_HITS";
    /// The kernel's verdict: `counted`, `block`, `report`, `noticed`, `ignored`, `full` or `fence`.
    Verdict: Keyword => "portsentry.verdict", "PORTSENTRY_VERDICT";
    /// The proof that the source itself sent it: `none`, `cookie` (a completed handshake), `connection` or
    /// `administrator`.
    Proof: Keyword => "portsentry.proof", "PORTSENTRY_PROOF";
    /// The id of the block or fence: one for all events from its start to its end.
    BlockId: Keyword => "portsentry.id", "PORTSENTRY_ID";
    /// End of a block or fence; absent if it is permanent.
    Until: Date => "portsentry.until", "PORTSENTRY_UNTIL";
    /// The setting behind the action, such as `KILL_ROUTE`.
    Setting: Keyword => "portsentry.setting", "PORTSENTRY_SETTING";
    /// Number of suppressed or lost events, or of sources.
    Count: Number => "portsentry.count", "PORTSENTRY_COUNT";
}
