use core::{
    cell::RefCell,
    net::{Ipv4Addr, Ipv6Addr},
};
use std::{vec, vec::Vec};

use bytemuck::AnyBitPattern;
use proptest::prelude::*;

use super::*;
use crate::{
    classify::{Kind, Probe, Protocol},
    frame::{Frame, tests::Written},
    parse::{Parse, TcpFlags, Transport, link},
};

const SECRETS: Secrets = Secrets { keys: [key(1), key(9)], current: 0 };

/// Returns a pseudo-random key.
const fn key(seed: u64) -> Key {
    let mut words = [0; 8];
    let mut at = 0;
    while at < words.len() {
        words[at] = (seed + at as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        at += 1;
    }
    Key::new(words)
}

/// A frame that can be rewritten.
struct Writable<'a>(&'a [u8], RefCell<Vec<u8>>);

impl<'a> Writable<'a> {
    fn new(frame: &'a [u8]) -> Self {
        Self(frame, RefCell::new(frame.to_vec()))
    }
}

impl<'a> Frame for Writable<'a> {
    type Bytes = &'a [u8];

    fn bytes(&self) -> &'a [u8] {
        self.0
    }

    fn holds(&self, length: usize) -> bool {
        length <= self.0.len()
    }

    fn length(&self) -> usize {
        self.0.len()
    }

    fn load<T: AnyBitPattern>(&self, offset: usize) -> Option<T> {
        Bytes::read(self.0, offset)
    }
}

impl Rewrite for Writable<'_> {
    type Room<'a>
        = Written<'a>
    where
        Self: 'a;

    fn room(&self) -> Written<'_> {
        Written(&self.1)
    }
}

fn flow<A>(source: A, destination: A, source_port: u16, port: u16) -> Flow<A> {
    let probe = Probe { protocol: Protocol::Tcp, kind: Kind::Syn, source_port, port, flags: 2 };
    Flow { source, destination, probe }
}

fn v4(source: u32, source_port: u16, port: u16) -> Flow<Ipv4> {
    flow(Ipv4Addr::from(source).into(), Ipv4Addr::new(198, 51, 100, 1).into(), source_port, port)
}

/// Returns a SYN with VLAN tags and this IP header.
fn syn(tags: &[u16], header: &[u8], options: &[u8]) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
    for tag in tags {
        frame.extend([0x81, 0, (tag >> 8) as u8, *tag as u8]);
    }
    frame.extend(if header.len() == 20 { [8, 0] } else { [0x86, 0xdd] });
    frame.extend(header);
    frame.extend([
        0x9c,
        0x40,
        0,
        11,
        0,
        0,
        0,
        7,
        0,
        0,
        0,
        0,
        ((20 + options.len()) * 4) as u8,
        2,
        4,
        0,
        0,
        0,
        0,
        0,
    ]);
    frame.extend(options);
    frame
}

