//! Effects of a probe that causes neither block nor fence.

use portsentry_common::decide::Verdict;

use super::{Effect, HistoryAction, Line, Occasion};
use crate::config::Response;

/// Returns the effects of a probe with this `verdict`, given the configured `response` for its protocol; `is_first`
/// if its source has not been reported before.
pub(super) fn witness(verdict: Verdict, response: Response, is_first: bool) -> Vec<Effect> {
    use Effect::{Emit, History, Run};
    match verdict {
        Verdict::Counted | Verdict::Noticed | Verdict::Ignored => vec![Emit(Line::Notice)],
        Verdict::Full => vec![Emit(Line::Attack), Emit(Line::Full)],
        // As in 1.2, which acted on a source only once.
        Verdict::Report if !is_first => vec![Emit(Line::Attack)],
        Verdict::Report if response == Response::CommandOnly => {
            vec![Emit(Line::Attack), History(HistoryAction::Reported), Run(Occasion::Command)]
        }
        Verdict::Report => {
            vec![Emit(Line::Attack), Emit(Line::LeftAlone), History(HistoryAction::Reported)]
        }
        Verdict::Block | Verdict::Fence => Vec::new(),
    }
}
