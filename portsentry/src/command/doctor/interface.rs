//! Checks an interface for XDP support.

use super::{finding::Finding, links::Link};
use crate::{config::XdpMode, kernel::forgets_programs};

/// Drivers that run XDP programs natively, from the kernel's `drivers/net` (those that implement `ndo_bpf`).
const NATIVE: [&str; 45] = [
    "atlantic",
    "bnxt_en",
    "bonding",
    "cpsw",
    "dpaa2-eth",
    "dpaa_eth",
    "ena",
    "fec",
    "fsl_dpa",
    "fsl_dpaa2_eth",
    "fsl_enetc",
    "fsl_enetc_vf",
    "fun",
    "gve",
    "hv_netvsc",
    "i40e",
    "ice",
    "icssg-prueth",
    "igb",
    "igc",
    "ionic",
    "ixgbe",
    "ixgbevf",
    "lan966x-switch",
    "mana",
    "mlx4_en",
    "mlx5_core",
    "mtk_soc_eth",
    "mvneta",
    "mvpp2",
    "netdevsim",
    "netsec",
    "nfp",
    "nicvf",
    "octeontx2-nicpf",
    "qede",
    "sfc",
    "sfc_ef100",
    "st_gmac",
    "stmmac",
    "tsnep",
    "tun",
    "veth",
    "virtio_net",
    "vmxnet3",
];
/// Drivers that reset their queues when a program is attached or detached.
const RESETTING: [&str; 14] = [
    "atlantic",
    "bnxt_en",
    "ena",
    "gve",
    "i40e",
    "ice",
    "igb",
    "igc",
    "ixgbe",
    "ixgbevf",
    "mlx4_en",
    "mlx5_core",
    "nfp",
    "qede",
];
/// Largest MTU whose frames fit in one page with the kernel's own data: 4096 bytes minus 256 of headroom, 320 of
/// `skb_shared_info`, and an Ethernet header with two VLAN tags.
const ONE_PAGE: u32 = 4096 - 256 - 320 - 22;

/// Facts besides the interface itself.
pub(super) struct Surroundings<'a> {
    /// Indices of the interfaces that run PortSentry's program.
    pub pinned: &'a [u32],
    /// Indices of those where it is generic only until the interface is configured.
    pub provisional: &'a [u32],
    /// The attach mode if probes are answered (`CHALLENGE`).
    pub answers: Option<XdpMode>,
    pub cpus: u32,
}

/// Returns the findings on `link`.
pub(super) fn findings(link: &Link, surroundings: &Surroundings<'_>) -> Vec<Finding> {
    let is_ours = link.xdp.is_some() && surroundings.pinned.contains(&link.index);
    let mut found = vec![occupant(link, is_ours, surroundings.provisional.contains(&link.index))];
    if link.is_bare {
        found.push(Finding::ok(
            &link.name,
            "its frames begin with their IP header: watched in generic mode, without CHALLENGE",
        ));
        return found;
    }
    if !link.is_ethernet {
        found.push(Finding::warning(
            &link.name,
            "its frames begin neither with an Ethernet header nor with an IP header: it can't be watched",
            "name the interfaces to watch in INTERFACES, without this one",
        ));
        return found;
    }
    found.push(mode(link));
    found.extend(answers(link, surroundings, is_ours));
    found.push(size(link));
    found.extend(offloads(link));
    found.extend(queues(link, surroundings.cpus));
    if !is_ours && runs_native(link) && RESETTING.contains(&driver(link)) {
        found.push(Finding::warning(
            &link.name,
            "attaching resets this card's queues: the link may go down for some seconds",
            "start portsentry at a quiet time; later starts replace the program in place",
        ));
    }
    found
}

fn driver(link: &Link) -> &str {
    link.driver.as_deref().or(link.kind.as_deref()).unwrap_or("unknown")
}

fn runs_native(link: &Link) -> bool {
    NATIVE.contains(&driver(link))
}

fn occupant(link: &Link, is_ours: bool, is_provisional: bool) -> Finding {
    let name = &link.name;
    match link.xdp {
        None => Finding::ok(name, "no XDP program is attached"),
        Some(running) if is_ours => {
            let mode = match running.is_native {
                true => "natively",
                false if is_provisional => {
                    "in generic mode until the interface is up and has an address, so that it can get any MTU"
                }
                false => "in generic mode",
            };
            Finding::ok(name, format!("already runs portsentry's program, {mode}"))
        }
        Some(running) => Finding::problem(
            name,
            format!("runs another XDP program (ID {})", running.program),
            format!(
                "`bpftool prog show id {}` describes it, `ip link set {name} xdp off` removes it",
                running.program
            ),
        ),
    }
}