fn sum(bytes: &[u8]) -> u16 {
    let mut sum = 0_u32;
    for pair in bytes.chunks(2) {
        sum += u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
    }
    while sum >> 16 != 0 {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    sum as u16
}

#[test]
fn the_answer_is_a_right_syn_ack() {
    for tags in [&[][..], &[5], &[5, 6]] {
        for options in [&[][..], &[2, 4, 5, 180], &[2, 4, 5, 180, 1, 3, 3, 7]] {
            let total = 40 + options.len() as u8;
            let mut header = vec![0x45, 0, 0, total, 0, 0, 0, 0, 64, 6, 0, 0];
            header.extend([192, 0, 2, 9, 198, 51, 100, 1]);
            let before = syn(tags, &header, options);
            let frame = Writable::new(&before);
            let link = link(&frame).unwrap();
            let flow = v4(0xc000_0209, 40_000, 11);
            assert!(write(&frame, &link, &flow, &SECRETS, &Constants::USUAL, 99));
            let after = frame.1.into_inner();
            let frame = Writable::new(&after);
            let datagram = Ipv4::datagram(&frame, &link).unwrap();
            assert_eq!(datagram.destination, flow.source);
            let expected = Transport::Tcp {
                source_port: 11,
                port: 40_000,
                flags: TcpFlags(TcpFlags::SYN | TcpFlags::ACK),
            };
            assert_eq!(datagram.transport(&frame), Ok(expected));
            assert_eq!(after.len(), before.len());
            assert_eq!((&after[..6], &after[6..12]), (&before[6..12], &before[..6]));
            let ip = &after[link.length..][..20 + datagram.remaining];
            assert_eq!(sum(&ip[..20]), 0xffff, "IP checksum");
            let pseudo = [&ip[12..20], &[0, 6, 0, datagram.remaining as u8], &ip[20..]].concat();
            assert_eq!(sum(&pseudo), 0xffff, "TCP checksum");
            assert_eq!(&ip[28..32], &[0, 0, 0, 8], "acknowledges the SYN");
            let cookie = u32::from_ne_bytes(ip[24..28].try_into().unwrap());
            assert!(is_genuine(&SECRETS, &flow, 7_u32.to_be(), cookie, 99));
            assert!(datagram.remaining <= 20 + options.len());
        }
    }
}

#[test]
fn an_ipv6_answer_is_right_too() {
    let [source, destination] = ["2001:db8::9", "2001:db8::1"].map(|text| text.parse::<Ipv6Addr>().unwrap());
    let mut header = vec![0x60, 0, 0, 0, 0, 24, 6, 64];
    header.extend(source.octets());
    header.extend(destination.octets());
    let before = syn(&[], &header, &[2, 4, 5, 160]);
    let frame = Writable::new(&before);
    let link = link(&frame).unwrap();
    let flow = flow(Ipv6::from(source), Ipv6::from(destination), 40_000, 11);
    assert!(write(&frame, &link, &flow, &SECRETS, &Constants::USUAL, 99));
    let after = frame.1.into_inner();
    let datagram = Ipv6::datagram(&Writable::new(&after), &link).unwrap();
    assert_eq!((datagram.destination, datagram.remaining), (flow.source, 24));
    let pseudo = [&after[22..54], &[0, 0, 0, 24, 0, 0, 0, 6], &after[54..78]].concat();
    assert_eq!(sum(&pseudo), 0xffff);
}

#[test]
fn a_frame_for_several_hosts_is_not_answered() {
    let mut header = vec![0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0];
    header.extend([192, 0, 2, 9, 198, 51, 100, 1]);
    let mut frame = syn(&[], &header, &[]);
    frame[0] |= 1;
    let writable = Writable::new(&frame);
    let link = link(&writable).unwrap();
    assert!(!write(&writable, &link, &v4(0xc000_0209, 40_000, 11), &SECRETS, &Constants::USUAL, 99));
    assert_eq!(writable.1.into_inner(), frame);
}

proptest! {
    #[test]
    fn a_checksum_is_the_textbooks(words: Vec<u32>) {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        let ours = checksum(words.iter().map(|word| u64::from(*word)).sum());
        // Zero and its complement are equal in this arithmetic, and no header sums to zero.
        prop_assert!(ours == (!sum(&bytes)).to_be() || words.iter().all(|word| *word == 0));
    }

    #[test]
    fn a_cookie_is_good_in_its_slot_and_the_next(source: u32, ports: [u16; 2], isn: u32, now in 0..u64::MAX / 4) {
        let flow = v4(source, ports[0], ports[1]);
        let cookie = cookie(&SECRETS, &flow, self::ports(&flow), isn, now).0;
        prop_assert!(is_genuine(&SECRETS, &flow, isn, cookie, now));
        prop_assert!(is_genuine(&SECRETS, &flow, isn, cookie, now + (1 << SLOT)));
        prop_assert!(!is_genuine(&SECRETS, &flow, isn, cookie, now + (2 << SLOT)));
        prop_assert!(!is_genuine(&SECRETS, &flow, isn, cookie, now + (3 << SLOT)));
    }

    #[test]
    fn a_cookie_is_good_for_its_packet_alone(source: u32, ports: [u16; 2], isn: u32, now: u64, other in 1..u32::MAX) {
        let flow = v4(source, ports[0], ports[1]);
        let cookie = cookie(&SECRETS, &flow, self::ports(&flow), isn, now).0;
        let low = (other & 0xffff) as u16 | 1;
        for (flow, isn, cookie) in [
            (v4(source ^ other, ports[0], ports[1]), isn, cookie),
            (v4(source, ports[0] ^ low, ports[1]), isn, cookie),
            (v4(source, ports[0], ports[1] ^ low), isn, cookie),
            (v4(source, ports[0], ports[1]), isn ^ other, cookie),
            (v4(source, ports[0], ports[1]), isn, cookie ^ other),
        ] {
            prop_assert!(!is_genuine(&SECRETS, &flow, isn, cookie, now));
        }
    }

    /// Covers every bit of the digested fields, too.
    #[test]
    fn an_ipv6_cookie_is_good_for_its_packet_alone(ends: [[u8; 16]; 2], ports: [u16; 2], isn: u32, now in 0..u64::MAX / 4, bit in 0_u32..288) {
        let [source, destination] = ends.map(|octets| Ipv6 { octets });
        let own = flow(source, destination, ports[0], ports[1]);
        let cookie = cookie(&SECRETS, &own, self::ports(&own), isn, now).0;
        prop_assert!(is_genuine(&SECRETS, &own, isn, cookie, now + (1 << SLOT)));
        prop_assert!(!is_genuine(&SECRETS, &own, isn, cookie, now + (2 << SLOT)));
        let mut other = own;
        let bit_of = |octets: &mut [u8; 16], bit: u32| octets[bit as usize / 8] ^= 1 << (bit % 8);
        match bit {
            0..128 => bit_of(&mut other.source.octets, bit),
            128..256 => bit_of(&mut other.destination.octets, bit - 128),
            256..272 => other.probe.port ^= 1 << (bit - 256),
            _ => other.probe.source_port ^= 1 << (bit - 272),
        }
        prop_assert!(!is_genuine(&SECRETS, &other, isn, cookie, now));
    }

    #[test]
    fn a_new_key_takes_the_old_ones_cookies(source: u32, isn: u32, now: u64, fresh: [u64; 8]) {
        let flow = v4(source, 1, 2);
        let cookie = cookie(&SECRETS, &flow, ports(&flow), isn, now).0;
        let rotated = Secrets { keys: [SECRETS.keys[0], Key::new(fresh)], current: 1 };
        prop_assert!(is_genuine(&rotated, &flow, isn, cookie, now));
        let twice = Secrets { keys: [key(17), Key::new(fresh)], current: 0 };
        prop_assert!(!is_genuine(&twice, &flow, isn, cookie, now));
    }
}
