//! Effects of a probe that causes neither block nor fence.

use portsentry_common::decide::Verdict;

use super::{Count, Effect, HistoryAction, Line, Occasion};
use crate::config::Response;

/// Returns the effects of a probe with this `verdict`, given the configured `response` for its protocol. `is_first`
/// means that its source has not been reported before, or not as proven; `is_scan` that the verdict is about a scan
/// that avoids traps.
pub(super) fn witness(verdict: Verdict, response: Response, is_first: bool, is_scan: bool) -> Vec<Effect> {
    use Effect::{Emit, History, Metric, Run};
    match verdict {
        // SCAN_DETECTION, not BLOCK_TCP, leaves it at that. So no command runs, and no word makes a log watcher ban.
        Verdict::Report if is_scan => {
            vec![Emit(Line::Scan), History(HistoryAction::Reported), Metric(Count::Scan)]
        }
        Verdict::Counted | Verdict::Noticed | Verdict::Ignored => vec![Emit(Line::Notice)],
        Verdict::Full => vec![Emit(Line::Attack), Emit(Line::Full)],
        Verdict::Report if response == Response::CommandOnly => {
            vec![Emit(Line::Attack), History(HistoryAction::Reported), Run(Occasion::Command)]
        }
        Verdict::Report => {
            let told = is_first.then_some(Emit(Line::LeftAlone));
            // Both PortSentrys write a history line for each action, and fail2ban counts the lines.
            [Emit(Line::Attack)].into_iter().chain(told).chain([History(HistoryAction::Reported)]).collect()
        }
        Verdict::Block | Verdict::Fence => Vec::new(),
    }
}
