//! Settings of the detection of scans that avoid traps.

use super::key::{Key, Origin, put};
use crate::config::{choice::choice, value};

pub(super) const KEYS: &[Key] = &[
    Key {
        name: "SCAN_DETECTION",
        origin: Origin::Ours,
        form: "off, report or fence",
        default: "off",
        meaning: "Scans that avoid traps: what follows if too many first SYNs of a source go to addresses and ports \
            that don't serve it. Unwatched ports of this host without a service count, and those of hosts behind \
            it that ANSWERS has seen refuse or keep silent. report: the scan is reported. fence: the source is \
            fenced as well, at the earliest after six addresses and ports, and again whenever it goes on within a \
            day. Nothing is fenced with BLOCK_TCP=\"0\" or BLOCK_UNPROVEN. off: nothing is remembered.",
        set: |c, v, r| put(&mut c.scan_detection, choice(v, r)),
    },
    Key {
        name: "SCAN_MEMORY",
        origin: Origin::Ours,
        form: "MiB, 1 to 1024",
        default: "40",
        meaning: "Maximum memory for the sources that SCAN_DETECTION remembers. 40 have room for two million with \
            one failure and half a million with more, 20 for half as many, and so on: numbers between them change \
            nothing. A flood of spoofed sources fills the memory, but displaces none before its time.",
        set: |c, v, r| put(&mut c.scan_memory, value::number(v, 1..=1024, r)),
    },
];
