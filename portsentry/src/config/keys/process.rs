//! Settings of the daemon as a process: control, pins, privileges.

use super::key::{Key, Origin, put};
use crate::config::{choice::choice, value};

pub(super) const KEYS: &[Key] = &[
    Key {
        name: "CONTROL_SOCKET",
        origin: Origin::Ours,
        form: "path, or off",
        default: "/run/portsentry/control.sock",
        meaning: "Socket on which the running daemon reports its state and, to root, accepts commands.",
        set: |c, v, r| value::unless_off(&mut c.control_socket, v, r),
    },
    Key {
        name: "CONTROL_GROUP",
        origin: Origin::Ours,
        form: "group, by name or number",
        default: "",
        meaning: "Group whose members may look without root: status, list, top, history, why and events ask the \
            daemon. Unset: other users may query only the status. Only root may make changes. A new value takes a restart.",
        set: |c, v, _| c.control_group = Some(v.trim().text().to_owned()),
    },
    Key {
        name: "ON_STOP",
        origin: Origin::Ours,
        form: "detach, keep or remove",
        default: "detach",
        meaning: "What happens to the kernel program when the daemon is told to stop: detach removes it \
            and keeps its maps for the next start; keep leaves it attached, and it continues to drop \
            blocked sources (`portsentry down` removes it); remove leaves nothing.",
        set: |c, v, r| put(&mut c.on_stop, choice(v, r)),
    },
    Key {
        name: "XDP_MODE",
        origin: Origin::Ours,
        form: "auto, native or generic",
        default: "auto",
        meaning: "Where the program runs: in the network driver (native), after it (generic), or natively \
            if the driver supports it (auto). With auto an interface that isn't configured yet gets a generic program first, because \
            several drivers refuse a larger MTU while a native one is attached.",
        set: |c, v, r| put(&mut c.xdp_mode, choice(v, r)),
    },
    Key {
        name: "PIN_PATH",
        origin: Origin::Ours,
        form: "path in a BPF file system",
        default: "/sys/fs/bpf/portsentry",
        meaning: "Directory of the kernel's pinned maps, for bpftool and for the next start.",
        set: |c, v, r| put(&mut c.pin_path, value::absolute(v, r)),
    },
    Key {
        name: "SANDBOX",
        origin: Origin::Ours,
        form: "0 or 1",
        default: "1",
        meaning: "1 drops privileges once the daemon has started: root (see RUN_AS), unneeded \
            capabilities, and write access outside the directories of its files. With KILL_ROUTE or \
            KILL_RUN_CMD nothing is dropped, because the commands need it.",
        set: |c, v, r| put(&mut c.sandbox, value::switch(v, r)),
    },
    Key {
        name: "RUN_AS",
        origin: Origin::Ours,
        form: "user",
        default: "",
        meaning: "User that the daemon runs as in its sandbox. Unset: portsentry if there is such a user, \
            otherwise root.",
        set: |c, v, _| c.run_as = Some(v.trim().text().to_owned()),
    },
    Key {
        name: "CONFIG_FILE",
        origin: Origin::CompileTime,
        form: "path",
        default: "/etc/portsentry/portsentry.conf",
        meaning: "Accepted for compatibility, without effect: -c on the command line names another \
            configuration file.",
        set: |c, v, r| c.config_file = value::file(v, r),
    },
];
