use super::*;

/// Returns the interfaces in `text`, each as `index name kind`. `<3` gives its master, `/3` the interface below it
/// in this namespace, `/@` one below it in another, `^3` the carrier of a PPPoE session, and `+` an address.
fn links(text: &str) -> BTreeMap<u32, Link> {
    let read = |line: &str| {
        let mut words = line.split_whitespace();
        let mut link = Link { index: words.next().unwrap().parse().unwrap(), ..Link::default() };
        link.name = words.next().unwrap().into();
        link.is_loopback = link.is_called("lo");
        for word in words {
            match word.split_at(1) {
                ("<", master) => link.master = Some(master.parse().unwrap()),
                ("/", "@") => (link.lower, link.is_lower_elsewhere) = (Some(2), true),
                ("/", lower) => link.lower = Some(lower.parse().unwrap()),
                ("^", carrier) => link.carriers.push(carrier.parse().unwrap()),
                ("+", _) => link.is_addressed = true,
                ("=", other) => link.alternatives.push(other.into()),
                _ => link.kind = Some(word.into()),
            }
        }
        (link.index, link)
    };
    text.lines().map(str::trim).filter(|line| !line.is_empty()).map(read).collect()
}

fn watched(wanted: &Interfaces, links: &BTreeMap<u32, Link>) -> Vec<String> {
    let chosen = choose(wanted, links);
    links.iter().filter(|(index, _)| chosen[index].is_ok()).map(|(_, link)| link.name.to_string()).collect()
}

#[test]
fn each_frame_from_outside_is_judged_once() {
    for (what, machine, expected) in [
        ("a server", "1 lo +\n 2 eth0 +", &["eth0"][..]),
        (
            "a bond created before its cards, and a VLAN on it",
            "1 lo\n 2 bond0 bond\n 3 eno1 <2\n 4 eno2 <2\n 5 bond0.7 vlan /2 +",
            &["bond0"],
        ),
        ("a team", "2 eno1 <4\n 3 eno2 <4\n 4 team0 team +", &["team0"]),
        ("a virtual function below Hyper-V's card, which has no kind", "2 eth0 +\n 3 eth1 <2", &["eth0"]),
        ("a card beside a bond", "2 bond0 bond +\n 3 eno1 <2\n 4 eno3", &["bond0", "eno3"]),
        ("a VLAN on a card", "2 eth0\n 3 eth0.7 vlan /2 +", &["eth0"]),
        ("a VLAN on a VLAN", "2 eth0\n 3 eth0.7 vlan /2\n 4 eth0.7.9 vlan /3 +", &["eth0"]),
        ("a macvlan and an ipvlan", "2 eth0 +\n 3 m0 macvlan /2 +\n 4 i0 ipvlan /2 +", &["eth0"]),
        ("a container with a macvlan", "1 lo\n 5 eth0 macvlan /@ +", &["eth0"]),
        ("a container with a VLAN of its host", "5 eth0 vlan /@ +", &["eth0"]),
        ("a container with a virtual cable", "1 lo\n 2 eth0 veth /@ +", &["eth0"]),
        ("such a one with a VLAN on it", "2 eth0 veth /@\n 3 eth0.7 vlan /2 +", &["eth0"]),
        ("two ends in one namespace", "2 a veth /3\n 3 b veth /2", &["a", "b"]),
        (
            "a host of containers",
            "2 eth0 +\n 3 docker0 bridge +\n 4 veth1 veth <3 /@\n 5 cali1 veth /@",
            &["eth0", "docker0"],
        ),
        ("the same without any", "2 eth0 +\n 3 docker0 bridge +", &["eth0"]),
        (
            "a host of virtual machines",
            "2 eno1 <3\n 3 vmbr0 bridge +\n 4 tap1 tun <3\n 5 tun0 tun +",
            &["eno1"],
        ),
        ("a bridge on a VLAN", "2 eth0 +\n 3 eth0.7 vlan <4 /2\n 4 br7 bridge +", &["eth0"]),
        ("a VLAN on a bridge", "2 eth0 <3\n 3 br0 bridge\n 4 br0.7 vlan /3 +", &["eth0"]),
        ("a VLAN on a bridge of containers", "2 v veth <3 /@\n 3 br0 bridge\n 4 br0.7 vlan /3 +", &["br0"]),
        ("a bridge of a bond", "2 eno1 <3\n 3 bond0 bond <4\n 4 br0 bridge +", &["bond0"]),
        ("IPsec", "2 eth0\n 3 ipsec0 xfrm", &["eth0"]),
        ("a VRF", "2 eth0 <3 +\n 3 blue vrf\n 4 eth1 +", &["eth0", "eth1"]),
        (
            "Open vSwitch",
            "2 eno1 <3\n 3 ovs-system openvswitch\n 4 br-ex openvswitch +\n 5 v veth <3 /@",
            &["eno1"],
        ),
        (
            "tunnels, whose packets arrive on other interfaces",
            "2 eth0 +\n 3 wg0 wireguard +\n 4 ppp0 ppp +\n 5 vxlan1 vxlan /2 +\n 6 gre1 gre /2 +\n 7 ib0 ipoib",
            &["eth0", "wg0", "ppp0", "vxlan1", "gre1", "ib0"],
        ),
        ("a PPPoE uplink, with sessions read on the card", "2 eth0\n 3 ppp0 ppp ^2 +", &["eth0"]),
        (
            "one on a VLAN, and one on a card in another bond",
            "2 eth0\n 3 eth0.7 vlan /2\n 4 bond0 bond\n 5 eth1 <4\n 6 ppp0 ppp ^3 ^5\n 7 ppp1 ppp ^3 ^5",
            &["eth0", "bond0"],
        ),
        ("one whose card nobody watches", "2 tap0 tun\n 3 eth0\n 4 ppp0 ppp ^2 ^3", &["eth0", "ppp0"]),
        ("a dummy", "2 eth0 +\n 3 dummy0 dummy +", &["eth0", "dummy0"]),
    ] {
        assert_eq!(watched(&Interfaces::AllButLoopback, &links(machine)), expected, "{what}");
    }
}

