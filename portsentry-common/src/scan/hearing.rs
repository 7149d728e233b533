//! The record of an address's answers, in one word of a table.

use super::{
    contacts::{Hearing, SILENT_SECONDS},
    mix,
};
use crate::address::Address;

/// Number of places for addresses.
pub const ADDRESSES: usize = 1 << 16;
/// Number of places for networks.
pub const NETWORKS: usize = 1 << 12;
/// Time for which an answer counts, in seconds: a day.
const DAY: u32 = 86_400;

/// Returns a hash of a destination under a secret `key`.
#[inline(always)]
#[must_use]
pub fn destination<A: Address>(address: A, port: u16, key: u64) -> u64 {
    let [high, low] = address.to_mapped().halves();
    mix(mix(high ^ key) ^ low ^ u64::from(port).rotate_right(16))
}

/// Returns a hash of the network whose answers take the same way: an IPv4 /16, or an IPv6 /48.
#[inline(always)]
#[must_use]
pub fn network<A: Address>(address: A, key: u64) -> u64 {
    let [high, low] = address.to_mapped().halves().map(u64::from_be);
    let prefix = if A::VERSION == 4 { low >> 16 } else { high >> 16 };
    mix(prefix ^ key)
}

/// Returns the number of a hash's place among so many, a power of two.
#[inline(always)]
#[must_use]
#[expect(clippy::cast_possible_truncation, reason = "a part of the hash")]
pub const fn place(hash: u64, places: usize) -> usize {
    hash as usize % places
}

/// Returns whether an answer of a network counts, given the time of the last one in seconds, or 0.
#[inline(always)]
#[must_use]
pub const fn is_heard(last: u32, now: u32) -> bool {
    last != 0 && now.saturating_sub(last) < DAY
}

/// Bit of a word: the address has answered.
const ALIVE: u64 = 1;
/// Bits of the time.
const TIME: u64 = 0x7fff_ffff;

/// Returns what the word of its place shows of the destination with this hash, which is asked at `now`, and the word
/// that is to replace it, if it is another.
#[inline(always)]
#[must_use]
pub const fn ask(word: u64, hash: u64, now: u32) -> (Hearing, u64) {
    let tag = hash & TAG;
    let (since, is_alive) = (time(word), word & ALIVE != 0);
    let age = now.saturating_sub(since);
    if word & TAG == tag && word != 0 {
        if is_alive && age < DAY {
            return (Hearing::Alive, word);
        }
        if !is_alive {
            let is_silent = age >= SILENT_SECONDS;
            return (if is_silent { Hearing::Silent } else { Hearing::Unknown }, word);
        }
    } else if is_alive && age < DAY {
        // No silent address takes the place of one that answers.
        return (Hearing::Unknown, word);
    }
    (Hearing::Unknown, tag | at(now))
}

/// Returns the word of the destination with this hash, which answers at `now`.
#[inline(always)]
#[must_use]
pub const fn answer(hash: u64, now: u32) -> u64 {
    hash & TAG | at(now) | ALIVE
}

/// Bits of the hash in a word. The place is determined by others.
const TAG: u64 = 0xffff_ffff << 32;

const fn at(now: u32) -> u64 {
    (now as u64 & TIME) << 1
}

const fn time(word: u64) -> u32 {
    (word >> 1 & TIME) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::{Ipv4, Ipv6};

    const ONE: u64 = 1 << 40 | 7;
    const OTHER: u64 = 2 << 40 | 7;

    #[test]
    fn an_address_is_silent_after_a_minute_without_an_answer() {
        let (hearing, word) = ask(0, ONE, 1000);
        assert_eq!(hearing, Hearing::Unknown);
        for (now, expected) in [(1000, Hearing::Unknown), (1059, Hearing::Unknown), (1060, Hearing::Silent)] {
            assert_eq!(ask(word, ONE, now), (expected, word), "{now}");
        }
        let word = answer(ONE, 2000);
        assert_eq!(ask(word, ONE, 2000 + DAY - 1), (Hearing::Alive, word));
        let (hearing, word) = ask(word, ONE, 2000 + DAY);
        assert_eq!(hearing, Hearing::Unknown, "the answer is a day old");
        assert_eq!(ask(word, ONE, 2060 + DAY).0, Hearing::Silent);
    }

    #[test]
    fn a_silent_address_gives_way_and_an_answering_one_does_not() {
        let (_, silent) = ask(0, ONE, 1000);
        let (hearing, word) = ask(silent, OTHER, 5000);
        assert_eq!((hearing, ask(word, OTHER, 5060).0), (Hearing::Unknown, Hearing::Silent));
        assert_eq!(ask(word, ONE, 5060).0, Hearing::Unknown, "it has lost its place");
        let alive = answer(ONE, 1000);
        assert_eq!(ask(alive, OTHER, 5000), (Hearing::Unknown, alive));
        assert_eq!(ask(alive, OTHER, 1000 + DAY).1, ask(0, OTHER, 1000 + DAY).1);
    }

    #[test]
    fn a_network_is_heard_for_a_day() {
        assert!(!is_heard(0, 50) && is_heard(50, 50) && is_heard(50, 49 + DAY) && !is_heard(50, 50 + DAY));
        let v4 = |octets| network(Ipv4 { octets }, 5);
        assert_eq!(v4([192, 0, 2, 1]), v4([192, 0, 77, 9]));
        assert_ne!(v4([192, 0, 2, 1]), v4([192, 1, 2, 1]));
        let v6 = |text: &str| network(Ipv6::from(text.parse::<core::net::Ipv6Addr>().unwrap()), 5);
        assert_eq!(v6("2001:db8:1:2::3"), v6("2001:db8:1:ffff::4"));
        assert_ne!(v6("2001:db8:1::3"), v6("2001:db8:2::3"));
    }

    #[test]
    fn destinations_differ_by_address_port_and_key() {
        let address = |last| Ipv4 { octets: [192, 0, 2, last] };
        let one = destination(address(1), 0, 5);
        for other in
            [destination(address(2), 0, 5), destination(address(1), 22, 5), destination(address(1), 0, 6)]
        {
            assert_ne!(one & TAG, other & TAG);
        }
    }
}
