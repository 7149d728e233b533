//! Checks the detection of scans that avoid traps, in a running daemon.

use portsentry_common::{
    scan::state::Horizon,
    settings::{Answers, ScanDetection},
};

use super::finding::Finding;
use crate::{
    config::Config,
    kernel::ScanState,
    policy::{enforcement::scan_remedy, scan::Span},
};

const ABOUT: &str = "scans";
/// Time in seconds below which the memory is too short for a scan with a probe each few minutes.
const SHORT: u32 = 3600;

/// Returns the findings, given the state and the `ANSWERS` in effect.
pub(super) fn findings(config: &Config, state: &ScanState, answers: Option<Answers>) -> Vec<Finding> {
    let wanted = config.scan_detection;
    let first = match (wanted, state.detection) {
        (ScanDetection::Off, ScanDetection::Off) => {
            Finding::ok(ABOUT, "off: scans that avoid the watched ports are not detected")
        }
        (ScanDetection::Fence, ScanDetection::Report) => {
            Finding::warning(ABOUT, "scans that avoid traps are only reported", scan_remedy(config))
        }
        (wanted, detection) if wanted != detection => {
            let (wanted, word) = (wanted.word(), detection.word());
            Finding::warning(
                ABOUT,
                format!("SCAN_DETECTION is \"{wanted}\" in the configuration, and \"{word}\" in effect"),
                "`portsentry reload`",
            )
        }
        (ScanDetection::Report, _) => Finding::ok(ABOUT, "report: scans that avoid traps are reported"),
        (_, _) => Finding::ok(ABOUT, "fence: sources of scans that avoid traps are fenced"),
    };
    let mut all = vec![first];
    let Some((horizon, _)) = state.memory else { return all };
    all.extend(of_memory(horizon));
    if answers == Some(Answers::Off) && !config.protected_networks.is_empty() {
        all.push(Finding::warning(
            ABOUT,
            "ANSWERS is off: failed contacts with PROTECTED_NETWORKS are not seen",
            "ANSWERS=\"observe\" in portsentry.conf, then `portsentry reload`",
        ));
    }
    all
}

fn of_memory(Horizon { seconds, is_full }: Horizon) -> Option<Finding> {
    let remedy = "a flood of spoofed sources does that; double SCAN_MEMORY if there is none";
    if is_full {
        let what = format!(
            "SCAN_MEMORY is full: newcomers are not remembered, others for {} at least",
            Span(seconds)
        );
        return Some(Finding::warning(ABOUT, what, remedy));
    }
    (seconds < SHORT).then(|| {
        let what = format!(
            "memory horizon {}: a source with one failure is forgotten after that time",
            Span(seconds)
        );
        Finding::warning(ABOUT, what, remedy)
    })
}

#[cfg(test)]
mod tests {
    use super::{super::finding::Level, *};
    use crate::kernel::ScanCount;

    fn found(text: &str, detection: ScanDetection, answers: Answers, horizon: Horizon) -> Vec<Finding> {
        let (config, _) = Config::parse(text, "test").unwrap();
        let memory = (detection != ScanDetection::Off).then(|| (horizon, ScanCount::default()));
        findings(&config, &ScanState { detection, memory }, Some(answers))
    }

    #[test]
    fn what_keeps_scans_undetected_is_a_warning() {
        use ScanDetection::{Fence, Off, Report};
        const DAY: Horizon = Horizon { seconds: 86_400, is_full: false };
        const NETWORK: &str = "PROTECTED_NETWORKS=\"192.0.2.0/24\"\n";
        for (text, detection, answers, horizon, warnings) in [
            ("SCAN_DETECTION=\"off\"", Off, Answers::Off, DAY, &[][..]),
            ("SCAN_DETECTION=\"report\"", Report, Answers::Off, DAY, &[]),
            ("SCAN_DETECTION=\"fence\"\nBLOCK_TCP=\"1\"", Fence, Answers::Off, DAY, &[]),
            ("SCAN_DETECTION=\"fence\"", Report, Answers::Off, DAY, &["only reported"]),
            ("SCAN_DETECTION=\"fence\"", Off, Answers::Off, DAY, &["\"off\" in effect"]),
            ("SCAN_DETECTION=\"report\"", Fence, Answers::Off, DAY, &["\"fence\" in effect"]),
            (NETWORK, Off, Answers::Off, DAY, &[]),
            (&format!("{NETWORK}SCAN_DETECTION=\"report\""), Report, Answers::Observe, DAY, &[]),
            (&format!("{NETWORK}SCAN_DETECTION=\"report\""), Report, Answers::Off, DAY, &["ANSWERS is off"]),
            (
                "SCAN_DETECTION=\"report\"",
                Report,
                Answers::Off,
                Horizon { seconds: 3599, is_full: false },
                &["memory horizon 59 min"],
            ),
            (
                "SCAN_DETECTION=\"report\"",
                Report,
                Answers::Off,
                Horizon { seconds: 86_400, is_full: true },
                &["SCAN_MEMORY is full"],
            ),
        ] {
            let found = found(text, detection, answers, horizon);
            let warned: Vec<_> = found.iter().filter(|it| it.level == Level::Warning).collect();
            assert_eq!(warned.len(), warnings.len(), "{text}: {found:?}");
            for (finding, words) in warned.iter().zip(warnings) {
                assert!(finding.what.contains(words) && finding.remedy.is_some(), "{text}: {finding:?}");
            }
        }
    }
}
