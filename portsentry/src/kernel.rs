//! The kernel program and its maps, as the daemon sees them. The only room that knows aya.
//!
//! It must not decide what is blocked or reported: it loads, attaches, reads and writes.

mod batch;
pub mod bitmap;
mod blocked;
mod blocked_networks;
mod bound;
mod claim;
mod clock;
pub mod connections;
mod counters;
mod debug;
mod error;
mod ethtool;
mod framing;
mod gate;
pub mod handshake;
mod handshakes;
mod heartbeat;
mod hooks;
mod inherit;
mod layout;
mod link;
mod load;
mod networks;
mod observe;
mod offline;
mod pins;
mod repin;
mod ring;
mod secrets;
mod test_run;
mod trap;

pub use blocked::Blocked;
pub use blocked_networks::BlockedNetworks;
pub use bound::{Bound, BoundSocket, BoundState, Source, Upkeep};
pub use claim::Claim;
pub use clock::{Clock, Moment, monotonic_at, monotonic_ns, wall_time};
pub use debug::DebugLog;
pub use error::Error;
pub use ethtool::{Ethtool, Offloads, Queues};
pub use framing::Framing;
pub use hooks::Hooks;
pub use inherit::Found;
pub use link::{Attachment, Mode};
pub use load::{Kernel, Load, OBJECT, Watched, ephemeral};
pub use networks::Networks;
pub use observe::{Fill, Observer, Ports, Sources};
pub use offline::OfflineMaps;
pub use pins::{PinState, Pins, Removed};
pub use repin::mounted_in;
pub use ring::{Ring, Waiting, decode};
pub use test_run::TestRun;
pub use trap::{TrapSlot, Traps};
