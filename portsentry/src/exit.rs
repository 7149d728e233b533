//! The exit codes.

use std::process::ExitCode;

/// The result of a command.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Success.
    Success = 0,
    /// A failure other than those below.
    Failure = 1,
    /// The command line is invalid.
    Usage = 2,
    /// The configuration is invalid.
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
