//! Settings of the log, events and metrics.

use super::key::{Key, Origin, put};
use crate::config::{
    choice::{choice, syslog_choice},
    monitoring,
};

pub(super) const KEYS: &[Key] = &[
    Key {
        name: "LOG_FORMAT",
        origin: Origin::Ours,
        form: "auto, classic or revival",
        default: "auto",
        meaning: "Log lines of 1.2 (classic) or 2.x (revival). auto follows the command line flags.",
        set: |c, v, r| put(&mut c.log_format, choice(v, r)),
    },
    Key {
        name: "LOG_OUTPUT",
        origin: Origin::Ours,
        form: "auto, stdout, syslog or journald",
        default: "auto",
        meaning: "Target of log lines. auto is the journal if systemd has connected the service's output \
            to it, otherwise syslog with 1.2's flags and stdout with 2.x's. journald also gets the content \
            in fields, and each line's own priority. -l overrides this setting.",
        set: |c, v, r| put(&mut c.log_output, choice(v, r)),
    },
    Key {
        name: "SYSLOG_FACILITY",
        origin: Origin::CompileTime,
        form: "syslog facility, as daemon or local0",
        default: "daemon",
        meaning: "Facility of the lines sent to syslog or journald.",
        set: |c, v, r| put(&mut c.syslog_facility, syslog_choice(v, r)),
    },
    Key {
        name: "SYSLOG_LEVEL",
        origin: Origin::CompileTime,
        form: "syslog level, as notice or warning",
        default: "notice",
        meaning: "Level of the lines sent to syslog; errors have at least the level of an error.",
        set: |c, v, r| put(&mut c.syslog_level, syslog_choice(v, r)),
    },
    Key {
        name: "JSON_LOG",
        origin: Origin::Ours,
        form: "path, or - or stdout",
        default: "",
        meaning: "Target of events in JSON, one per line, in addition to the log: appended to a file, \
            which may be rotated at any time, or standard output. docs/events.md lists the fields.",
        set: |c, v, r| c.targets.set("JSON_LOG", monitoring::json_log(v, r)),
    },
    Key {
        name: "METRICS_LISTEN",
        origin: Origin::Ours,
        form: "address:port, as 127.0.0.1:9911",
        default: "",
        meaning: "Address for HTTP: /metrics (for Prometheus) and /healthz. docs/metrics.md lists the \
            metrics.",
        set: |c, v, r| c.metrics_listen = monitoring::listen(v, r),
    },
];
