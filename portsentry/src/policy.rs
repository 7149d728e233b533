//! What is to be done about what the kernel saw: pure functions of state, sighting and time.

mod banner;
pub mod interfaces;
pub mod ledger;
pub mod networks;
mod response;
pub mod scope;
pub mod sighting;
mod terms;
pub mod trap;
mod watched;

pub use banner::Banner;
pub use ledger::{Census, Edit, Hold, Ledger, PREFIXES, Record, SourceState, TakeOver, network_of};
pub use response::{Action, calls_for_kill, respond};
pub use sighting::Sighting;
pub use terms::{Offences, Terms};
pub use watched::{WithoutPorts, without_ports};
