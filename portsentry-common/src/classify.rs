//! Classifies a transport header as a kind of probe.

use crate::parse::{TcpControl, TcpFlags, Transport};

/// The kinds of probe. The numbers cross the kernel boundary.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// SYN alone, apart from ECN bits (`nmap -sS`, `-sT`).
    Syn = 1,
    /// FIN alone (`nmap -sF`).
    Fin = 2,
    /// No control bit (`nmap -sN`).
    Null = 3,
    /// FIN, PSH and URG (`nmap -sX`).
    Xmas = 4,
    /// A combination that no stack sends, such as SYN with FIN, or URG alone.
    Unknown = 5,
    /// FIN with ACK outside any connection (`nmap -sM`).
    Maimon = 6,
    /// ACK outside any connection (`nmap -sA`).
    Ack = 7,
    /// A first fragment too small to hold TCP's control bits (`nmap -f`).
    Fragment = 8,
    /// A UDP datagram (`nmap -sU`).
    Udp = 9,
    /// A completed TCP connection to a trap.
    Connect = 10,
    /// An IPv6 packet whose extension headers hide its transport header, because they run past the packet or the
    /// first fragment. Its ports and protocol can't be read, so it counts as TCP to port 0.
    Chain = 11,
}

/// Every kind, in the order of their numbers.
pub const KINDS: [Kind; 11] = [
    Kind::Syn,
    Kind::Fin,
    Kind::Null,
    Kind::Xmas,
    Kind::Unknown,
    Kind::Maimon,
    Kind::Ack,
    Kind::Fragment,
    Kind::Udp,
    Kind::Connect,
    Kind::Chain,
];

impl Kind {
    /// Whether packets of an established connection look like this, so that only the missing connection makes one a
    /// probe. Neither PortSentry counts these kinds as scans.
    #[inline(always)]
    #[must_use]
    pub const fn is_connected(self) -> bool {
        matches!(self, Self::Ack | Self::Maimon)
    }
}

impl TryFrom<u8> for Kind {
    type Error = u8;

    fn try_from(number: u8) -> Result<Self, u8> {
        let index = usize::from(number).checked_sub(1).ok_or(number)?;
        KINDS.get(index).copied().ok_or(number)
    }
}

/// The watched transport protocols, with their IP protocol numbers.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// Transmission Control Protocol.
    Tcp = crate::parse::TCP,
    /// User Datagram Protocol.
    Udp = crate::parse::UDP,
}

impl Protocol {
    /// Returns `TCP` or `UDP`, as in the log.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
        }
    }
}

impl TryFrom<u8> for Protocol {
    type Error = u8;

    fn try_from(number: u8) -> Result<Self, u8> {
        match number {
            crate::parse::TCP => Ok(Self::Tcp),
            crate::parse::UDP => Ok(Self::Udp),
            other => Err(other),
        }
    }
}

/// The probe that a packet is, if its port is watched and the packet is not benign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe {
    /// The transport protocol.
    pub protocol: Protocol,
    /// The kind.
    pub kind: Kind,
    /// Source port, host byte order.
    pub source_port: u16,
    /// Destination port, host byte order.
    pub port: u16,
    /// TCP's control bits as received, including ECN bits; 0 for UDP and tiny fragments.
    pub flags: u8,
}

/// Whether a datagram may answer a host whose sockets are unknown. Only datagrams from a client's port to a
/// well-known port can't.
#[inline(always)]
#[must_use]
pub const fn may_answer(probe: &Probe) -> bool {
    const WELL_KNOWN: u16 = 1024;
    probe.source_port < WELL_KNOWN || probe.port >= WELL_KNOWN
}

/// Returns the probe that `transport` may be, or `None` if it can't be one.
#[inline(always)]
#[must_use]
pub fn classify(transport: &Transport) -> Option<Probe> {
    match *transport {
        Transport::Tcp { source_port, port, flags } => {
            tcp(flags).map(|kind| Probe { protocol: Protocol::Tcp, kind, source_port, port, flags: flags.0 })
        }
        Transport::TinyTcp { source_port, port } => {
            Some(Probe { protocol: Protocol::Tcp, kind: Kind::Fragment, source_port, port, flags: 0 })
        }
        Transport::Udp { source_port, port } => {
            Some(Probe { protocol: Protocol::Udp, kind: Kind::Udp, source_port, port, flags: 0 })
        }
        Transport::Hidden => {
            Some(Probe { protocol: Protocol::Tcp, kind: Kind::Chain, source_port: 0, port: 0, flags: 0 })
        }
        Transport::Other => None,
    }
}

/// Whether the control bits in this header are those of nearly every packet. For these, [`tcp`] returns
/// [`Kind::Ack`].
#[inline(always)]
#[must_use]
pub fn is_ack(control: TcpControl) -> bool {
    const MASK: u8 = TcpFlags::FIN | TcpFlags::SYN | TcpFlags::RST | TcpFlags::ACK;
    control.has(MASK, TcpFlags::ACK)
}

