//! The packet that `explain` judges, as an ordinary host would send it.

use std::net::{IpAddr, SocketAddr};

use portsentry_common::{
    classify::Protocol,
    parse::{TCP, TcpFlags, UDP},
};

/// Bytes of an Ethernet header.
const ETHERNET: usize = 14;
/// Options of a SYN, as Linux sends them: maximum segment size, SACK, timestamps, window scale.
const OPTIONS: [u8; 20] = [2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7];
/// Sequence number of the SYN.
const ISN: u32 = 0x5053_0001;
const HOPS: u8 = 64;

/// A packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Packet {
    pub from: SocketAddr,
    pub to: SocketAddr,
    pub protocol: Protocol,
    /// TCP's control bits.
    pub flags: u8,
}

impl Packet {
    /// Returns its bytes, from the IP header on if `is_bare`.
    pub(super) fn bytes(&self, is_bare: bool) -> Vec<u8> {
        self.with_numbers([ISN, 0], is_bare)
    }

    /// Returns the segment that acknowledges `answer`, the frame of a SYN-ACK for this packet.
    pub(super) fn acknowledging(&self, answer: &[u8], is_bare: bool) -> Option<Vec<u8>> {
        let link = if is_bare { 0 } else { ETHERNET };
        let ip = if self.from.is_ipv4() { 20 } else { 40 };
        let sequence =
            answer.get(link + ip + 4..)?.first_chunk().map(|number| u32::from_be_bytes(*number))?;
        let acknowledging = Self { flags: TcpFlags::ACK, ..*self };
        Some(acknowledging.with_numbers([ISN.wrapping_add(1), sequence.wrapping_add(1)], is_bare))
    }

    fn with_numbers(&self, numbers: [u32; 2], is_bare: bool) -> Vec<u8> {
        let mut payload = match self.protocol {
            Protocol::Tcp => self.segment(numbers),
            Protocol::Udp => self.datagram(),
        };
        let at = if self.protocol == Protocol::Tcp { 16 } else { 6 };
        let sum = checksum(&[&self.pseudo_header(payload.len()), &payload]);
        // Over UDP zero means no checksum (RFC 768).
        let sum = if sum == 0 && self.protocol == Protocol::Udp { u16::MAX } else { sum };
        payload[at..at + 2].copy_from_slice(&sum.to_be_bytes());
        let packet = [self.ip_header(payload.len()), payload].concat();
        if is_bare {
            return packet;
        }
        let ethertype: u16 = if self.from.is_ipv4() { 0x0800 } else { 0x86dd };
        // Locally administered addresses (IEEE 802).
        [&[2, 0, 0, 0, 0, 1][..], &[2, 0, 0, 0, 0, 2], &ethertype.to_be_bytes(), &packet].concat()
    }

    fn ports(&self) -> [u8; 4] {
        let [[a, b], [c, d]] = [self.from.port(), self.to.port()].map(u16::to_be_bytes);
        [a, b, c, d]
    }

    fn segment(&self, [sequence, acknowledgement]: [u32; 2]) -> Vec<u8> {
        let options = if self.flags == TcpFlags::SYN { &OPTIONS[..] } else { &[] };
        let words = u8::try_from(5 + options.len() / 4).unwrap_or(15);
        [
            &self.ports()[..],
            &sequence.to_be_bytes(),
            &acknowledgement.to_be_bytes(),
            &[words << 4, self.flags, 0xfa, 0xf0, 0, 0, 0, 0],
            options,
        ]
        .concat()
    }

    fn datagram(&self) -> Vec<u8> {
        // No content, as `nmap -sU` sends to most ports.
        [&self.ports()[..], &[0, 8, 0, 0]].concat()
    }

    fn protocol_number(&self) -> u8 {
        if self.protocol == Protocol::Tcp { TCP } else { UDP }
    }

    fn addresses(&self) -> Vec<u8> {
        let octets = |address| match address {
            IpAddr::V4(address) => address.octets().to_vec(),
            IpAddr::V6(address) => address.octets().to_vec(),
        };
        [octets(self.from.ip()), octets(self.to.ip())].concat()
    }

    fn ip_header(&self, payload: usize) -> Vec<u8> {
        let length = |header: usize| u16::try_from(header + payload).unwrap_or(u16::MAX).to_be_bytes();
        if self.from.is_ipv6() {
            return [&[0x60, 0, 0, 0][..], &length(0), &[self.protocol_number(), HOPS], &self.addresses()]
                .concat();
        }
        let begin = [&[0x45, 0][..], &length(20), &[0, 1, 0x40, 0, HOPS, self.protocol_number()]].concat();
        let sum = checksum(&[&begin, &self.addresses()]);
        [begin, sum.to_be_bytes().to_vec(), self.addresses()].concat()
    }

    fn pseudo_header(&self, payload: usize) -> Vec<u8> {
        let length = u16::try_from(payload).unwrap_or(u16::MAX).to_be_bytes();
        [&self.addresses()[..], &length, &[0, self.protocol_number()]].concat()
    }
}

/// Returns the Internet checksum (RFC 1071) of parts with even lengths.
fn checksum(parts: &[&[u8]]) -> u16 {
    let words = parts.iter().flat_map(|part| part.chunks(2));
    let mut sum: u32 =
        words.map(|word| u32::from(word[0]) << 8 | u32::from(*word.get(1).unwrap_or(&0))).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(protocol: Protocol, flags: u8, is_v6: bool) -> Packet {
        let [from, to] = if is_v6 {
            ["[2001:db8::9]:40000", "[2001:db8::1]:11"]
        } else {
            ["192.0.2.9:40000", "192.0.2.1:11"]
        };
        Packet { from: from.parse().unwrap(), to: to.parse().unwrap(), protocol, flags }
    }

    #[test]
    fn checksums_are_right() {
        for is_v6 in [false, true] {
            for (protocol, flags) in [(Protocol::Tcp, 2), (Protocol::Tcp, 0x29), (Protocol::Udp, 0)] {
                let packet = packet(protocol, flags, is_v6);
                let bytes = packet.bytes(true);
                let header = if is_v6 { 40 } else { 20 };
                let payload = &bytes[header..];
                assert_eq!(checksum(&[&packet.pseudo_header(payload.len()), payload]), 0, "{packet:?}");
                assert!(is_v6 || checksum(&[&bytes[..header]]) == 0, "{packet:?}");
                let frame = packet.bytes(false);
                assert_eq!(frame[ETHERNET..], bytes);
            }
        }
    }

    #[test]
    fn an_acknowledgement_has_the_numbers_of_the_handshake() {
        for is_bare in [false, true] {
            let syn = packet(Protocol::Tcp, 2, false);
            let mut answer = syn.bytes(is_bare);
            let tcp = if is_bare { 20 } else { 34 };
            answer[tcp + 4..tcp + 8].copy_from_slice(&7_u32.to_be_bytes());
            let ack = syn.acknowledging(&answer, is_bare).unwrap();
            assert_eq!(ack[tcp + 4..tcp + 12], [&(ISN + 1).to_be_bytes()[..], &8_u32.to_be_bytes()].concat());
            assert_eq!(ack[tcp + 13], TcpFlags::ACK);
        }
        assert_eq!(packet(Protocol::Tcp, 2, true).acknowledging(&[0; 20], false), None);
    }
}
