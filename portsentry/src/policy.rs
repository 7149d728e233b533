//! Decides how to respond to events in the kernel: pure functions of state, sighting and time.

mod awaited;
mod banner;
pub mod enforcement;
mod groups;
pub mod hold;
pub mod id;
pub mod interfaces;
pub mod kills;
mod lasting;
pub mod ledger;
pub mod lockout;
pub mod networks;
pub mod peers;
pub mod placement;
pub mod register;
pub mod rules;
pub mod scan;
pub mod scope;
pub mod sighting;
mod terms;
pub mod trap;
pub mod trouble;
mod watched;

pub use awaited::Awaited;
pub use banner::Banner;
pub use enforcement::Enforcement;
#[cfg(test)]
pub(crate) use groups::tests::sample_groups;
pub use groups::{DistributedScan, Groups, Joined, MOST_GROUPS};
pub use hold::{Hold, PREFIXES, Record, State, is_host, is_same_moment, name_of, network_of, prefix_of};
pub use id::{BlockId, Ids};
pub use lasting::Lasting;
pub use ledger::{Census, Edit, Ledger, SourceState, TakeOver};
pub use register::{Decision, Register};
#[cfg(test)]
pub(crate) use scan::tests::sample_scan;
pub use scan::{Scan, ScanKind};
#[cfg(test)]
pub(crate) use sighting::tests::sample_sighting;
pub use sighting::{Sighting, kind_name, kind_names};
pub use terms::{Offences, Terms};
pub use watched::{WithoutPorts, without_ports};
