//! Settings of the responses to a probe: names, blocks, `hosts.deny` and commands.

use super::key::{Key, Origin, put};
use crate::config::{choice::choice, template, value};

pub(super) const KEYS: &[Key] = &[
    Key {
        name: "RESOLVE_HOST",
        origin: Origin::Both,
        form: "0 or 1",
        default: "0",
        meaning: "1 logs the DNS names of sources.",
        set: |c, v, r| c.resolve_host = value::lenient_switch(v, r),
    },
    Key {
        name: "BLOCK_TCP",
        origin: Origin::Both,
        form: "0, 1 or 2",
        default: "0",
        meaning: "Response to a source that scans TCP ports: 0 logs it, 1 blocks it and runs the KILL \
            actions, 2 only runs KILL_RUN_CMD.",
        set: |c, v, r| put(&mut c.block_tcp, choice(v, r)),
    },
    Key {
        name: "BLOCK_UDP",
        origin: Origin::Both,
        form: "0, 1 or 2",
        default: "0",
        meaning: "Response to a source that scans UDP ports: 0 logs it, 1 blocks it and runs the KILL \
            actions, 2 only runs KILL_RUN_CMD.",
        set: |c, v, r| put(&mut c.block_udp, choice(v, r)),
    },
    Key {
        name: "KILL_ROUTE",
        origin: Origin::Both,
        form: "command with $TARGET$",
        default: "",
        meaning: "Command that drops the route to a source or enters it in a packet filter. Macros: $TARGET$ the \
                  address, or a network as 2001:db8:1:2::/64 (IPV6_PREFIX), $PORT$, $MODE$, $PROOF$, $REASON$ why \
                  it is held, $UNTIL$ until when (RFC 3339, or \"never\"), $ID$ the id of its block or fence (docs/register.md).",
        set: |c, v, r| c.kill_route = template::command_with_target(v, r),
    },
    Key {
        name: "KILL_ROUTE_LIFT",
        origin: Origin::Ours,
        form: "command with $TARGET$, auto, or off",
        default: "auto",
        meaning: "Command that undoes KILL_ROUTE. It runs when a source is released, if KILL_ROUTE succeeded for that \
                  source, and takes the same macros. auto runs the inverse of KILL_ROUTE for ip route add, route add, \
                  iptables -I or -A, nft add element, ipset add, and firewall-cmd --add-source or --add-rich-rule, also \
                  of several joined by && or ;. off undoes nothing.",
        set: |c, v, r| put(&mut c.kill_route_lift, template::route_lift(v, r)),
    },
    Key {
        name: "KILL_HOSTS_DENY",
        origin: Origin::Both,
        form: "line with $TARGET$",
        default: "",
        meaning: "Line to add to hosts.deny. IPv6 addresses are put in brackets, followed by the length \
            of a network, as TCP wrappers require.",
        set: |c, v, r| c.kill_hosts_deny = template::deny_line(v, r),
    },
    Key {
        name: "WRAPPER_HOSTS_DENY",
        origin: Origin::CompileTime,
        form: "path",
        default: "/etc/hosts.deny",
        meaning: "File for the lines of KILL_HOSTS_DENY.",
        set: |c, v, r| c.wrapper_hosts_deny = value::file(v, r),
    },
    Key {
        name: "KILL_RUN_CMD",
        origin: Origin::Both,
        form: "command",
        default: "",
        meaning: "Command to run for a source, with the macros of KILL_ROUTE, none of them required. One that names \
                  $PROOF$, $REASON$ or $UNTIL$ is run once more when a fence becomes a block.",
        set: |c, v, r| c.kill_run_cmd = template::command(v, r),
    },
    Key {
        name: "KILL_RUN_CMD_LIFT",
        origin: Origin::Ours,
        form: "command",
        default: "",
        meaning: "Command to run when a source is released, if the KILL actions ran for it. It takes the macros of \
                  KILL_ROUTE, none of them required; $REASON$ is the reason for the release. ACTION_RATE may delay it, but \
                  never skips it.",
        set: |c, v, r| c.kill_run_cmd_lift = template::command(v, r),
    },
    Key {
        name: "KILL_RUN_CMD_FIRST",
        origin: Origin::Both,
        form: "0 or 1",
        default: "0",
        meaning: "1 runs KILL_RUN_CMD before the other actions, 0 after them.",
        set: |c, v, r| put(&mut c.kill_run_cmd_first, value::switch(v, r)),
    },
];
