//! The configuration: `portsentry.conf` and the ignore file of both PortSentrys, read into types.

pub mod block_list;
mod choice;
mod content;
pub mod drop_ins;
pub mod edit;
pub mod foreign;
pub mod ignore;
mod interfaces;
pub mod keys;
mod lexer;
pub mod lists;
mod load;
mod load_error;
mod monitoring;
mod near_miss;
mod network;
mod parse;
mod peers;
mod ports;
mod read;
mod report;
mod salvage;
mod settings;
mod span;
mod template;
mod trust;
mod value;

pub use block_list::BlockList;
pub use choice::{
    Facility, Fence, KillOnProof, Level, LogFormat, LogOutput, OnStop, Response, ShareBlocks, XdpMode,
};
pub use content::Config;
pub use interfaces::Interfaces;
pub use load::Loaded;
pub use load_error::LoadError;
pub use monitoring::{JsonLog, Targets};
pub use parse::Text;
pub use peers::{OTHERS, Peers, Trust, is_gateway};
pub use ports::PortSet;
pub use read::{bytes as trusted, read_up_to as trusted_text};
pub use report::{Diagnostic, Report, Severity};
pub use salvage::ignored as salvage_ignored;
pub use settings::{Setting, Settings};
/// The syntax of `portsentry.conf`, for files of other programs.
pub mod syntax {
    pub use super::{
        lexer::{Entry, Value, entries},
        near_miss::nearest,
        report::Added,
        span::{Line, Span, lines},
    };
}
pub use template::{Command, DenyLine, RouteLift, Values};

#[cfg(test)]
mod tests;
