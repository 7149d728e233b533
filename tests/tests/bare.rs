//! Interfaces whose frames begin with their IP header.

use std::{
    fs::{File, OpenOptions},
    io::Write,
    net::{IpAddr, SocketAddr},
    os::fd::AsRawFd,
};

use portsentry_tests::{
    frames::{Packet, SYN, tcp},
    lab::{Lab, Namespace},
};

/// `struct ifreq` for `TUNSETIFF` (`include/uapi/linux/if_tun.h` in the kernel).
#[repr(C)]
struct Request {
    name: [u8; 16],
    flags: u16,
    rest: [u8; 22],
}

nix::ioctl_write_ptr_bad!(set_interface, 0x4004_54ca, Request);
// `TUNSETLINK`.
nix::ioctl_write_int_bad!(set_type, 0x4004_54cd);

/// Returns the far end of a tun interface. Data written to it arrives on the interface.
fn tun(namespace: &Namespace, name: &str) -> File {
    /// `IFF_TUN | IFF_NO_PI`.
    const WITHOUT_HEADER: u16 = 0x0001 | 0x1000;
    namespace.enter(|| {
        let tun = OpenOptions::new().read(true).write(true).open("/dev/net/tun").expect("/dev/net/tun");
        let mut request = Request { name: [0; 16], flags: WITHOUT_HEADER, rest: [0; 22] };
        request.name[..name.len()].copy_from_slice(name.as_bytes());
        // SAFETY: the request has the kernel's layout, and outlives the call.
        unsafe { set_interface(tun.as_raw_fd(), &raw const request) }.expect("a tun interface");
        tun
    })
}

fn packet(source: &str, to: &str) -> Packet {
    tcp(SYN).from(&format!("{source}:40000")).to(to)
}

fn send(mut tun: &File, packet: &Packet) {
    // Without the Ethernet header.
    tun.write_all(&packet.frame(0)[14..]).expect("a packet is taken");
}

#[test]
fn a_tun_interface_is_watched() {
    let lab = Lab::new();
    let tun = tun(&lab.host, "tun0");
    lab.host.ip(
        "address add 198.51.100.1/24 dev tun0\naddress add 2001:db8:7::1/64 dev tun0 nodad\nlink set tun0 up",
    );
    let daemon = lab.portsentry("-stcp").with("INTERFACES", "eth0,tun0").start();
    assert!(lab.host.run("ip", &["link", "show", "tun0"]).contains("xdpgeneric"));
    for (source, probed, closed) in [
        ("198.51.100.77", "198.51.100.1:11", "198.51.100.1:81"),
        ("[2001:db8:7::77]", "[2001:db8:7::1]:11", "[2001:db8:7::1]:81"),
    ] {
        let address: IpAddr = source.trim_matches(['[', ']']).parse().expect("an address");
        send(&tun, &packet(source, closed));
        assert_eq!(daemon.lines_about(address), [""; 0], "an unwatched port");
        send(&tun, &packet(source, probed));
        let port = probed.parse::<SocketAddr>().expect("an end").port();
        let line =
            format!("attackalert: TCP SYN/Normal scan from host: {address}/{address} to TCP port: {port}");
        assert_eq!(daemon.lines_about(address), [line]);
        assert!(daemon.blocked().contains(&address));
        let dropped = daemon.counter("dropped");
        send(&tun, &packet(source, closed));
        daemon.settle();
        assert_eq!(daemon.counter("dropped"), dropped + 1, "nothing of {address} passes");
    }
}

#[test]
fn an_interface_of_unknown_frames_is_refused_by_name() {
    let lab = Lab::new();
    // A tun interface can take any link type.
    let tun = tun(&lab.host, "gre1");
    // SAFETY: the command takes a number.
    unsafe { set_type(tun.as_raw_fd(), 778) }.expect("a type is set");
    lab.host.ip("link set gre1 up");
    let ended = lab.portsentry("-stcp").with("INTERFACES", "gre1").fail();
    let said = ended.lines.join("\n");
    assert!(said.contains("interface gre1: its frames (type 778"), "{said}");
}
