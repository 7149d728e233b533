use core::{cell::RefCell, net::Ipv4Addr};
use std::{vec, vec::Vec};

use proptest::prelude::*;

use super::*;
use crate::{
    address::Ipv4,
    classify::{Kind, Probe, Protocol},
    frame::tests::Written,
    parse::link,
};

const ENDS: [[u8; 4]; 2] = [[192, 0, 2, 9], [198, 51, 100, 1]];
/// A maximum segment size of 1460.
const SIZE: [u8; 4] = [2, 4, 5, 180];

fn flow() -> Flow<Ipv4> {
    let probe = Probe { protocol: Protocol::Tcp, kind: Kind::Syn, source_port: 40_000, port: 443, flags: 2 };
    let [source, destination] = ENDS.map(|octets| Ipv4Addr::from(octets).into());
    Flow { source, destination, probe }
}

fn sum(bytes: &[u8]) -> u16 {
    let mut sum = 0_u32;
    for pair in bytes.chunks(2) {
        sum += u32::from(u16::from_be_bytes([pair[0], *pair.get(1).unwrap_or(&0)]));
        sum = (sum & 0xffff) + (sum >> 16);
    }
    u16::try_from(sum).unwrap()
}

fn pseudo(segment: &[u8]) -> Vec<u8> {
    let length = u8::try_from(segment.len()).unwrap();
    [&ENDS[0][..], &ENDS[1], &[0, 6, 0, length], segment].concat()
}

/// Returns a SYN with these flags and options, correct checksums, and this many VLAN tags.
fn syn(tags: usize, flags: u8, options: &[u8], payload: usize) -> Vec<u8> {
    let words = u8::try_from(5 + options.len() / 4).unwrap();
    let mut segment =
        vec![0x9c, 0x40, 1, 187, 0, 0, 0, 7, 0, 0, 0, 0, words << 4, flags, 250, 240, 0, 0, 0, 0];
    segment.extend(options);
    segment.resize(segment.len() + payload, 1);
    let checksum = !sum(&pseudo(&segment));
    segment[16..18].copy_from_slice(&checksum.to_be_bytes());
    let total = u8::try_from(20 + segment.len()).unwrap();
    let mut header = vec![0x45, 0, 0, total, 0, 1, 0x40, 0, 64, 6, 0, 0];
    header.extend(ENDS.concat());
    let checksum = !sum(&header);
    header[10..12].copy_from_slice(&checksum.to_be_bytes());
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
    for _ in 0..tags {
        frame.extend([0x81, 0, 0, 5]);
    }
    frame.extend([8, 0]);
    frame.extend(header);
    frame.extend(segment);
    frame
}

fn checksum_of(frame: &[u8]) -> u16 {
    u16::from_be_bytes([frame[50], frame[51]])
}

fn shape_of(frame: &[u8]) -> Option<Shape> {
    shape::<Ipv4, _>(frame, &link(&frame).ok()?, WITH_SIZE)
}

/// Returns the flattened segment in the frame.
fn flattened(frame: &[u8]) -> Vec<u8> {
    let shape = shape_of(frame).unwrap();
    let sums = sums(frame, shape, &flow()).unwrap();
    assert!(sums.is_right && !sums.is_partial);
    let room = RefCell::new(frame.to_vec());
    assert!(flatten(frame, Written(&room), shape, &sums, true));
    let after = room.into_inner();
    assert_eq!(after[..shape.tcp], frame[..shape.tcp], "nothing else is changed");
    after[shape.tcp..].to_vec()
}

#[test]
fn a_service_gets_a_syn_with_a_size_and_nothing_else() {
    let timestamps = [8, 10, 0, 0, 0, 1, 0, 0, 0, 0];
    let linux = [&SIZE[..], &[4, 2], &timestamps, &[1, 3, 3, 7]].concat();
    for (flags, options, expected) in [
        (2, &linux[..], [&SIZE[..], &[1; 16]].concat()),
        (2 | 0xc0, &SIZE, SIZE.to_vec()),
        (2, &[1, 1, 4, 2, 2, 4, 5, 180], vec![1; 8]),
        (2, &[3, 3, 7, 1], vec![1; 4]),
    ] {
        for tags in [0, 1, 2] {
            let before = syn(tags, flags, options, 0);
            let after = flattened(&before);
            assert_eq!(after[20..], expected, "{options:?}");
            assert_eq!((after[13], after[12] & 0xf), (2, 0), "SYN alone, and no reserved bit");
            assert_eq!(after[..12], before[before.len() - after.len()..][..12]);
            assert_eq!(sum(&pseudo(&after)), 0xffff, "{options:?}");
        }
    }
}

#[test]
fn what_no_stack_sends_is_answered_nowhere() {
    let good = syn(0, 2, &SIZE, 0);
    assert!(shape_of(&good).is_some() && shape_of(&syn(2, 2, &[1; 40], 0)).is_some());
    let mut options = good.clone();
    options[14] = 0x46;
    let mut fragment = good.clone();
    fragment[20] |= 0x20;
    let mut offset = good.clone();
    offset[46] = 0x40;
    for (what, frame) in [
        ("data", syn(0, 2, &SIZE, 1)),
        ("IP options", options),
        ("a fragment", fragment),
        ("an impossible header", offset),
        ("no room for a size", syn(0, 2, &[], 0)),
        ("the same, padded by Ethernet", [&syn(0, 2, &[], 0)[..], &[0; 6]].concat()),
        ("a third tag", syn(3, 2, &SIZE, 0)),
        ("a cut frame", good[..57].to_vec()),
    ] {
        assert_eq!(shape_of(&frame), None, "{what}");
    }
    let bare = syn(0, 2, &[], 0);
    let link = link(&bare.as_slice()).unwrap();
    assert!(shape::<Ipv4, _>(bare.as_slice(), &link, LEAST).is_some(), "for an answer without a size");
}

#[test]
fn wrong_checksums_are_seen() {
    let good = syn(0, 2, &SIZE, 0);
    let shape = shape_of(&good).unwrap();
    let link = link(&good.as_slice()).unwrap();
    assert!(is_header_right::<Ipv4, _>(good.as_slice(), &link));
    for at in 34..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 4;
        assert!(!sums(bad.as_slice(), shape, &flow()).unwrap().is_right, "{at}");
    }
    for at in 15..34 {
        let mut bad = good.clone();
        bad[at] ^= 4;
        assert!(!is_header_right::<Ipv4, _>(bad.as_slice(), &link), "{at}");
    }
    let mut partial = good.clone();
    let left = sum(&[&ENDS[0][..], &ENDS[1], &[0, 6, 0, 24]].concat());
    partial[50..52].copy_from_slice(&left.to_be_bytes());
    let found = sums(partial.as_slice(), shape, &flow()).unwrap();
    assert!(found.is_partial && !found.is_right);
    for (completes, expected) in [(true, checksum_of(&good)), (false, left)] {
        let room = RefCell::new(partial.clone());
        assert!(flatten(partial.as_slice(), Written(&room), shape, &found, completes));
        assert_eq!(room.into_inner()[50..52], expected.to_be_bytes(), "completed: {completes}");
    }
}

proptest! {
    #[test]
    fn a_flattened_syn_has_the_right_checksum(
        words in 0_usize..=10,
        bytes in prop::collection::vec(any::<u8>(), 40),
        flags in any::<u8>(),
    ) {
        let frame = syn(1, flags, &bytes[..words * 4], 0);
        if shape_of(&frame).is_some() {
            prop_assert_eq!(sum(&pseudo(&flattened(&frame))), 0xffff);
        }
    }
}
