//! IPv4 and IPv6 addresses, in the form used by packets and map keys.
//!
//! The octets are in network byte order. The alignment allows whole words for building and comparing keys. `bpftool
//! map dump` prints the field as `octets`.

use bytemuck::{Pod, Zeroable};

/// An address of either family. Each rule is written once for both, and compiled for each.
pub trait Address: Copy + PartialEq + Pod {
    /// 4 or 6, as in the version field of the IP header.
    const VERSION: u8;

    /// Whether the address can belong to a single host. Unspecified (all of `0.0.0.0/8`), loopback, multicast and
    /// broadcast addresses can't (RFC 1122 section 3.2.1.3, RFC 4291 section 2.4; Linux treats the rest of
    /// `240.0.0.0/4` as hosts). Nor can IPv4-mapped IPv6 addresses: Linux drops packets from these
    /// (draft-itojun-v6ops-v4mapped-harmful-02), and here they would be mistaken for the IPv4 address.
    fn is_unicast(self) -> bool;

    /// Returns the address in 16 octets, an IPv4 address as IPv4-mapped (RFC 4291 section 2.5.5.2).
    fn to_mapped(self) -> Ipv6;

    /// Returns the last two octets, in memory order.
    fn ending(self) -> u16;

    /// Returns the address with `host_bits` (two words in wire order) cleared. An IPv4 address stays unchanged.
    #[must_use]
    fn without(self, host_bits: [u64; 2]) -> Self;

    /// Whether the address's /64 is shared by unrelated hosts, so that each counts separately: neighbours on a link
    /// (RFC 4291 section 2.5.6), IPv4 hosts behind a translator (RFC 6052, RFC 8215), and Teredo clients, whose /64
    /// is their server's (RFC 4380 section 4).
    fn is_of_many(self) -> bool;
}

/// An IPv4 address.
#[repr(C, align(4))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Pod, Zeroable)]
pub struct Ipv4 {
    /// Network byte order.
    pub octets: [u8; 4],
}

/// An IPv6 address.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Pod, Zeroable)]
pub struct Ipv6 {
    /// Network byte order.
    pub octets: [u8; 16],
}

impl Ipv4 {
    /// Returns the address whose octets have the same memory layout as `word`.
    #[inline(always)]
    #[must_use]
    pub fn from_word(word: u32) -> Self {
        bytemuck::cast(word)
    }

    /// Returns the address as a number, most significant octet first.
    #[inline(always)]
    #[must_use]
    pub fn number(self) -> u32 {
        u32::from_be(bytemuck::cast(self))
    }
}

impl Ipv6 {
    /// Returns the address whose octets have the same memory layout as `halves`.
    #[inline(always)]
    #[must_use]
    pub fn from_halves(halves: [u64; 2]) -> Self {
        bytemuck::cast(halves)
    }

    /// Returns the address as two words in wire order.
    #[inline(always)]
    #[must_use]
    pub fn halves(self) -> [u64; 2] {
        bytemuck::cast(self)
    }

    /// Returns the address as four words in wire order.
    #[inline(always)]
    #[must_use]
    pub fn words(self) -> [u32; 4] {
        bytemuck::cast(self)
    }
}

impl Address for Ipv4 {
    const VERSION: u8 = 4;

    #[inline(always)]
    fn is_unicast(self) -> bool {
        let first = self.number() >> 24;
        first != 0 && first != 127 && first >> 4 != 14 && self.number() != u32::MAX
    }

    #[inline(always)]
    fn to_mapped(self) -> Ipv6 {
        let word: u32 = bytemuck::cast(self);
        bytemuck::cast([0, 0, 0xffff_u32.to_be(), word])
    }

    #[inline(always)]
    fn ending(self) -> u16 {
        let word: u32 = bytemuck::cast(self);
        (u32::from_le(word) >> 16) as u16
    }

    #[inline(always)]
    fn without(self, _: [u64; 2]) -> Self {
        self
    }

    #[inline(always)]
    fn is_of_many(self) -> bool {
        true
    }
}

impl Address for Ipv6 {
    const VERSION: u8 = 6;

    #[inline(always)]
    fn is_unicast(self) -> bool {
        let [a, b, c, d] = self.words();
        let unspecified_or_loopback = a | b | c == 0 && u32::from_be(d) <= 1;
        let mapped = a | b == 0 && c == 0xffff_u32.to_be();
        !unspecified_or_loopback && !mapped && u32::from_be(a) >> 24 != 0xff
    }

    #[inline(always)]
    fn to_mapped(self) -> Ipv6 {
        self
    }

    #[inline(always)]
    fn ending(self) -> u16 {
        let [_, low] = self.halves();
        (u64::from_le(low) >> 48) as u16
    }

