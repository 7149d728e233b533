//! The state of the detection of scans, for people and metrics.

use portsentry_common::{
    scan::state::Horizon,
    settings::{ScanDetection, Settings},
};

use super::{Error, Kernel, Observer, ScanCount, ScanMemory, settings_pin};

/// The state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScanState {
    /// `SCAN_DETECTION` as it is in effect: nothing is fenced with `BLOCK_UNPROVEN`, or if `BLOCK_TCP` isn't `1`.
    pub detection: ScanDetection,
    /// What the memory can promise, and the number of sources in it. `None` if scans aren't detected.
    pub memory: Option<(Horizon, ScanCount)>,
}

impl ScanState {
    /// Returns the state of a loaded program, with a count of its memory.
    pub fn of(kernel: &Kernel, count: impl FnOnce(&ScanMemory) -> ScanCount) -> Result<Self, Error> {
        Self::new(&kernel.settings, kernel.scans.as_ref(), count)
    }

    fn new(
        settings: &Settings,
        memory: Option<&ScanMemory>,
        count: impl FnOnce(&ScanMemory) -> ScanCount,
    ) -> Result<Self, Error> {
        let memory = memory.map(|memory| Ok::<_, Error>((memory.horizon()?, count(memory))));
        Ok(Self { detection: in_effect(settings), memory: memory.transpose()? })
    }
}

impl Observer {
    /// Returns the state of the attached program's detection of scans.
    pub fn scans(&self) -> Result<ScanState, Error> {
        let settings = settings_pin::read(self.directory())?;
        ScanState::new(&settings, self.scan_memory()?.as_ref(), ScanMemory::count)
    }

    /// Returns the memory of scans, if scans are detected.
    pub fn scan_memory(&self) -> Result<Option<ScanMemory>, Error> {
        ScanMemory::open(self.directory())
    }
}

const fn in_effect(settings: &Settings) -> ScanDetection {
    if settings.fences_scans() {
        ScanDetection::Fence
    } else if settings.detects_scans() {
        ScanDetection::Report
    } else {
        ScanDetection::Off
    }
}

#[cfg(test)]
mod tests {
    use portsentry_common::settings::Response;

    use super::*;

    #[test]
    fn where_nothing_is_fenced_scans_are_only_reported() {
        let fences = Settings {
            scans: ScanDetection::Fence as u8,
            fence_ns: 1,
            tcp_response: Response::Block as u8,
            ..Settings::UNSET
        };
        for (settings, expected) in [
            (fences, ScanDetection::Fence),
            (Settings { fence_ns: 0, ..fences }, ScanDetection::Report),
            (Settings { tcp_response: Response::Report as u8, ..fences }, ScanDetection::Report),
            (Settings { scans: ScanDetection::Report as u8, ..fences }, ScanDetection::Report),
            (Settings { scans: ScanDetection::Off as u8, ..fences }, ScanDetection::Off),
        ] {
            assert_eq!(in_effect(&settings), expected);
        }
    }
}
