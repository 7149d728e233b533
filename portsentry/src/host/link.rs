//! Network interfaces, as the kernel lists them.

use std::{fmt, str};

use nix::libc;

use crate::netlink::{Message, attribute, attributes, u16_at, u32_at};

/// Bytes of `struct ifinfomsg`: family, type, index, flags, change.
/// `IFF_LOWER_UP` (`include/uapi/linux/if.h` in the kernel).
const LOWER_UP: u32 = 1 << 16;
const HEADER: usize = 16;
/// Attributes within `IFLA_XDP` (`include/uapi/linux/if_link.h`), and the value of `IFLA_XDP_ATTACHED` for generic mode.
const IFLA_XDP_ATTACHED: u16 = 2;
const IFLA_XDP_PROG_ID: u16 = 4;
const XDP_ATTACHED_SKB: u8 = 2;

/// An interface's name: nearly any bytes (`dev_valid_name`), not necessarily UTF-8.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Vec<u8>);

impl Name {
    /// Creates a name from an attribute's value, with or without its terminating zero.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Self {
        Self(bytes.split(|byte| *byte == 0).next().unwrap_or_default().to_vec())
    }

    /// Returns the bytes, without a terminating zero.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl From<&str> for Name {
    fn from(text: &str) -> Self {
        Self::new(text.as_bytes())
    }
}

/// The name, with bytes that aren't UTF-8 as `\xff`.
impl fmt::Display for Name {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        for chunk in self.0.utf8_chunks() {
            text.push_str(chunk.valid());
            text.extend(chunk.invalid().iter().map(|byte| format!("\\x{byte:02x}")));
        }
        formatter.pad(&text)
    }
}

/// A network interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Link {
    /// The kernel's index.
    pub index: u32,
    /// Its name.
    pub name: Name,
    /// Its alternative names (`ip link property add ... altname`).
    pub alternatives: Vec<Name>,
    /// Its kind in `ip link add type`; `None` for a card.
    pub kind: Option<String>,
    /// The bond, bridge or VRF of which it is a member.
    pub master: Option<u32>,
    /// The interface below it, or at its other end.
    pub lower: Option<u32>,
    /// The interfaces that carry `PPPoE` sessions, if this is a PPP interface and one of the sessions is its own.
    /// (The kernel doesn't report which.)
    pub carriers: Vec<u32>,
    /// Whether that interface is in another network namespace, where the index means another interface.
    pub is_lower_elsewhere: bool,
    /// The type of its hardware addresses (`ARPHRD_*`).
    pub hardware: u16,
    /// Whether it is the loopback interface.
    pub is_loopback: bool,
    /// Whether it can receive packets.
    pub state: LinkState,
    /// Whether it has an address other than link-local ones.
    pub is_addressed: bool,
    /// Largest packet in bytes, without the Ethernet header.
    pub mtu: u32,
    /// The attached XDP program.
    pub xdp: Option<Running>,
}

/// Whether an interface can receive packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LinkState {
    /// Nobody has set it up.
    #[default]
    Down,
    /// It has no carrier.
    Up,
    /// It has a carrier.
    Connected,
}

/// An attached XDP program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Running {
    /// The program's ID.
    pub program: u32,
    /// Whether it runs in the driver.
    pub is_native: bool,
}

