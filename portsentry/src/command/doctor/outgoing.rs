//! Checks whether a running daemon sees the answers that `ANSWERS` needs.

use portsentry_common::settings::Answers;

use super::finding::Finding;
use crate::kernel::Outgoing;

const ABOUT: &str = "answers";

/// Returns the finding on the configured `ANSWERS`, given those in effect.
pub(super) fn in_effect(wanted: Answers, answers: Answers) -> Finding {
    if wanted == answers {
        return Finding::ok(ABOUT, format!("{answers}: {}", words(answers)));
    }
    if answers == Answers::Off {
        return Finding::warning(
            ABOUT,
            format!("ANSWERS=\"{wanted}\" has no effect: no host's answers leave here"),
            "fill PROTECTED_NETWORKS, or let this host forward packets (net.ipv4.ip_forward)",
        );
    }
    Finding::warning(
        ABOUT,
        format!("ANSWERS is \"{wanted}\" in the configuration, and \"{answers}\" in effect"),
        "`portsentry reload`",
    )
}

const fn words(answers: Answers) -> &'static str {
    match answers {
        Answers::Off => "ports of hosts behind this one aren't learned",
        Answers::Observe => "ports of hosts behind this one are learned, and no verdict changes",
        Answers::Enforce => {
            "ports of hosts behind this one are learned, and too many refusals fence a source"
        }
    }
}

/// Returns the finding on the interface `name`, which runs PortSentry's program.
pub(super) fn on_interface(name: &str, outgoing: &Outgoing) -> Finding {
    match outgoing {
        Outgoing::Tcx { after: Some(after) } if !after.is_empty() => Finding::warning(
            name,
            format!(
                "outgoing packets are seen by TCX, but only those that {} lets pass on: answers that it doesn't \
                 teach nothing",
                after.join(", ")
            ),
            format!(
                "`bpftool net show dev {name}` lists the programs; `systemctl restart portsentry` puts \
                 PortSentry's first"
            ),
        ),
        Outgoing::Tcx { .. } => {
            Finding::ok(name, "outgoing packets are seen by TCX, before all other programs")
        }
        Outgoing::Clsact => Finding::ok(name, "outgoing packets are seen by a filter of clsact"),
        Outgoing::Detached => Finding::warning(
            name,
            "outgoing packets aren't seen: another program has detached PortSentry's",
            "a running daemon attaches it again within ten seconds; its log says whether that failed",
        ),
        Outgoing::No => Finding::warning(
            name,
            "outgoing packets aren't seen: ANSWERS learns nothing there, and answers to translated datagrams may \
             count as probes",
            "the log has the reason; `portsentry reload` tries again",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::finding::Level, *};

    #[test]
    fn answers_that_dont_arrive_are_a_warning() {
        let after =
            |names: &[&str]| Outgoing::Tcx { after: Some(names.iter().map(ToString::to_string).collect()) };
        for (outgoing, level, words) in [
            (after(&[]), Level::Ok, "before all other programs"),
            (Outgoing::Tcx { after: None }, Level::Ok, "TCX"),
            (after(&["shaper (ID 7)"]), Level::Warning, "only those that shaper (ID 7) lets pass on"),
            (Outgoing::Clsact, Level::Ok, "clsact"),
            (Outgoing::Detached, Level::Warning, "aren't seen"),
            (Outgoing::No, Level::Warning, "aren't seen"),
        ] {
            let found = on_interface("eth0", &outgoing);
            assert!(found.level == level && found.what.contains(words), "{found:?}");
            assert_eq!(found.remedy.is_some(), level != Level::Ok);
        }
    }

    #[test]
    fn answers_without_effect_are_a_warning() {
        for (wanted, answers, level, words) in [
            (Answers::Off, Answers::Off, Level::Ok, "off: "),
            (Answers::Enforce, Answers::Enforce, Level::Ok, "enforce: "),
            (Answers::Observe, Answers::Off, Level::Warning, "has no effect"),
            (Answers::Enforce, Answers::Observe, Level::Warning, "\"observe\" in effect"),
        ] {
            let found = in_effect(wanted, answers);
            assert!(found.level == level && found.what.contains(words), "{found:?}");
        }
    }
}