fn mode(link: &Link) -> Finding {
    let (name, driver) = (&link.name, driver(link));
    match link.kind.as_deref() {
        _ if forgets_programs(driver) => Finding::warning(
            name,
            format!(
                "driver {driver}: runs XDP natively, but forgets the program when the link or the rings are reset; \
                    it gets generic XDP, which costs more per packet"
            ),
            "leave XDP_MODE=\"auto\", or choose \"generic\"",
        ),
        _ if runs_native(link) => Finding::ok(name, format!("driver {driver}: runs XDP natively")),
        _ if link.is_loopback => Finding::ok(name, "is the loopback interface: generic XDP"),
        Some("vlan") => Finding::warning(
            name,
            "is a VLAN on another interface: generic XDP, which costs more per packet",
            "watch the interface below it instead; VLAN tags are parsed",
        ),
        Some("bridge") => Finding::warning(
            name,
            "is a bridge: generic XDP, and only for packets that this host itself receives",
            "watch the bridge's ports instead to see all packets, in native mode if they support it",
        ),
        _ => Finding::warning(
            name,
            format!(
                "driver {driver}: not known to support native XDP; generic XDP works, and costs more per \
                    packet"
            ),
            "XDP_MODE=\"auto\" tries native mode first, and logs which mode it got",
        ),
    }
}

/// On a veth device, answers sent by XDP are lost unless the peer runs a program, too.
fn answers(link: &Link, surroundings: &Surroundings<'_>, is_ours: bool) -> Option<Finding> {
    let name = &link.name;
    let is_native = is_ours && link.xdp.is_some_and(|running| running.is_native);
    match surroundings.answers.filter(|_| driver(link) == "veth")? {
        XdpMode::Auto | XdpMode::Generic if is_native => Some(Finding::warning(
            name,
            "is one end of a veth pair with our program in native mode: answers to probes (CHALLENGE) are \
                lost unless the other end runs an XDP program",
            "reload or restart portsentry, which puts it into generic mode",
        )),
        XdpMode::Auto => Some(Finding::ok(
            name,
            "is one end of a veth pair, and CHALLENGE is on: it gets generic XDP, which loses no answers",
        )),
        XdpMode::Native => Some(Finding::warning(
            name,
            "is one end of a veth pair: answers to probes (CHALLENGE) are lost unless the other end runs \
                an XDP program",
            "attach one at the other end that passes all packets, or set XDP_MODE=\"auto\"",
        )),
        XdpMode::Generic => None,
    }
}

fn size(link: &Link) -> Finding {
    let (name, mtu) = (&link.name, link.mtu);
    if mtu <= ONE_PAGE || !runs_native(link) {
        return Finding::ok(name, format!("MTU {mtu}"));
    }
    Finding::warning(
        name,
        format!("MTU {mtu}: frames need more than one page, which not every native driver supports"),
        format!("if it attaches in generic mode, set the MTU to {ONE_PAGE} or less to get native mode"),
    )
}

fn offloads(link: &Link) -> Vec<Finding> {
    let name = &link.name;
    let Some(offloads) = link.offloads else { return Vec::new() };
    let joins = if offloads.joins {
        Finding::warning(
            name,
            "LRO is on: several drivers refuse native XDP with it",
            format!("`ethtool -K {name} lro off`"),
        )
    } else {
        Finding::ok(name, "LRO is off")
    };
    let tags = if offloads.strips_tags {
        "the card strips VLAN tags: frames are judged without them, whatever the VLAN"
    } else {
        "VLAN tags stay in the frames, and the program reads them"
    };
    vec![joins, Finding::ok(name, tags)]
}

fn queues(link: &Link, cpus: u32) -> Option<Finding> {
    let (name, queues) = (&link.name, link.queues?);
    let could = queues.most.min(cpus);
    let said = format!("{} of {} receive queues on {cpus} CPUs", queues.set, queues.most);
    // Queues of a veth pair help only if both ends have them.
    if queues.set >= could || driver(link) == "veth" {
        return Some(Finding::ok(name, said));
    }
    let remedy = format!("`ethtool -L {name} combined {could}` lets all CPUs process packets");
    Some(Finding::warning(name, said, remedy))
}

