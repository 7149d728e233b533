//! Determines the treatment of probes: observe, fence, or block. All other code that names the current mode of
//! enforcement, or the effects of another mode, uses this module.

use std::fmt;

use portsentry_common::{block::Proof, classify::Protocol, settings::ScanDetection};

use super::{Sighting, State};
use crate::{
    config::{Config, Response},
    modes::Modes,
};

/// Modes of enforcement, from the weakest to the strongest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Strength {
    /// Probes are reported; no packet is dropped.
    Observing,
    /// Sources are fenced. No proof is possible, so that none is blocked.
    Fencing,
    /// Sources are fenced, and blocked once they are proven.
    FencingAndBlocking,
    /// Sources are blocked without proof (`BLOCK_UNPROVEN`).
    Blocking,
}

/// Every mode of enforcement.
pub const STRENGTHS: [Strength; 4] =
    [Strength::Observing, Strength::Fencing, Strength::FencingAndBlocking, Strength::Blocking];

impl Strength {
    /// Returns the mode's name for programs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Observing => "observing",
            Self::Fencing => "fencing",
            Self::FencingAndBlocking => "fencing_and_blocking",
            Self::Blocking => "blocking",
        }
    }

    /// Returns the mode in words.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Observing => "observing (nothing is blocked)",
            Self::Fencing => "fencing",
            Self::FencingAndBlocking => "fencing and blocking",
            Self::Blocking => "blocking, without proof",
        }
    }
}

/// The mode of enforcement, for each protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Enforcement {
    /// The modes of TCP and UDP, or `None` for a protocol that is not watched.
    each: [Option<Strength>; 2],
    runs_command: bool,
}

impl Enforcement {
    /// Determines the mode of a daemon with this configuration.
    #[must_use]
    pub fn new(config: &Config, modes: Modes) -> Self {
        let is_watched = |protocol| modes.is_listed(protocol) || modes.is_advanced(protocol);
        // A datagram's source can never be proven.
        let proves = config.challenge || modes.is_connect(Protocol::Tcp);
        let each = [(Protocol::Tcp, config.block_tcp, proves), (Protocol::Udp, config.block_udp, false)];
        let strength = |(protocol, response, proves)| {
            is_watched(protocol).then_some(match response {
                Response::LogOnly | Response::CommandOnly => Strength::Observing,
                Response::Block if config.block_unproven => Strength::Blocking,
                Response::Block if proves => Strength::FencingAndBlocking,
                Response::Block => Strength::Fencing,
            })
        };
        let runs = [config.block_tcp, config.block_udp].contains(&Response::CommandOnly);
        Self { each: each.map(strength), runs_command: runs && config.kill_run_cmd.is_some() }
    }

    /// Returns the strongest mode of both protocols.
    #[must_use]
    pub fn strength(&self) -> Strength {
        self.each.into_iter().flatten().max().unwrap_or(Strength::Observing)
    }

    /// Returns the remedy if nothing is blocked, otherwise the way back.
    #[must_use]
    pub const fn how_to_change(strength: Strength) -> &'static str {
        match strength {
            Strength::Observing => {
                "BLOCK_TCP=\"1\" and BLOCK_UDP=\"1\" in portsentry.conf, then `portsentry reload`, fence and block"
            }
            Strength::Fencing => {
                "CHALLENGE=\"1\" also proves TCP sources and blocks them; BLOCK_TCP=\"0\" and BLOCK_UDP=\"0\" only observe"
            }
            Strength::FencingAndBlocking | Strength::Blocking => {
                "BLOCK_TCP=\"0\" and BLOCK_UDP=\"0\" in portsentry.conf, then `portsentry reload`, only observe"
            }
        }
    }

    /// Returns the mode in words, and how to change it.
    #[must_use]
    pub fn in_full(&self) -> String {
        format!("{self}: {}", Self::how_to_change(self.strength()))
    }
}

impl fmt::Display for Enforcement {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let strength = self.strength();
        formatter.write_str(strength.words())?;
        for (name, each) in ["TCP", "UDP"].into_iter().zip(self.each) {
            if strength != Strength::Observing && each == Some(Strength::Observing) {
                write!(formatter, "; {name} is only observed")?;
            }
        }
        if self.runs_command {
            formatter.write_str("; KILL_RUN_CMD runs")?;
        }
        Ok(())
    }
}

/// Returns what makes a scan that avoids traps lead to a fence, for the log.
#[must_use]
pub const fn scan_remedy(config: &Config) -> &'static str {
    match (config.scan_detection, config.block_tcp) {
        (ScanDetection::Off | ScanDetection::Report, _) => "SCAN_DETECTION=\"fence\" fences such sources",
        (ScanDetection::Fence, _) if config.block_unproven => {
            "SCAN_DETECTION=\"fence\" fences nothing with BLOCK_UNPROVEN=\"1\""
        }
        (ScanDetection::Fence, Response::Block) => "it is fenced if it goes on",
        (ScanDetection::Fence, _) => "SCAN_DETECTION=\"fence\" fences nothing without BLOCK_TCP=\"1\"",
    }
}

