//! The names under which events say what happened: those of the Elastic Common Schema (ECS) where it has one, and
//! `portsentry.*` where it has none. The one place where a field is made known; `docs/events.md` is held to it.

use std::fmt;

/// What a field's values look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// UTC, as RFC 3339 has it.
    Date,
    /// A word out of a few, or an identifier.
    Keyword,
    /// Keywords in a list.
    Keywords,
    /// Words for people.
    Text,
    /// An IPv4 or IPv6 address.
    Ip,
    /// A whole number from 0.
    Number,
    /// A whole number.
    Signed,
    /// True or false.
    Switch,
}

/// As in the documentation.
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

        /// Every field: its name in JSON, its name in the journal (empty where it has none there), its form, its
        /// meaning.
        pub const FIELDS: &[(Field, &str, &str, Form, &str)] =
            &[$((Field::$name, $ecs, $journal, Form::$form, concat!($($doc),+)),)+];

        impl Field {
            /// Its name in JSON.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $ecs,)+
                }
            }

            /// Its name in the journal, if it has one there.
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
    /// When it happened: of a probe, when it was received.
    Timestamp: Date => "@timestamp", "";
    /// The log's words for it.
    Message: Text => "message", "";
    /// `error`, `warning`, `notice` or `info`.
    Level: Keyword => "log.level", "";
    /// The version of ECS whose names these are.
    Ecs: Keyword => "ecs.version", "";
    /// `alert` where somebody probed or is acted against, else `event`.
    EventKind: Keyword => "event.kind", "";
    /// What happened, see above.
    EventAction: Keyword => "event.action", "PORTSENTRY_EVENT";
    /// ECS categories.
    EventCategory: Keywords => "event.category", "";
    /// ECS types.
    EventType: Keywords => "event.type", "";
    /// `success` or `failure` of a command.
    EventOutcome: Keyword => "event.outcome", "PORTSENTRY_OUTCOME";
    /// Why, in words.
    EventReason: Text => "event.reason", "PORTSENTRY_REASON";
    /// Always `portsentry`.
    EventModule: Keyword => "event.module", "";
    /// The version of the program.
    ObserverVersion: Keyword => "observer.version", "";
    /// The interface on which a probe came in.
    InterfaceName: Keyword => "observer.ingress.interface.name", "PORTSENTRY_INTERFACE";
    /// That interface's index.
    InterfaceId: Keyword => "observer.ingress.interface.id", "";
    /// Identifier of the innermost VLAN tag, if there was one.
    VlanId: Keyword => "observer.ingress.vlan.id", "PORTSENTRY_VLAN";
    /// Where a probe says it came from, or whom it is about.
    SourceIp: Ip => "source.ip", "PORTSENTRY_SOURCE";
    /// The port that it came from.
    SourcePort: Number => "source.port", "PORTSENTRY_SOURCE_PORT";
    /// The source's name in the DNS, where `RESOLVE_HOST` found one.
    SourceDomain: Keyword => "source.domain", "PORTSENTRY_SOURCE_NAME";
    /// Where the probe went.
    DestinationIp: Ip => "destination.ip", "PORTSENTRY_DESTINATION";
    /// The port that was probed.
    DestinationPort: Number => "destination.port", "PORTSENTRY_PORT";
    /// `tcp` or `udp`.
    Transport: Keyword => "network.transport", "PORTSENTRY_PROTOCOL";
    /// `ipv4` or `ipv6`.
    NetworkType: Keyword => "network.type", "";
    /// The command that was run, with its macros replaced, or the line for `hosts.deny`.
    CommandLine: Text => "process.command_line", "PORTSENTRY_COMMAND";
    /// The command's exit status.
    ExitCode: Signed => "process.exit_code", "PORTSENTRY_EXIT_CODE";
    /// The version of this schema.
    Schema: Number => "portsentry.schema", "PORTSENTRY_SCHEMA";
    /// `syn`, `fin`, `null`, `xmas`, `unknown`, `maimon`, `ack`, `fragment`, `udp`, `connect` or `chain` (IPv6 extension headers that hide the transport header, so that protocol and port say TCP and 0).
    Kind: Keyword => "portsentry.kind", "PORTSENTRY_KIND";
    /// TCP's control bits as received, of `FIN`, `SYN`, `RST`, `PSH`, `ACK`, `URG`, `ECE` and `CWR`.
    Flags: Keywords => "portsentry.flags", "PORTSENTRY_FLAGS";
    /// Whether IPv4 options or IPv6 extension headers were present.
    Options: Switch => "portsentry.options", "";
    /// The source's probes so far; 0 if it doesn't count.
    Hits: Number => "portsentry.hits", "PORTSENTRY_HITS";
    /// What the kernel did: `counted`, `block`, `report`, `noticed`, `ignored`, `full` or `fence`.
    Verdict: Keyword => "portsentry.verdict", "PORTSENTRY_VERDICT";
    /// What proves that the source itself sent it: `none`, `cookie`, `connection` or `administrator`.
    Proof: Keyword => "portsentry.proof", "PORTSENTRY_PROOF";
    /// When a block or fence ends; absent where it is for good.
    Until: Date => "portsentry.until", "PORTSENTRY_UNTIL";
    /// The setting that asks for it, as `KILL_ROUTE`.
    Setting: Keyword => "portsentry.setting", "PORTSENTRY_SETTING";
    /// How many: of what was left out, or of sources.
    Count: Number => "portsentry.count", "PORTSENTRY_COUNT";
}
