//! The exit codes.

use std::process::ExitCode;

/// How a command ended.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// As asked.
    Success = 0,
    /// Something failed that is none of the below.
    Failure = 1,
    /// The command line makes no sense.
    Usage = 2,
    /// The configuration is wrong.
    Configuration = 3,
    /// The kernel, an interface or missing privileges prevent it.
    Kernel = 4,
}

impl TryFrom<i32> for Exit {
    type Error = i32;

    fn try_from(code: i32) -> Result<Self, i32> {
        [Self::Success, Self::Failure, Self::Usage, Self::Configuration, Self::Kernel]
            .into_iter()
            .find(|exit| *exit as i32 == code)
            .ok_or(code)
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
