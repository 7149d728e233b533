//! What is to be done about a connection or datagram that a trap took: the kernel program's rules for those that it
//! doesn't see as probes. It must not know sockets.

use std::{collections::HashMap, net::IpAddr};

use portsentry_common::{
    block::Proof,
    classify::{Kind, Protocol},
    decide::Verdict,
};

use crate::config::Response;

/// Sources that are counted at a time; when they are too many, counting begins anew.
const COUNTED: usize = 65_536;

/// How often sources have come to the traps.
#[derive(Clone, Debug, Default)]
pub struct Visits(HashMap<IpAddr, u32>);

/// The rules' settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// `SCAN_TRIGGER`
    pub trigger: u32,
    /// What the configuration says for the protocol.
    pub response: Response,
    /// A source without proof is fenced, not blocked.
    pub fences: bool,
}

impl Visits {
    /// The verdict on a visit, which visit of its source it is (0 if it doesn't count), and its proof.
    pub fn judge(
        &mut self,
        source: IpAddr,
        protocol: Protocol,
        is_exempt: bool,
        rules: Rules,
    ) -> (Verdict, u32, Proof) {
        // A connection takes both ends; a datagram can be sent in anybody's name.
        let proof = if protocol == Protocol::Tcp { Proof::Connection } else { Proof::None };
        if is_exempt {
            return (Verdict::Ignored, 0, proof);
        }
        if self.0.len() >= COUNTED && !self.0.contains_key(&source) {
            self.0.clear();
        }
        let visits = self.0.entry(source).or_default();
        *visits = visits.saturating_add(1);
        let verdict = match rules.response {
            _ if *visits < rules.trigger => Verdict::Counted,
            Response::Block if rules.fences && proof == Proof::None => Verdict::Fence,
            Response::Block => Verdict::Block,
            Response::LogOnly | Response::CommandOnly => Verdict::Report,
        };
        (verdict, *visits, proof)
    }
}

/// What a visit is called.
#[must_use]
pub const fn kind(protocol: Protocol) -> Kind {
    match protocol {
        Protocol::Tcp => Kind::Connect,
        Protocol::Udp => Kind::Udp,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_proves_and_a_datagram_does_not() {
        for (trigger, response, fences, protocol, is_exempt, expected) in [
            (0, Response::Block, true, Protocol::Tcp, false, (Verdict::Block, 1, Proof::Connection)),
            (1, Response::Block, true, Protocol::Udp, false, (Verdict::Fence, 1, Proof::None)),
            (1, Response::Block, false, Protocol::Udp, false, (Verdict::Block, 1, Proof::None)),
            (2, Response::Block, true, Protocol::Tcp, false, (Verdict::Counted, 1, Proof::Connection)),
            (1, Response::LogOnly, true, Protocol::Tcp, false, (Verdict::Report, 1, Proof::Connection)),
            (1, Response::CommandOnly, true, Protocol::Udp, false, (Verdict::Report, 1, Proof::None)),
            (1, Response::Block, true, Protocol::Tcp, true, (Verdict::Ignored, 0, Proof::Connection)),
        ] {
            let rules = Rules { trigger, response, fences };
            let judged = Visits::default().judge([192, 0, 2, 9].into(), protocol, is_exempt, rules);
            assert_eq!(judged, expected, "{rules:?} {protocol:?}");
        }
    }

    #[test]
    fn visits_count_up_to_the_trigger() {
        let rules = Rules { trigger: 2, response: Response::Block, fences: true };
        let mut visits = Visits::default();
        let mut judge = || visits.judge([192, 0, 2, 9].into(), Protocol::Tcp, false, rules).0;
        assert_eq!([judge(), judge()], [Verdict::Counted, Verdict::Block]);
    }

    #[test]
    fn memory_is_bounded() {
        let rules = Rules { trigger: 3, response: Response::Block, fences: true };
        let mut visits = Visits::default();
        for number in 0..u32::try_from(COUNTED).unwrap() + 7 {
            visits.judge(IpAddr::from(number.to_be_bytes()), Protocol::Tcp, false, rules);
        }
        assert_eq!(visits.0.len(), 7);
    }
}
