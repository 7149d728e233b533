//! Settings of the files that the daemon reads and keeps.

use super::key::{Key, Origin};
use crate::config::value;

pub(super) const KEYS: &[Key] = &[
    Key {
        name: "IGNORE_FILE",
        origin: Origin::Both,
        form: "path",
        default: "/etc/portsentry/portsentry.ignore",
        meaning: "Allowlist: hosts and networks whose probes never count and that are never blocked.",
        set: |c, v, r| c.ignore_file = value::file(v, r),
    },
    Key {
        name: "BLOCK_LIST",
        origin: Origin::Ours,
        form: "path",
        default: "/etc/portsentry/portsentry.blocklist",
        meaning: "Denylist: hosts and networks that are blocked while this file lists them, one per line, \
            in the syntax of the ignore file. PortSentry reloads the file when it changes. The default \
            file may be missing.",
        set: |c, v, r| c.block_list = value::file(v, r),
    },
    Key {
        name: "BLOCK_LISTS",
        origin: Origin::Ours,
        form: "path",
        default: "",
        meaning: "Directory of further denylists: each file in it is a list with the file's name, in the \
            format of BLOCK_LIST, of FireHOL's netsets, or of Spamhaus DROP, AbuseIPDB or CrowdSec in text \
            or JSON. PortSentry reloads changed files; of a file with an error the last valid content \
            stays. portsentry-notify downloads lists to /var/lib/portsentry-notify/lists.",
        set: |c, v, r| c.block_lists = value::absolute(v, r),
    },
    Key {
        name: "HISTORY_FILE",
        origin: Origin::Both,
        form: "path",
        default: "/var/lib/portsentry/portsentry.history",
        meaning: "Record of every block ever made. Append-only.",
        set: |c, v, r| c.history_file = value::file(v, r),
    },
    Key {
        name: "BLOCKED_FILE",
        origin: Origin::Both,
        form: "path",
        default: "/var/lib/portsentry/portsentry.blocked",
        meaning: "Current blocks, one per line. Remove a line to lift its block.",
        set: |c, v, r| c.blocked_file = value::file(v, r),
    },
    Key {
        name: "EVIDENCE_FILE",
        origin: Origin::Ours,
        form: "path, or off",
        default: "/var/lib/portsentry/portsentry.evidence",
        meaning: "The packets that led to each block, for `portsentry why`. At 4 MiB a new file is \
            started; the previous one is kept with the suffix .1.",
        set: |c, v, r| value::unless_off(&mut c.evidence_file, v, r),
    },
    Key {
        name: "GEOIP_COUNTRY",
        origin: Origin::Ours,
        form: "path",
        default: "",
        meaning: "File in MaxMind's format with the countries of addresses (GeoLite2-Country, DB-IP Country Lite), \
            for lists, events and metrics. PortSentry reloads the file when it changes.",
        set: |c, v, r| c.geoip_country = value::absolute(v, r),
    },
    Key {
        name: "GEOIP_ASN",
        origin: Origin::Ours,
        form: "path",
        default: "",
        meaning: "File in MaxMind's format with the networks (autonomous systems) of addresses (GeoLite2-ASN, DB-IP \
            ASN Lite). PortSentry reloads the file when it changes.",
        set: |c, v, r| c.geoip_asn = value::absolute(v, r),
    },
];
