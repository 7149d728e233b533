//! All tests that need the kernel or real programs, as one program: one file per subject, `cargo xtask test FILE::`
//! for one of them.
//!
//! Tests run concurrently in one process, so none may change process-wide state: working directory, environment,
//! signal handlers, limits or umask. A test changes only a thread of its own (`Namespace::enter`).

mod above;
mod accepted;
mod answers;
mod attacks;
mod bare;
mod block_latency;
mod bonds;
mod challenge;
mod changes;
mod clock;
mod commands;
mod compatibility;
mod confused_deputies;
mod connect;
mod control;
mod demo;
mod devices;
mod differential;
mod documented_commands;
mod documents;
mod errors;
mod evasions;
mod events;
mod fail2ban;
mod false_positives;
mod faults;
mod flood;
mod gate;
mod gateway;
mod honest;
mod hosts;
mod hosts_deny;
mod kill_commands;
mod kill_limits;
mod limits;
mod lists;
mod metrics;
mod names;
mod open_fence;
mod package;
mod packets;
mod parity;
mod pppoe;
mod prefixes;
mod probe_modes;
mod proof;
mod register;
mod responses;
mod restarts;
mod sandbox;
mod scans;
mod served;
mod settings;
mod soak;
mod spoofed_sources;
mod structure;
mod supervised;
mod terminal;
mod timers;
mod traps;
mod udp_sessions;
mod wireguard;
