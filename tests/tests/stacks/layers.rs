//! Devices upon devices, between the host and its clients.

use std::net::{Ipv4Addr, SocketAddr};

use portsentry_tests::lab::{Lab, Probe, Reach};

use super::{SERVICE, Stack, TRAP, assert_ends, assert_held_on, between_ends, build, watching};

/// Tests, one for each stack.
macro_rules! stacks {
    ($($(#[$attribute:meta])* $name:ident: $host:expr, $clients:expr => $watched:expr;)*) => {
        $($(#[$attribute])*
        #[test]
        fn $name() {
            assert_held_on(&Stack { ends: [$host, $clients], watched: &$watched });
        })*
    };
}

const ACTIVE_BACKUP: &str = "ip link add top type bond mode active-backup miimon 100
for card in c0 c1; do ip link set $card down; ip link set $card master top; done";
const LACP: &str = "ip link add top type bond mode 802.3ad miimon 100 lacp_rate fast
for card in c0 c1; do ip link set $card down; ip link set $card master top; done";
const TEAM: &str = "ip link add top type team
teamnl top setoption mode roundrobin
for card in c0 c1; do ip link set $card down; ip link set $card master top; ip link set $card up; done";
const VLAN_ON_BOND: &str = "ip link add bond0 type bond mode active-backup miimon 100
for card in c0 c1; do ip link set $card down; ip link set $card master bond0; done
ip link set bond0 up
ip link add link bond0 name top type vlan id 7";
const QINQ: &str = "ip link add link c0 name outer type vlan protocol 802.1ad id 100
ip link set outer up
ip link add link outer name top type vlan id 7";
const VLAN: &str = "ip link add link c0 name top type vlan id 7";
const FILTERING_BRIDGE: &str = "ip link add br0 type bridge vlan_filtering 1 mcast_snooping 0
ip link set br0 up
ip link set c0 master br0
bridge vlan add dev c0 vid 7
bridge vlan add dev br0 vid 7 self
ip link add link br0 name top type vlan id 7";
const MACVLAN: &str = "ip link add link c0 name top type macvlan mode bridge";
const VRF: &str = "ip link add red type vrf table 10
ip link set red up
ip link set c0 down
ip link set c0 name top master red
ip link set top up
# For datagrams of sockets outside the VRF.
ip route add 203.0.113.0/24 dev top
sysctl -qw net.ipv4.tcp_l3mdev_accept=1 net.ipv4.udp_l3mdev_accept=1";
const CABLE: &str = "ip link set c0 down; ip link set c0 name top";
const WIREGUARD: [&str; 2] = [
    "ip address add 198.51.100.1/24 dev c0
ip link add top type wireguard
echo AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE= >/tmp/wireguard-a
other=$(echo AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAI= | wg pubkey)
wg set top private-key /tmp/wireguard-a listen-port 51820 \
    peer $other endpoint 198.51.100.2:51820 allowed-ips 203.0.113.0/24",
    "ip address add 198.51.100.2/24 dev c0
ip link add top type wireguard
echo AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAI= >/tmp/wireguard-b
other=$(echo AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE= | wg pubkey)
wg set top private-key /tmp/wireguard-b listen-port 51820 \
    peer $other endpoint 198.51.100.1:51820 allowed-ips 203.0.113.0/24",
];
const VXLAN: [&str; 2] = [
    "ip address add 198.51.100.1/24 dev c0
ip link add top type vxlan id 42 dstport 4789 local 198.51.100.1 remote 198.51.100.2 dev c0",
    "ip address add 198.51.100.2/24 dev c0
ip link add top type vxlan id 42 dstport 4789 local 198.51.100.2 remote 198.51.100.1 dev c0",
];
/// The client's packets are encrypted between the two addresses; the scanner has no key.
const TRANSPORT: [&str; 2] = [
    "ip link set c0 down; ip link set c0 name top
key='aead rfc4106(gcm(aes)) 0x000102030405060708090a0b0c0d0e0f10111213 128'
ip xfrm state add src 203.0.113.1 dst 203.0.113.2 proto esp spi 1 mode transport $key
ip xfrm state add src 203.0.113.2 dst 203.0.113.1 proto esp spi 2 mode transport $key
ip xfrm policy add src 203.0.113.1 dst 203.0.113.2 dir out tmpl proto esp mode transport
ip xfrm policy add src 203.0.113.2 dst 203.0.113.1 dir in tmpl proto esp mode transport",
    "ip link set c0 down; ip link set c0 name top
key='aead rfc4106(gcm(aes)) 0x000102030405060708090a0b0c0d0e0f10111213 128'
ip xfrm state add src 203.0.113.1 dst 203.0.113.2 proto esp spi 1 mode transport $key
ip xfrm state add src 203.0.113.2 dst 203.0.113.1 proto esp spi 2 mode transport $key
ip xfrm policy add src 203.0.113.2 dst 203.0.113.1 dir out tmpl proto esp mode transport
ip xfrm policy add src 203.0.113.1 dst 203.0.113.2 dir in tmpl proto esp mode transport",
];
/// The client's packets go through the tunnel, and leave it on an interface of its own; the scanner's don't.
const TUNNEL: [&str; 2] = [
    "ip address add 198.51.100.1/24 dev c0
ip link add top type xfrm dev c0 if_id 42
key='aead rfc4106(gcm(aes)) 0x000102030405060708090a0b0c0d0e0f10111213 128'
ip xfrm state add src 198.51.100.1 dst 198.51.100.2 proto esp spi 1 mode tunnel if_id 42 $key
ip xfrm state add src 198.51.100.2 dst 198.51.100.1 proto esp spi 2 mode tunnel if_id 42 $key
ip xfrm policy add dir out if_id 42 tmpl src 198.51.100.1 dst 198.51.100.2 proto esp mode tunnel
ip xfrm policy add dir in if_id 42 tmpl src 198.51.100.2 dst 198.51.100.1 proto esp mode tunnel",
    "ip address add 198.51.100.2/24 dev c0
ip address add 198.51.100.3/24 dev c0
ip link add top type xfrm dev c0 if_id 42
key='aead rfc4106(gcm(aes)) 0x000102030405060708090a0b0c0d0e0f10111213 128'
ip xfrm state add src 198.51.100.1 dst 198.51.100.2 proto esp spi 1 mode tunnel if_id 42 $key
ip xfrm state add src 198.51.100.2 dst 198.51.100.1 proto esp spi 2 mode tunnel if_id 42 $key
ip xfrm policy add dir out if_id 42 tmpl src 198.51.100.2 dst 198.51.100.1 proto esp mode tunnel
ip xfrm policy add dir in if_id 42 tmpl src 198.51.100.1 dst 198.51.100.2 proto esp mode tunnel",
];

stacks! {
    #[ignore = "needs bonding: `cargo xtask vm --flavour amd64` runs it"]
    bond_active_backup: ACTIVE_BACKUP, ACTIVE_BACKUP => ["top"];
    #[ignore = "needs bonding: `cargo xtask vm --flavour amd64` runs it"]
    bond_802_3ad: LACP, LACP => ["top"];
    #[ignore = "needs team: `cargo xtask vm --flavour amd64` runs it"]
    team: TEAM, TEAM => ["top"];
    #[ignore = "needs bonding and 802.1Q: `cargo xtask vm --flavour amd64` runs it"]
    vlan_on_a_bond: VLAN_ON_BOND, VLAN_ON_BOND => ["bond0"];
    #[ignore = "needs 802.1Q: `cargo xtask vm --flavour amd64` runs it"]
    qinq: QINQ, QINQ => ["c0"];
    #[ignore = "needs 802.1Q: `cargo xtask vm --flavour amd64` runs it"]
    bridge_with_vlan_filtering: FILTERING_BRIDGE, VLAN => ["br0"];
    macvlan: MACVLAN, CABLE => ["c0"];
    #[ignore = "needs VRFs: `cargo xtask vm --flavour amd64` runs it"]
    vrf: VRF, CABLE => ["top"];
    #[ignore = "needs WireGuard: `cargo xtask vm --flavour amd64` runs it"]
    wireguard: WIREGUARD[0], WIREGUARD[1] => ["c0", "top"];
    vxlan: VXLAN[0], VXLAN[1] => ["c0", "top"];
    #[ignore = "needs ESP: `cargo xtask vm --flavour amd64` runs it"]
    ipsec_transport: TRANSPORT[0], TRANSPORT[1] => ["top"];
}

/// Packets inside the tunnel aren't judged: its interface is left out. Those outside are.
#[ignore = "needs ESP: `cargo xtask vm --flavour amd64` runs it"]
#[test]
fn ipsec_tunnel() {
    let lab = Lab::new();
    build(&lab, &Stack { ends: TUNNEL, watched: &[] });
    let daemon = watching(&lab).start();
    daemon.log().wait_for("top: not watched: an IPsec interface, whose packets can't be read there");
    let way = between_ends(&lab);
    let service = lab.serve_tcp(SERVICE);
    let serves = |reach| service.answers_at(way.clients, way.client, way.at, reach);
    daemon.wait_until("the client is served", || serves(Reach::AtOnce));
    let [host, scanner] = [1, 3].map(|last| Ipv4Addr::new(198, 51, 100, last).into());
    daemon.wait_until("the scanner is blocked", || {
        let _probe = Probe::tcp(&lab.scanner, scanner, SocketAddr::new(host, TRAP));
        daemon.blocked() == [scanner]
    });
    assert!(serves(Reach::Expected) && daemon.fenced().is_empty());
    assert_ends(daemon);
    assert!(serves(Reach::Expected));
}