impl Link {
    /// Reads the interface in a message; `None` if it is truncated.
    pub(super) fn read(message: Message<'_>) -> Option<Self> {
        let body = message.body;
        let flags = u32_at(body, 8)?;
        let is_set = |flag: u32| flags & flag != 0;
        let mut link = Self {
            hardware: u16_at(body, 2)?,
            index: u32_at(body, 4)?,
            is_loopback: is_set(libc::IFF_LOOPBACK.cast_unsigned()),
            state: match (is_set(libc::IFF_UP.cast_unsigned()), is_set(LOWER_UP)) {
                (false, _) => LinkState::Down,
                (true, false) => LinkState::Up,
                (true, true) => LinkState::Connected,
            },
            ..Self::default()
        };
        for (kind, value) in attributes(body.get(HEADER..)?) {
            match kind {
                libc::IFLA_IFNAME => link.name = Name::new(value),
                libc::IFLA_MTU => link.mtu = u32_at(value, 0).unwrap_or_default(),
                libc::IFLA_MASTER => link.master = u32_at(value, 0),
                // An interface with its own index here has no lower interface.
                libc::IFLA_LINK => {
                    link.lower = u32_at(value, 0).filter(|lower| ![0, link.index].contains(lower));
                }
                libc::IFLA_LINK_NETNSID => link.is_lower_elsewhere = true,
                libc::IFLA_PROP_LIST => {
                    let names = attributes(value).filter(|(kind, _)| *kind == libc::IFLA_ALT_IFNAME);
                    link.alternatives = names.map(|(_, name)| Name::new(name)).collect();
                }
                libc::IFLA_LINKINFO => {
                    link.kind = attribute(value, libc::IFLA_INFO_KIND).and_then(text);
                }
                libc::IFLA_XDP => link.xdp = running(value),
                _ => {}
            }
        }
        Some(link)
    }

    /// Whether this is its name, or an alternative name.
    #[must_use]
    pub fn is_called(&self, name: &str) -> bool {
        std::iter::once(&self.name).chain(&self.alternatives).any(|own| own.bytes() == name.as_bytes())
    }

    /// Whether it is of this kind.
    #[must_use]
    pub fn is(&self, kind: &str) -> bool {
        self.kind.as_deref() == Some(kind)
    }
}

fn text(bytes: &[u8]) -> Option<String> {
    str::from_utf8(bytes).ok().map(|text| text.trim_end_matches('\0').to_owned())
}

fn running(xdp: &[u8]) -> Option<Running> {
    let program = attribute(xdp, IFLA_XDP_PROG_ID).and_then(|value| u32_at(value, 0))?;
    let is_native = attribute(xdp, IFLA_XDP_ATTACHED) != Some(&[XDP_ATTACHED_SKB]);
    Some(Running { program, is_native })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlink::written;

    #[test]
    fn an_interface_is_read_from_its_message() {
        let mut body = vec![0, 0, 1, 0];
        body.extend(7_u32.to_ne_bytes());
        body.extend(0x1_0001_u32.to_ne_bytes());
        body.extend([0; 4]);
        for (kind, value) in [
            (libc::IFLA_IFNAME, b"eth\xff\0".to_vec()),
            (libc::IFLA_MTU, 1500_u32.to_ne_bytes().to_vec()),
            (libc::IFLA_MASTER, 3_u32.to_ne_bytes().to_vec()),
            (libc::IFLA_LINK, 7_u32.to_ne_bytes().to_vec()),
            (libc::IFLA_LINKINFO, written(libc::IFLA_INFO_KIND, b"veth\0")),
            (libc::IFLA_PROP_LIST, written(libc::IFLA_ALT_IFNAME, b"enp3s0\0")),
            (libc::IFLA_XDP, [written(2, &[2]), written(4, &9_u32.to_ne_bytes())].concat()),
        ] {
            body.extend(written(kind, &value));
        }
        let link = Link::read(Message { kind: 16, flags: 0, body: &body }).unwrap();
        let expected = Link {
            index: 7,
            name: Name::new(b"eth\xff"),
            alternatives: vec!["enp3s0".into()],
            kind: Some("veth".into()),
            master: Some(3),
            state: LinkState::Connected,
            hardware: 1,
            mtu: 1500,
            xdp: Some(Running { program: 9, is_native: false }),
            ..Link::default()
        };
        assert_eq!(link, expected);
        assert!(link.is_called("enp3s0") && !link.is_called("eth"));
        assert_eq!(format!("{:8}|", link.name), "eth\\xff |");
        assert!(Link::read(Message { kind: 16, flags: 0, body: &body[..9] }).is_none());
    }
}
