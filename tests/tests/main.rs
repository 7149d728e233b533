//! All tests that take the kernel or real programs, as one program: a file of each subject, `cargo xtask test FILE::` for
//! one of them.
//!
//! They run side by side in one process, so none changes what a process has once: its directory, environment, signals'
//! handlers, limits or umask. What a test changes of itself, it changes of a thread of its own (`Namespace::enter`).

mod accepted;
mod actions;
mod at_once;
mod attacks;
mod bare;
mod bonds;
mod challenge;
mod changes;
mod clock;
mod columns;
mod commands;
mod connect;
mod control;
mod demo;
mod deputies;
mod differential;
mod documents;
mod errors;
mod evasions;
mod events;
mod fail2ban;
mod families;
mod faults;
mod flood;
mod framed;
mod gate;
mod gateway;
mod honest;
mod hosts;
mod hosts_deny;
mod kills;
mod life;
mod limits;
mod lists;
mod looking;
mod metrics;
mod names;
mod package;
mod packets;
mod parity;
mod pppoe;
mod prefixes;
mod proof;
mod responses;
mod sandbox;
mod scans;
mod served;
mod settings;
mod soak;
mod spared;
mod structure;
mod supervised;
mod terminal;
mod timers;
mod traps;
