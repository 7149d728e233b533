//! Whether the `KILL_*` actions wait for proof, and what becomes of those that don't.

use portsentry_common::{classify::Protocol, settings::Answers};

use crate::{
    config::{Config, KillOnProof, Response},
    modes::Modes,
};

/// Whether the `KILL_*` actions wait for proof. With no way for a source to prove itself, they would never be taken.
/// Failed connections alone must not lead to them.
#[must_use]
pub fn kills_on_proof(config: &Config, modes: Modes) -> bool {
    let can_prove = config.challenge || modes.is_connect(Protocol::Tcp) || config.answers == Answers::Enforce;
    match config.kill_on_proof {
        KillOnProof::Auto => can_prove && !config.block_unproven,
        KillOnProof::Never => false,
        KillOnProof::Always => true,
    }
}

/// Returns when the actions are taken, in words; `None` if there are none.
#[must_use]
pub fn when(config: &Config, modes: Modes) -> Option<&'static str> {
    let has_any =
        config.kill_route.is_some() || config.kill_hosts_deny.is_some() || config.kill_run_cmd.is_some();
    let blocks = [config.block_tcp, config.block_udp].contains(&Response::Block);
    if !has_any || !blocks {
        return None;
    }
    Some(if kills_on_proof(config, modes) {
        "the actions wait for proof: none is taken for a fenced source, whose address may be spoofed"
    } else if config.block_unproven {
        "the actions are taken without proof, as blocks are: a source's address may be spoofed"
    } else {
        "the actions are taken for fenced sources, whose addresses may be spoofed, and undone when the fence ends; with \
         CHALLENGE=\"1\" they wait for proof"
    })
}

/// Returns a message if a command is run for fenced sources and nothing undoes it.
#[must_use]
pub fn lasting(config: &Config, modes: Modes) -> Option<&'static str> {
    let fences = !config.block_unproven && [config.block_tcp, config.block_udp].contains(&Response::Block);
    let is_undone = config.kill_route.is_none() || config.undoes_route().is_some();
    (fences && !kills_on_proof(config, modes) && !is_undone).then_some(
        "KILL_ROUTE is run for fenced sources, whose addresses may be spoofed, and nothing undoes it when the fence ends: set \
         KILL_ROUTE_LIFT, or have it wait for proof with CHALLENGE=\"1\" or KILL_ON_PROOF=\"1\"",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::modes::Mode;

    #[test]
    fn actions_wait_for_proof_where_a_source_can_prove_itself() {
        for (text, mode, expected) in [
            ("", Mode::Stcp, false),
            ("", Mode::Sudp, false),
            ("", Mode::Tcp, true),
            ("CHALLENGE=\"1\"", Mode::Stcp, true),
            ("CHALLENGE=\"1\"\nKILL_ON_PROOF=\"0\"", Mode::Stcp, false),
            ("CHALLENGE=\"1\"\nBLOCK_UNPROVEN=\"1\"", Mode::Stcp, false),
            ("ANSWERS=\"enforce\"", Mode::Stcp, true),
            ("ANSWERS=\"observe\"", Mode::Stcp, false),
            ("KILL_ON_PROOF=\"1\"", Mode::Stcp, true),
        ] {
            let (config, _) = Config::parse(text, "test").unwrap();
            assert_eq!(kills_on_proof(&config, [mode].into_iter().collect()), expected, "{text} {mode:?}");
        }
    }

    #[test]
    fn a_command_that_nothing_undoes_is_warned_of() {
        let modes = [Mode::Stcp].into_iter().collect();
        for (text, expected) in [
            ("KILL_ROUTE=\"/bin/block $TARGET$\"", true),
            ("KILL_ROUTE=\"ip route add blackhole $TARGET$\"", false),
            ("KILL_ROUTE=\"ip route add blackhole $TARGET$\"\nKILL_ROUTE_LIFT=\"off\"", true),
            ("KILL_ROUTE=\"/bin/block $TARGET$\"\nKILL_ROUTE_LIFT=\"/bin/unblock $TARGET$\"", false),
            ("KILL_ROUTE=\"/bin/block $TARGET$\"\nCHALLENGE=\"1\"", false),
            ("KILL_ROUTE=\"/bin/block $TARGET$\"\nBLOCK_UNPROVEN=\"1\"", false),
            ("", false),
        ] {
            let (config, _) = Config::parse(&format!("BLOCK_TCP=\"1\"\n{text}"), "test").unwrap();
            assert_eq!(lasting(&config, modes).is_some(), expected, "{text}");
        }
    }
}
