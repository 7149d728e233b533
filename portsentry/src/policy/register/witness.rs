//! Effects of a probe that causes neither block nor fence.

use portsentry_common::decide::Verdict;

use super::{Count, Effect, HistoryAction, Line, Occasion};
use crate::config::Response;

/// Returns the effects of a probe with this `verdict`, given the configured `response` for its protocol. `is_first`
/// means that its source has not been reported before, or not as proven.
pub(super) fn witness(verdict: Verdict, response: Response, is_first: bool) -> Vec<Effect> {
    use Effect::{Emit, History, Run};
    match verdict {
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

/// Returns the effects of a scan that avoids traps, if its source is only reported. `SCAN_DETECTION` leaves it at that,
/// whatever `BLOCK_TCP` says: no command runs, and no word makes a log watcher ban the source.
pub(super) fn scan() -> Vec<Effect> {
    vec![Effect::Emit(Line::Scan), Effect::History(HistoryAction::Reported), Effect::Metric(Count::Scan)]
}