/// Whether the control bits in a TCP header's fourth word, in wire order, are those of a SYN. For these, [`tcp`] returns
/// [`Kind::Syn`].
#[inline(always)]
#[must_use]
pub fn is_syn(word: u32) -> bool {
    const MASK: u8 =
        TcpFlags::FIN | TcpFlags::SYN | TcpFlags::RST | TcpFlags::PSH | TcpFlags::ACK | TcpFlags::URG;
    word & u32::from_ne_bytes([0, MASK, 0, 0]) == u32::from_ne_bytes([0, TcpFlags::SYN, 0, 0])
}

/// Returns the kind of probe for these control bits, or `None` for answers: SYN with ACK, and RST with or without
/// ACK. Hosts send these to this host when a scanner probes them with this host's address as a spoofed source
/// (backscatter).
#[inline(always)]
#[must_use]
pub fn tcp(flags: TcpFlags) -> Option<Kind> {
    const FIN: u8 = TcpFlags::FIN;
    const SYN: u8 = TcpFlags::SYN;
    const RST: u8 = TcpFlags::RST;
    const PSH: u8 = TcpFlags::PSH;
    const ACK: u8 = TcpFlags::ACK;
    const URG: u8 = TcpFlags::URG;

    let bits = flags.0 & (FIN | SYN | RST | PSH | ACK | URG);
    if bits & (FIN | SYN | RST | ACK) == ACK {
        return Some(Kind::Ack);
    }
    match bits {
        SYN => Some(Kind::Syn),
        FIN => Some(Kind::Fin),
        0 => Some(Kind::Null),
        _ if bits == FIN | PSH | URG => Some(Kind::Xmas),
        _ if bits & SYN != 0 && bits & (FIN | RST) != 0 => Some(Kind::Unknown),
        _ if bits & RST != 0 => None,
        _ if bits & ACK == 0 => Some(Kind::Unknown),
        _ if bits & SYN != 0 => None,
        _ => Some(Kind::Maimon),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIN: u8 = TcpFlags::FIN;
    const SYN: u8 = TcpFlags::SYN;
    const RST: u8 = TcpFlags::RST;
    const PSH: u8 = TcpFlags::PSH;
    const ACK: u8 = TcpFlags::ACK;
    const URG: u8 = TcpFlags::URG;
    const ECE: u8 = 0x40;
    const CWR: u8 = 0x80;

    #[test]
    fn control_bits_make_a_kind() {
        for (what, bits, expected) in [
            ("a SYN", SYN, Some(Kind::Syn)),
            ("an ECN-setup SYN", SYN | ECE | CWR, Some(Kind::Syn)),
            ("a FIN", FIN, Some(Kind::Fin)),
            ("no flag", 0, Some(Kind::Null)),
            ("only ECN bits", ECE | CWR, Some(Kind::Null)),
            ("a Christmas tree", FIN | PSH | URG, Some(Kind::Xmas)),
            ("SYN with FIN", SYN | FIN, Some(Kind::Unknown)),
            ("SYN with RST", SYN | RST, Some(Kind::Unknown)),
            ("everything", FIN | SYN | RST | PSH | ACK | URG, Some(Kind::Unknown)),
            ("SYN with FIN and ACK", SYN | FIN | ACK, Some(Kind::Unknown)),
            ("SYN with URG", SYN | URG, Some(Kind::Unknown)),
            ("URG alone", URG, Some(Kind::Unknown)),
            ("PSH alone", PSH, Some(Kind::Unknown)),
            ("FIN with PSH", FIN | PSH, Some(Kind::Unknown)),
            ("FIN with ACK", FIN | ACK, Some(Kind::Maimon)),
            ("the last data of a connection", FIN | PSH | ACK, Some(Kind::Maimon)),
            ("an ACK", ACK, Some(Kind::Ack)),
            ("data", PSH | ACK, Some(Kind::Ack)),
            ("urgent data", PSH | ACK | URG, Some(Kind::Ack)),
            ("an answer to our SYN", SYN | ACK, None),
            ("an ECN answer to our SYN", SYN | ACK | ECE, None),
            ("a reset", RST, None),
            ("a reset that acknowledges", RST | ACK, None),
            ("a reset with data", RST | PSH | ACK, None),
            ("a reset with FIN and ACK", RST | FIN | ACK, None),
        ] {
            assert_eq!(tcp(TcpFlags(bits)), expected, "{what}");
        }
    }

    #[test]
    fn ecn_bits_change_nothing() {
        for bits in 0..=0x3f {
            for ecn in [ECE, CWR, ECE | CWR] {
                assert_eq!(tcp(TcpFlags(bits)), tcp(TcpFlags(bits | ecn)), "{bits:#x}");
            }
        }
    }

    #[test]
    fn kinds_survive_the_boundary() {
        for kind in KINDS {
            assert_eq!(Kind::try_from(kind as u8), Ok(kind));
        }
        assert_eq!(Kind::try_from(0), Err(0));
        assert_eq!(Kind::try_from(12), Err(12));
    }
}