#[test]
fn named_interfaces_are_watched_whatever_they_are() {
    let machine = links("1 lo\n 2 bond0 bond =uplink\n 3 eno1 <2 =enp3s0\n 4 tap0 tun\n 5 br0 bridge");
    for (names, expected, lacking) in [
        (&["eno1", "tap0", "br0"][..], &["eno1", "tap0", "br0"][..], &[][..]),
        (&["uplink"], &["bond0"], &[]),
        (&["enp3s0", "eno1"], &["eno1"], &[]),
        (&["lo", "eth7", "a"], &["lo"], &["eth7", "a"]),
    ] {
        let wanted = Interfaces::Named(names.iter().map(|name| (*name).to_owned()).collect());
        assert_eq!(watched(&wanted, &machine), expected);
        assert_eq!(missing(&wanted, &machine).collect::<Vec<_>>(), lacking);
    }
    assert_eq!(watched(&Interfaces::All, &links("1 lo\n 2 eth0")), ["lo", "eth0"]);
    assert_eq!(missing(&Interfaces::All, &machine).count(), 0);
}

#[test]
fn what_lies_above_itself_ends() {
    let machine = links("2 a macvlan /3\n 3 b macvlan /2\n 4 c bridge <4");
    assert_eq!(choose(&Interfaces::All, &machine).len(), 3);
}

#[test]
fn reasons_name_what_is_watched_instead() {
    let machine = links("1 lo\n 2 bond0 bond\n 3 eno1 <2\n 4 v vlan /2\n 5 br0 bridge\n 6 v1 vlan <5 /2");
    let chosen = choose(&Interfaces::AllButLoopback, &machine);
    let said = |index: u32| chosen[&index].as_ref().map_err(ToString::to_string).unwrap_err().clone();
    for (index, expected) in [
        (1, "INTERFACES leaves it out"),
        (3, "a member of bond0, which is watched"),
        (4, "its frames are judged at bond0, below it"),
        (5, "its frames are judged at its ports, as v1"),
    ] {
        assert_eq!(said(index), expected);
    }
}