/// Predicts the treatment of sources that the configuration only reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prediction {
    block_unproven: bool,
}

impl Prediction {
    /// Creates the prediction from the settings.
    #[must_use]
    pub const fn new(config: &Config) -> Self {
        Self { block_unproven: config.block_unproven }
    }

    /// Returns the effect that `BLOCK_TCP="1"` (or UDP) would have had on the source of `sighting`.
    #[must_use]
    pub fn of(self, sighting: &Sighting) -> &'static str {
        self.of_probe(sighting.protocol == Protocol::Tcp, sighting.proof).name()
    }

    /// Returns the same for a probe with this proof.
    #[must_use]
    pub fn of_probe(self, is_tcp: bool, proof: Proof) -> State {
        // The daemon counts connections to its traps. The kernel program answers no SYN while no source is blocked, so
        // that a stealth mode's probes prove nothing.
        if self.block_unproven || is_tcp && proof != Proof::None { State::Blocked } else { State::Fenced }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{modes::Mode, policy::sample_sighting};

    fn of(text: &str, modes: &[Mode]) -> Enforcement {
        let (config, _) = Config::parse(text, "test").unwrap();
        Enforcement::new(&config, modes.iter().copied().collect())
    }

    #[test]
    fn the_mode_follows_from_response_and_proof() {
        const STEALTH: &[Mode] = &[Mode::Stcp, Mode::Sudp];
        for (text, modes, expected) in [
            ("", STEALTH, "observing (nothing is blocked)"),
            ("BLOCK_TCP=\"1\"\nBLOCK_UDP=\"1\"", STEALTH, "fencing"),
            ("BLOCK_TCP=\"1\"\nBLOCK_UDP=\"1\"\nCHALLENGE=\"1\"", STEALTH, "fencing and blocking"),
            ("BLOCK_TCP=\"1\"\nCHALLENGE=\"1\"", STEALTH, "fencing and blocking; UDP is only observed"),
            ("BLOCK_TCP=\"1\"\nCHALLENGE=\"1\"", &[Mode::Stcp], "fencing and blocking"),
            ("BLOCK_UDP=\"1\"\nCHALLENGE=\"1\"", STEALTH, "fencing; TCP is only observed"),
            ("BLOCK_TCP=\"1\"\nCHALLENGE=\"1\"", &[Mode::Audp], "observing (nothing is blocked)"),
            ("BLOCK_TCP=\"1\"", &[Mode::Tcp], "fencing and blocking"),
            ("BLOCK_TCP=\"1\"", &[Mode::Atcp], "fencing"),
            ("BLOCK_TCP=\"1\"\nBLOCK_UNPROVEN=\"1\"", &[Mode::Stcp], "blocking, without proof"),
            (
                "BLOCK_TCP=\"2\"\nKILL_RUN_CMD=\"/bin/true\"",
                STEALTH,
                "observing (nothing is blocked); KILL_RUN_CMD runs",
            ),
        ] {
            assert_eq!(of(text, modes).to_string(), expected, "{text} {modes:?}");
        }
    }

    #[test]
    fn each_mode_says_how_to_change_it() {
        let observing = of("", &[Mode::Stcp]).in_full();
        assert!(
            observing.contains("BLOCK_TCP=\"1\"") && observing.contains("portsentry reload"),
            "{observing}"
        );
        assert!(of("BLOCK_TCP=\"1\"", &[Mode::Stcp]).in_full().contains("CHALLENGE=\"1\""));
        assert!(of("BLOCK_TCP=\"1\"", &[Mode::Tcp]).in_full().contains("only observe"));
    }

    #[test]
    fn a_source_would_be_fenced_unless_it_is_proven() {
        let tcp = sample_sighting();
        for (text, protocol, proof, expected) in [
            ("", Protocol::Tcp, Proof::None, "fenced"),
            ("", Protocol::Tcp, Proof::Connection, "blocked"),
            ("", Protocol::Udp, Proof::Connection, "fenced"),
            ("BLOCK_UNPROVEN=\"1\"", Protocol::Udp, Proof::None, "blocked"),
        ] {
            let (config, _) = Config::parse(text, "test").unwrap();
            let sighting = Sighting { protocol, proof, ..tcp.clone() };
            assert_eq!(Prediction::new(&config).of(&sighting), expected, "{text} {protocol:?} {proof:?}");
        }
    }
}