#[cfg(test)]
mod tests {
    use super::{super::finding::Level, *};
    use crate::{
        host::Running,
        kernel::{Offloads, Queues},
    };

    fn card(driver: &str) -> Link {
        Link {
            index: 2,
            name: "eth0".into(),
            is_loopback: false,
            is_ethernet: true,
            is_bare: false,
            kind: None,
            driver: Some(driver.into()),
            mtu: 1500,
            queues: Some(Queues { set: 4, most: 8 }),
            offloads: Some(Offloads { joins: false, strips_tags: true }),
            xdp: None,
        }
    }

    fn of_kind(kind: &str) -> Link {
        Link { kind: Some(kind.into()), ..card(kind) }
    }

    const SURROUNDINGS: Surroundings<'_> =
        Surroundings { pinned: &[], provisional: &[], answers: Some(XdpMode::Auto), cpus: 4 };

    /// Returns the findings that are not good.
    fn worries(link: &Link, surroundings: &Surroundings<'_>) -> Vec<(Level, String)> {
        let worries = findings(link, surroundings).into_iter().filter(|finding| finding.level != Level::Ok);
        worries.map(|finding| (finding.level, finding.what)).collect()
    }

    #[test]
    fn what_is_wrong_with_an_interface_is_told() {
        use Level::{Problem, Warning};
        let running = Some(Running { program: 7, is_native: true });
        for (link, expected) in [
            (card("virtio_net"), &[][..]),
            (card("mlx5_core"), &[(Warning, "the link may go down")]),
            (card("e1000e"), &[(Warning, "driver e1000e: not known to support native XDP")]),
            (of_kind("vlan"), &[(Warning, "is a VLAN on another interface")]),
            (of_kind("bridge"), &[(Warning, "is a bridge")]),
            (Link { mtu: 9000, ..card("virtio_net") }, &[(Warning, "MTU 9000")]),
            (Link { mtu: 65536, ..card("unknown") }, &[(Warning, "not known")]),
            (
                Link { offloads: Some(Offloads { joins: true, strips_tags: false }), ..card("virtio_net") },
                &[(Warning, "LRO is on")],
            ),
            (
                Link { queues: Some(Queues { set: 1, most: 8 }), ..card("virtio_net") },
                &[(Warning, "1 of 8 receive queues on 4 CPUs")],
            ),
            (Link { xdp: running, ..card("virtio_net") }, &[(Problem, "another XDP program (ID 7)")]),
            (Link { is_ethernet: false, ..of_kind("gre") }, &[(Warning, "neither with an Ethernet header")]),
            (Link { is_ethernet: false, is_bare: true, ..of_kind("wireguard") }, &[]),
        ] {
            let found = worries(&link, &SURROUNDINGS);
            assert_eq!(found.len(), expected.len(), "{found:?}");
            for ((level, what), (expected_level, words)) in found.iter().zip(expected) {
                assert!(level == expected_level && what.contains(words), "{what}");
            }
        }
    }

    #[test]
    fn a_program_of_ours_is_no_problem_and_resets_nothing() {
        let link = Link { xdp: Some(Running { program: 7, is_native: false }), ..card("mlx5_core") };
        let surroundings = Surroundings { pinned: &[2], ..SURROUNDINGS };
        assert_eq!(worries(&link, &surroundings), []);
        assert!(findings(&link, &surroundings)[0].what.ends_with("in generic mode"));
        let surroundings = Surroundings { provisional: &[2], ..surroundings };
        assert!(findings(&link, &surroundings)[0].what.contains("in generic mode until the interface is up"));
    }

    #[test]
    fn answers_are_lost_on_a_veth_only_where_it_must_be_native() {
        for (answers, is_lost) in [
            (None, false),
            (Some(XdpMode::Auto), false),
            (Some(XdpMode::Generic), false),
            (Some(XdpMode::Native), true),
        ] {
            let worries = worries(&of_kind("veth"), &Surroundings { answers, ..SURROUNDINGS });
            assert_eq!(worries.len(), usize::from(is_lost), "{answers:?}: {worries:?}");
        }
        for is_native in [false, true] {
            let link = Link { xdp: Some(Running { program: 7, is_native }), ..of_kind("veth") };
            let worries = worries(&link, &Surroundings { pinned: &[2], ..SURROUNDINGS });
            assert_eq!(worries.len(), usize::from(is_native), "it is attached already: {worries:?}");
        }
    }
}