    #[inline(always)]
    fn without(self, [high_bits, low_bits]: [u64; 2]) -> Self {
        let [high, low] = self.halves();
        Self::from_halves([high & !high_bits, low & !low_bits])
    }

    #[inline(always)]
    fn is_of_many(self) -> bool {
        const NEEDS_SYN: u32 = 0x0064_ff9b;
        const TEREDO: u32 = 0x2001_0000;
        let first = u32::from_be(self.words()[0]);
        first >> 22 == 0xfe80 >> 6 || first == NEEDS_SYN || first == TEREDO
    }
}

impl From<core::net::Ipv4Addr> for Ipv4 {
    fn from(address: core::net::Ipv4Addr) -> Self {
        Self { octets: address.octets() }
    }
}

impl From<core::net::Ipv6Addr> for Ipv6 {
    fn from(address: core::net::Ipv6Addr) -> Self {
        Self { octets: address.octets() }
    }
}

impl From<core::net::IpAddr> for Ipv6 {
    /// An IPv4 address becomes a mapped one (RFC 4291 section 2.5.5.2).
    fn from(address: core::net::IpAddr) -> Self {
        match address {
            core::net::IpAddr::V4(v4) => v4.to_ipv6_mapped().into(),
            core::net::IpAddr::V6(v6) => v6.into(),
        }
    }
}

impl From<Ipv4> for core::net::Ipv4Addr {
    fn from(address: Ipv4) -> Self {
        address.octets.into()
    }
}

impl From<Ipv6> for core::net::Ipv6Addr {
    fn from(address: Ipv6) -> Self {
        address.octets.into()
    }
}

#[cfg(test)]
mod tests {
    use core::net::{Ipv4Addr, Ipv6Addr};

    use super::*;

    #[test]
    fn only_single_hosts_are_unicast() {
        for (text, expected) in [
            ("192.0.2.1", true),
            ("1.0.0.0", true),
            ("223.255.255.255", true),
            ("0.0.0.0", false),
            ("0.1.2.3", false),
            ("127.0.0.1", false),
            ("224.0.0.5", false),
            ("239.255.255.255", false),
            ("240.0.0.1", true),
            ("255.255.255.254", true),
            ("255.255.255.255", false),
        ] {
            let address: Ipv4Addr = text.parse().unwrap();
            assert_eq!(Ipv4::from(address).is_unicast(), expected, "{text}");
        }
        for (text, expected) in [
            ("2001:db8::1", true),
            ("fe80::1", true),
            ("::2", true),
            ("::", false),
            ("::1", false),
            ("ff02::1", false),
            ("::ffff:192.0.2.1", false),
        ] {
            let address: Ipv6Addr = text.parse().unwrap();
            assert_eq!(Ipv6::from(address).is_unicast(), expected, "{text}");
        }
    }

    #[test]
    fn hosts_of_one_network_have_one_key() {
        use crate::settings::Settings;
        for (text, prefix, expected) in [
            ("2001:db8:1:2:3:4:5:6", 64, "2001:db8:1:2::"),
            ("2001:db8:1:2ff:3:4:5:6", 56, "2001:db8:1:200::"),
            ("2001:db8:1:2:3:4:5:6", 48, "2001:db8:1::"),
            ("2001:db8:1:2:3:4:5:6", 127, "2001:db8:1:2:3:4:5:6"),
            ("2001:db8:1:2:3:4:5:7", 127, "2001:db8:1:2:3:4:5:6"),
            ("2001:db8:1:2:3:4:5:7", 128, "2001:db8:1:2:3:4:5:7"),
        ] {
            let [address, expected]: [Ipv6Addr; 2] = [text, expected].map(|text| text.parse().unwrap());
            let Settings { host_bits, .. } = Settings::UNSET.held_by(prefix);
            assert_eq!(Ipv6Addr::from(Ipv6::from(address).without(host_bits)), expected, "{text}/{prefix}");
        }
    }

    #[test]
    fn networks_of_strangers_are_known() {
        for (text, expected) in [
            ("fe80::1", true),
            ("febf::1", true),
            ("fec0::1", false),
            ("64:ff9b::192.0.2.1", true),
            ("64:ff9b:1:2::1", true),
            ("64:ff9c::1", false),
            ("2001:0:5ef5:79fb::1", true),
            ("2001:1::1", false),
            ("2001:db8::1", false),
            ("2002:c000:201::1", false),
        ] {
            let address: Ipv6Addr = text.parse().unwrap();
            assert_eq!(Ipv6::from(address).is_of_many(), expected, "{text}");
        }
    }

    #[test]
    fn ipv4_maps_into_ipv6() {
        let address = Ipv4Addr::new(192, 0, 2, 9);
        assert_eq!(Ipv6Addr::from(Ipv4::from(address).to_mapped()), address.to_ipv6_mapped());
    }
}
