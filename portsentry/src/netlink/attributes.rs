//! The attributes of netlink messages (netlink(7), rtnetlink(7)): type, length, value.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Bytes of an attribute's header: length and type, 16 bits each.
const HEADER: usize = 4;
/// The type's bits without the flags for nesting and byte order.
const TYPE: u16 = 0x3fff;

/// Returns the type and value of each attribute in `bytes`, up to the first with an impossible length.
pub fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(u16_at(bytes, 0)?);
        let kind = u16_at(bytes, 2)? & TYPE;
        let value = bytes.get(HEADER..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}

/// Returns the value of the first attribute of this type.
#[must_use]
pub fn attribute(bytes: &[u8], wanted: u16) -> Option<&[u8]> {
    attributes(bytes).find(|(kind, _)| *kind == wanted).map(|(_, value)| value)
}

/// Returns the number in this machine's byte order at an offset.
#[must_use]
pub fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|bytes| u16::from_ne_bytes(*bytes))
}

/// Like [`u16_at`], for 32 bits.
#[must_use]
pub fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|bytes| u32::from_ne_bytes(*bytes))
}

/// Returns the address with these octets: four for IPv4, 16 for IPv6.
#[must_use]
pub fn address(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => bytes.first_chunk::<4>().map(|octets| Ipv4Addr::from(*octets).into()),
        16 => bytes.first_chunk::<16>().map(|octets| Ipv6Addr::from(*octets).into()),
        _ => None,
    }
}

/// Returns an attribute in message form, padded to a multiple of four bytes.
#[must_use]
pub fn written(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(HEADER + value.len()).unwrap_or(u16::MAX);
    let mut bytes = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn attributes_are_read_one_after_the_other() {
        let bytes = [written(3, b"eth0\0"), written(0x8034, &written(53, b"enp3s0\0"))].concat();
        assert_eq!(attribute(&bytes, 3), Some(&b"eth0\0"[..]));
        assert_eq!(attribute(attribute(&bytes, 52).unwrap(), 53), Some(&b"enp3s0\0"[..]));
        assert_eq!(attribute(&bytes, 4), None);
    }

    #[test]
    fn attributes_are_read_to_their_end_and_no_further() {
        let bytes = [7, 0, 5, 0x80, 1, 2, 3, 0, 5, 0, 9, 0, 4];
        let read: Vec<_> = attributes(&bytes).collect();
        assert_eq!(read, [(5, &[1, 2, 3][..]), (9, &[4])]);
        for damaged in [&bytes[..6], &[3, 0, 1, 0], &[0; 8], &[]] {
            assert_eq!(attributes(damaged).count(), 0, "{damaged:?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic_or_loop(bytes: Vec<u8>) {
            prop_assert!(attributes(&bytes).count() <= bytes.len());
        }
    }
}
