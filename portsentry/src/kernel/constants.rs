//! Reads the constant fields of the network stack's own SYN-ACKs, so that the program's answers have the same
//! values.

use std::{fs, path::Path, str::FromStr};

use aya::maps::{Array, MapData};
use portsentry_common::challenge::{Constants, NEAR_INTERFACES, NearConstants};

use super::Error;

/// Length of an IPv4 and an IPv6 header, and of TCP's, in bytes.
const HEADERS: [u32; 3] = [20, 40, 20];
/// Default size of a receive buffer, used if the setting can't be read (`net.ipv4.tcp_rmem`).
const BUFFER: u32 = 131_072;
/// Linux's default time to live and hop limit.
const HOPS: u8 = 64;

/// The name of the map that programs ask first.
pub(super) const NEAR: &str = "ANSWERS_NEAR";

/// Writes an interface's values to the map that programs ask first. There they replace those of another interface whose
/// slot is the same.
pub(super) fn write_near(
    map: &mut Array<&mut MapData, [u8; size_of::<NearConstants>()]>,
    interface: u32,
    constants: Constants,
) -> Result<(), Error> {
    let slots = u32::try_from(NEAR_INTERFACES).unwrap_or(u32::MAX);
    let near = NearConstants { interface, constants };
    map.set(interface % slots, bytemuck::cast::<_, [u8; 16]>(near), 0).map_err(Error::map(NEAR))
}

/// Returns the values for answers through an interface with this MTU in bytes.
pub(super) fn constants(mtu: u32) -> Constants {
    let buffer = second("/proc/sys/net/ipv4/tcp_rmem").unwrap_or(BUFFER);
    let hops = |path: &str| first(path).filter(|hops| *hops != 0).unwrap_or(HOPS);
    let [ttl, hop_limit] =
        ["/proc/sys/net/ipv4/ip_default_ttl", "/proc/sys/net/ipv6/conf/all/hop_limit"].map(hops);
    of(mtu, buffer, ttl, hop_limit)
}

fn of(mtu: u32, buffer: u32, ttl: u8, hop_limit: u8) -> Constants {
    let [v4, v6, tcp] = HEADERS;
    let size = |header: u32| u16::try_from(mtu.saturating_sub(header + tcp)).unwrap_or(u16::MAX).max(1);
    let [mss_v4, mss_v6] = [v4, v6].map(size);
    let [window_v4, window_v6] = [mss_v4, mss_v6].map(|mss| window(buffer, mss));
    Constants { window_v4, mss_v4, window_v6, mss_v6, ttl, hop_limit, reserved: [0; 2] }
}

/// Returns the window that Linux offers without window scaling (`tcp_select_initial_window`): half the buffer, in
/// whole segments.
fn window(buffer: u32, mss: u16) -> u16 {
    let mss = u32::from(mss);
    u16::try_from(buffer / 2 / mss * mss).unwrap_or(u16::MAX)
}

fn first<T: FromStr>(path: impl AsRef<Path>) -> Option<T> {
    fs::read_to_string(path).ok()?.split_whitespace().next()?.parse().ok()
}

fn second(path: &str) -> Option<u32> {
    fs::read_to_string(path).ok()?.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_those_that_linux_was_seen_to_offer() {
        for (mtu, buffer, expected) in [
            (1500, 131_072, (1460, 64_240, 1440, 64_800)),
            (1500, 87_380, (1460, 42_340, 1440, 43_200)),
            (1500, 262_144, (1460, 65_535, 1440, 65_535)),
            (9000, 131_072, (8960, 62_720, 8940, 62_580)),
            (0, 131_072, (1, 65_535, 1, 65_535)),
        ] {
            let found = of(mtu, buffer, 64, 64);
            assert_eq!(
                (found.mss_v4, found.window_v4, found.mss_v6, found.window_v6),
                expected,
                "{mtu} {buffer}"
            );
        }
    }
}
