//! PPPoE sessions, watched on the PPP interface and on the card below it. Requires a kernel with PPPoE, which
//! `cargo xtask vm --flavour amd64` boots.

use std::{
    fs::{File, OpenOptions},
    io,
    net::{IpAddr, SocketAddr},
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
};

use portsentry_common::classify::Protocol;
use portsentry_tests::lab::{DeviceBound, INTERFACE, Lab, Namespace, Probe};

/// The addresses of both ends of the session.
const HOST: [u8; 4] = [203, 0, 113, 1];
const SCANNER: [u8; 4] = [203, 0, 113, 2];

/// `struct sockaddr_pppox` (`include/uapi/linux/if_pppox.h` in the kernel).
#[repr(C, packed)]
struct Address {
    family: u16,
    protocol: u32,
    session: [u8; 2],
    remote: [u8; 6],
    device: [u8; 16],
}

// `PPPIOCGCHAN`, `PPPIOCATTCHAN`, `PPPIOCNEWUNIT` and `PPPIOCCONNECT` of `include/uapi/linux/ppp-ioctl.h`.
nix::ioctl_read_bad!(channel_of, 0x8004_7437, i32);
nix::ioctl_write_ptr_bad!(attach_channel, 0x4004_7438, i32);
nix::ioctl_readwrite_bad!(new_unit, 0xc004_743e, i32);
nix::ioctl_write_ptr_bad!(connect_channel, 0x4004_743a, i32);

/// One end of a PPPoE session without negotiation: `ppp0` over the namespace's card. Ends when dropped.
struct Session {
    _link: OwnedFd,
    _channel: File,
    _unit: File,
}

impl Session {
    fn open(namespace: &Namespace, remote: [u8; 6]) -> Self {
        namespace.enter(|| Self::open_here(remote)).expect("a PPPoE session")
    }

    fn open_here(remote: [u8; 6]) -> io::Result<Self> {
        const PPPOX: i32 = 24;
        let mut device = [0; 16];
        device[..INTERFACE.len()].copy_from_slice(INTERFACE.as_bytes());
        let address = Address { family: 24, protocol: 0, session: [0, 1], remote, device };
        // SAFETY: a system call without pointers.
        let session = unsafe { nix::libc::socket(PPPOX, nix::libc::SOCK_STREAM, 0) };
        if session < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor is new, and has no other owner.
        let session = unsafe { OwnedFd::from_raw_fd(session) };
        let length = u32::try_from(size_of::<Address>()).expect("30 bytes");
        // SAFETY: the address has the kernel's layout, and outlives the call.
        if unsafe { nix::libc::connect(session.as_raw_fd(), (&raw const address).cast(), length) } < 0 {
            return Err(io::Error::last_os_error());
        }
        let open = || OpenOptions::new().read(true).write(true).open("/dev/ppp");
        let (channel, unit) = (open()?, open()?);
        let (mut index, mut number) = (0, -1);
        // SAFETY: the call writes an int, which outlives it.
        unsafe { channel_of(session.as_raw_fd(), &raw mut index) }?;
        // SAFETY: the call reads an int, which outlives it.
        unsafe { attach_channel(channel.as_raw_fd(), &raw const index) }?;
        // SAFETY: the call writes an int, which outlives it.
        unsafe { new_unit(unit.as_raw_fd(), &raw mut number) }?;
        // SAFETY: the call reads an int, which outlives it.
        unsafe { connect_channel(channel.as_raw_fd(), &raw const number) }?;
        Ok(Self { _link: session, _channel: channel, _unit: unit })
    }
}

/// Returns the hardware address of a namespace's card.
fn card(namespace: &Namespace) -> [u8; 6] {
    let shown = namespace.run("ip", &["-json", "link", "show", INTERFACE]);
    let shown: serde_json::Value = serde_json::from_str(&shown).expect("JSON");
    let octets = shown[0]["address"].as_str().expect("an address").split(':');
    let octets: Vec<u8> = octets.map(|octet| u8::from_str_radix(octet, 16).expect("an octet")).collect();
    octets.try_into().expect("six octets")
}

/// Connects host and scanner by a session.
fn connected(lab: &Lab) -> [Session; 2] {
    let ends = [(&lab.host, &lab.scanner, HOST, SCANNER), (&lab.scanner, &lab.host, SCANNER, HOST)];
    ends.map(|(near, far, own, peer)| {
        let session = Session::open(near, card(far));
        let [own, peer] = [own, peer].map(IpAddr::from);
        near.ip(&format!("address add {own} peer {peer} dev ppp0\nlink set ppp0 mtu 1492 up"));
        session
    })
}

fn assert_a_probe_blocks_at(interface: &str) {
    let lab = Lab::new();
    let _sessions = connected(&lab);
    let daemon = lab.portsentry("-stcp").with("INTERFACES", interface).start();
    daemon.wait_until("a probe by the session counts", || {
        let _probe = Probe::tcp(&lab.scanner, SCANNER.into(), SocketAddr::new(HOST.into(), 11));
        daemon.blocked().contains(&SCANNER.into())
    });
    daemon.wait_until("what it sends is dropped", || {
        let _probe = Probe::tcp(&lab.scanner, SCANNER.into(), SocketAddr::new(HOST.into(), 11));
        daemon.counter("dropped") > 0
    });
    let errors: Vec<String> =
        daemon.log().lines().into_iter().filter(|line| line.contains("ERROR")).collect();
    assert!(errors.is_empty(), "{errors:?}");
}

#[ignore = "needs PPPoE: `cargo xtask vm --flavour amd64 --run=\"--ignored pppoe::\"` runs it"]
#[test]
fn a_ppp_interface_is_watched() {
    assert_a_probe_blocks_at("ppp0");
}

#[ignore = "needs PPPoE: `cargo xtask vm --flavour amd64 --run=\"--ignored pppoe::\"` runs it"]
#[test]
fn a_session_is_read_at_the_card_below_it() {
    assert_a_probe_blocks_at(INTERFACE);
}

#[ignore = "needs PPPoE: `cargo xtask vm --flavour amd64 --run=\"--ignored pppoe::\"` runs it"]
#[test]
fn of_all_interfaces_the_card_alone_is_watched() {
    let lab = Lab::new();
    let _sessions = connected(&lab);
    // A service bound to the session's interface also counts on the card.
    let _service = DeviceBound::start(&lab.host, "ppp0", Protocol::Tcp, 143);
    let daemon = lab.portsentry("-stcp").with("INTERFACES", "ALL_NLO").start();
    daemon
        .log()
        .wait_for(&format!("adminalert: ppp0: not watched: its frames are judged at {INTERFACE}, below it"));
    let runs_program = |interface| lab.host.run("ip", &["link", "show", interface]).contains("xdp");
    assert!(runs_program(INTERFACE) && !runs_program("ppp0"));
    let _probe = Probe::tcp(&lab.scanner, SCANNER.into(), SocketAddr::new(HOST.into(), 143));
    assert_eq!(daemon.lines_about(SCANNER.into()), [""; 0]);
    daemon.wait_until("a probe by the session counts", || {
        let _probe = Probe::tcp(&lab.scanner, SCANNER.into(), SocketAddr::new(HOST.into(), 11));
        daemon.blocked().contains(&SCANNER.into())
    });
    let told = "scan from host: 203.0.113.2/203.0.113.2 to TCP port: 11";
    daemon.log().wait_for(told);
    assert_eq!(daemon.log().count(told), 1);
}
