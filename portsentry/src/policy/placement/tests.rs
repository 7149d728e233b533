use super::*;

fn card() -> Link {
    Link { index: 2, name: "eth0".into(), state: LinkState::Connected, mtu: 1500, ..Link::default() }
}

fn of_kind(kind: &str) -> Link {
    Link { kind: Some(kind.into()), ..card() }
}

/// What happens to an interface, and when, in seconds.
type Story<'a> = &'a [(u64, Link)];

/// The placement at some seconds.
type Expected<'a> = &'a [(u64, Placement)];

/// Returns the placement of an interface at each second of `asked`, after its story until then. It is of old at the second 0.
fn placed(wanted: XdpMode, story: Story<'_>, masters: &[Link], asked: &[u64]) -> Vec<Placement> {
    let begin = Instant::now();
    let at = |seconds: u64| begin + Duration::from_secs(seconds);
    let places = asked.iter().map(|asked| {
        let mut readiness: Option<Readiness> = None;
        let mut last = Link::default();
        for (seconds, link) in story.iter().filter(|(seconds, _)| seconds <= asked) {
            let links = masters.iter().chain([link]).map(|link| (link.index, link.clone())).collect();
            readiness = Some(match readiness {
                None if *seconds == 0 => Readiness::of_old(link, &links, at(0)),
                readiness => readiness.unwrap_or_default().after(link, &links, at(*seconds)),
            });
            last = link.clone();
        }
        let readiness = readiness.unwrap();
        let facts = Facts { wanted, challenges: false, link: &last, forgets: false, readiness };
        place(&facts, at(*asked)).0
    });
    places.collect()
}

#[test]
fn an_interface_becomes_native_once_it_is_configured() {
    use Placement::{Auto, Provisional};
    let addressed = || Link { is_addressed: true, ..card() };
    let away = || Link { state: LinkState::Up, ..card() };
    let down = || Link { state: LinkState::Down, ..addressed() };
    let port = || Link { master: Some(9), ..away() };
    let bridge = |state| Link { index: 9, name: "br0".into(), state, ..of_kind("bridge") };
    let vlan =
        || Link { index: 8, name: "eth0.7".into(), lower: Some(2), is_addressed: true, ..of_kind("vlan") };
    let cases: [(&str, Story<'_>, &[Link], Expected<'_>); 11] = [
        ("configured of old", &[(0, addressed())], &[], &[(0, Auto)]),
        (
            "hotplugged with an address",
            &[(1, addressed())],
            &[],
            &[(1, Provisional), (5, Provisional), (6, Auto)],
        ),
        (
            "gets an address",
            &[(0, away()), (7, addressed())],
            &[],
            &[(0, Provisional), (11, Provisional), (12, Auto)],
        ),
        (
            "addressed, but down, as ifupdown does it",
            &[(0, down())],
            &[],
            &[(0, Provisional), (99, Provisional)],
        ),
        (
            "a flapping address",
            &[(0, away()), (1, addressed()), (4, away()), (6, addressed())],
            &[],
            &[(9, Provisional), (11, Auto)],
        ),
        (
            "an MTU that is set later",
            &[(0, away()), (1, addressed()), (4, Link { mtu: 9000, ..addressed() })],
            &[],
            &[(8, Provisional), (9, Auto)],
        ),
        (
            "connected without an address",
            &[(0, card())],
            &[],
            &[(0, Provisional), (299, Provisional), (300, Auto)],
        ),
        (
            "a flapping carrier",
            &[(0, card()), (20, away()), (25, card())],
            &[],
            &[(305, Provisional), (324, Provisional), (325, Auto)],
        ),
        ("without a cable", &[(0, away())], &[], &[(999, Provisional)]),
        ("a bridge's port", &[(1, port())], &[bridge(LinkState::Up)], &[(5, Provisional), (6, Auto)]),
        ("a port of a bridge that is down", &[(1, port())], &[bridge(LinkState::Down)], &[(99, Provisional)]),
    ];
    for (what, story, masters, expected) in cases {
        let (asked, expected): (Vec<_>, Vec<_>) = expected.iter().copied().unzip();
        assert_eq!(placed(XdpMode::Auto, story, masters, &asked), expected, "{what}");
    }
    assert_eq!(placed(XdpMode::Auto, &[(0, away())], &[vlan()], &[0]), [Auto], "a VLAN's address counts");
}

#[test]
fn only_what_may_refuse_an_mtu_waits_and_only_if_nothing_else_is_wanted() {
    use Placement::{Auto, Generic, Native, Provisional};
    let loopback = || Link { is_loopback: true, ..card() };
    for (link, wanted, challenges, forgets, expected) in [
        (card(), XdpMode::Auto, true, false, Provisional),
        (card(), XdpMode::Auto, true, true, Generic),
        (card(), XdpMode::Native, true, false, Native),
        (card(), XdpMode::Native, true, true, Native),
        (card(), XdpMode::Generic, true, false, Generic),
        (of_kind("veth"), XdpMode::Auto, false, false, Provisional),
        (of_kind("veth"), XdpMode::Auto, true, false, Generic),
        (of_kind("veth"), XdpMode::Native, true, false, Native),
        (of_kind("bond"), XdpMode::Auto, true, false, Generic),
        (of_kind("bond"), XdpMode::Native, true, false, Native),
        (of_kind("wireguard"), XdpMode::Auto, true, false, Auto),
        (loopback(), XdpMode::Auto, true, false, Auto),
    ] {
        let readiness = Readiness::default();
        let facts = Facts { wanted, challenges, link: &link, forgets, readiness };
        assert_eq!(place(&facts, Instant::now()).0, expected, "{facts:?}");
    }
}
