use std::{collections::BTreeSet, net::IpAddr, time::Duration};

use proptest::prelude::*;

use super::*;
use crate::config::Config;

mod standing;

const NOW: Millis = 1_000_000_000;
const HOUR: Millis = 3_600_000;
const GATEWAYS: [&str; 4] = ["gw2", "gw3", "gw4", "gw5"];
const ADDRESSES: [&str; 5] = ["192.0.2.9", "192.0.2.10", "198.51.100.7", "2001:db8::9", "2001:db8:7::1"];

/// Own addresses and the like, and the gateway's own blocks.
#[derive(Default)]
struct Here {
    exempt: Vec<IpNet>,
    own: Vec<IpNet>,
}

impl View for Here {
    fn is_exempt(&self, network: IpNet) -> bool {
        self.exempt.contains(&network)
    }

    fn is_own(&self, network: IpNet, _is_fence: bool) -> bool {
        self.own.contains(&network)
    }
}

fn net(text: &str) -> IpNet {
    crate::notation::read(text).unwrap()
}

fn gateway(name: &str) -> Gateway {
    Gateway::try_from(name.to_owned()).unwrap()
}

fn peers(trust: &str, rate: u32, (each, all): (usize, usize)) -> Peers {
    let (config, _) = Config::parse(&format!("PEERS=\"{trust}\"\n"), "").unwrap();
    let trusted = config.peers;
    let longest = Duration::from_hours(24);
    let mut peers = Peers::new(Rules { trusted, rate, each, all, state: 500, longest });
    (1..).zip(GATEWAYS).for_each(|(number, name)| peers.restore(number, gateway(name), None));
    peers
}

fn said(address: &str, since: Millis, until: Option<Millis>) -> Said {
    Said {
        address: address.parse().unwrap(),
        since,
        until,
        first: None,
        proof: "cookie".into(),
        kind: Some("connect".into()),
        port: 23,
        protocol: Some("tcp".into()),
    }
}

fn block(name: &str, address: &str, since: Millis, until: Millis) -> Word {
    Word::Block {
        gateway: gateway(name),
        state: false,
        said: NOW,
        blocks: vec![said(address, since, Some(until))],
    }
}

fn lift(name: &str, address: &str, at: Millis) -> Word {
    Word::Lift { gateway: gateway(name), state: false, addresses: vec![address.parse().unwrap()], at }
}

fn allow(name: &str, network: &str, at: Millis, allowed: bool) -> Word {
    Word::Allow { gateway: gateway(name), state: false, network: net(network), at, allowed }
}

fn hear(peers: &mut Peers, word: &Word) -> BTreeSet<IpNet> {
    peers.hear(word, IpNet::from, NOW)
}

/// Returns the peer whose word is in force about the address, with the end and whether it is a fence.
fn in_force(peers: &mut Peers, here: &Here, address: &str) -> Option<(String, Millis, bool)> {
    peers.settle([net(address)], here, NOW);
    let enforced = *peers.enforced(net(address))?;
    let name = peers.peer(enforced.number).unwrap().gateway.name().to_owned();
    Some((name, enforced.claim.until, enforced.is_fence))
}

#[test]
fn the_longest_end_is_in_force_and_blocks_come_before_fences() {
    let address = ADDRESSES[0];
    let mut peers = peers("gw2,gw3,gw4=fence,*=log", 100, (10, 20));
    let here = Here::default();
    let expect = |name: &str, until, is_fence| Some((name.to_owned(), NOW + until, is_fence));
    hear(&mut peers, &block("gw5", address, NOW - 5, NOW + 9 * HOUR));
    assert_eq!(in_force(&mut peers, &here, address), None, "gw5 is only recorded");
    hear(&mut peers, &block("gw4", address, NOW - 5, NOW + 8 * HOUR));
    assert_eq!(in_force(&mut peers, &here, address), expect("gw4", 8 * HOUR, true));
    hear(&mut peers, &block("gw3", address, NOW - 5, NOW + HOUR));
    assert_eq!(in_force(&mut peers, &here, address), expect("gw3", HOUR, false));
    hear(&mut peers, &block("gw2", address, NOW - 9, NOW + 2 * HOUR));
    assert_eq!(in_force(&mut peers, &here, address), expect("gw2", 2 * HOUR, false));
    hear(&mut peers, &block("gw2", address, NOW - 10, NOW + 3 * HOUR));
    assert_eq!(
        in_force(&mut peers, &here, address),
        expect("gw2", 2 * HOUR, false),
        "its later block counts"
    );
    hear(&mut peers, &block("gw2", address, NOW - 5, NOW + 30 * HOUR));
    assert_eq!(in_force(&mut peers, &here, address), expect("gw2", 24 * HOUR - 5, false), "PEER_BLOCK_TIME");
}

#[test]
fn exemptions_and_lifts_come_before_blocks() {
    let address = ADDRESSES[0];
    let mut peers = peers("*", 100, (10, 20));
    let none = Here::default();
    hear(&mut peers, &block("gw2", address, NOW - 100, NOW + HOUR));
    assert!(in_force(&mut peers, &none, address).is_some());
    let exempt = Here { exempt: vec![net(address)], ..Here::default() };
    assert_eq!(in_force(&mut peers, &exempt, address), None);
    let own = Here { own: vec![net(address)], ..Here::default() };
    assert_eq!(in_force(&mut peers, &own, address), None, "the own entry stays");
    assert!(in_force(&mut peers, &none, address).is_some());
    hear(&mut peers, &allow("gw3", "192.0.2.0/24", NOW - 50, true));
    assert_eq!(in_force(&mut peers, &none, address), None, "the fleet's allow list ends standing blocks");
    hear(&mut peers, &allow("gw3", "192.0.2.0/28", NOW - 40, false));
    assert!(in_force(&mut peers, &none, address).is_some(), "the narrowest word counts");
    hear(&mut peers, &lift("gw3", address, NOW - 60));
    assert_eq!(in_force(&mut peers, &none, address), None, "it was lifted after it began");
    hear(&mut peers, &block("gw2", address, NOW - 100, NOW + 2 * HOUR));
    assert_eq!(in_force(&mut peers, &none, address), None, "a replay changes nothing");
    hear(&mut peers, &block("gw2", address, NOW - 30, NOW + HOUR));
    assert!(in_force(&mut peers, &none, address).is_some(), "a later block stands");
    peers.lift_here(net(address), NOW - 20);
    assert_eq!(in_force(&mut peers, &none, address), None);
    hear(&mut peers, &block("gw2", address, NOW - 15, NOW + HOUR));
    assert!(in_force(&mut peers, &none, address).is_some());
    peers.lift_only_here(net(address), NOW - 10);
    assert_eq!(in_force(&mut peers, &none, address), None);
    assert_eq!(peers.lifted_here().collect::<Vec<_>>(), [(net(address), NOW - 20)], "the fleet isn't told");
}

#[test]
fn peers_lifts_are_not_limited_by_lifts_here() {
    let mut peers = peers("*", 100, (1, 1));
    hear(&mut peers, &lift("gw2", ADDRESSES[0], NOW - 5));
    peers.lift_only_here(net(ADDRESSES[1]), NOW - 5);
    peers.lift_here(net(ADDRESSES[2]), NOW - 5);
    for address in &ADDRESSES[..3] {
        assert_eq!(peers.lifted(net(address)), Some(NOW - 5), "{address}");
    }
}

#[test]
fn only_a_peer_whose_blocks_count_as_blocks_exempts() {
    let mut peers = peers("gw2,gw3=fence,gw4=log", 100, (10, 20));
    let network = net("192.0.2.0/24");
    for (gateway, is_trusted) in [("gw3", false), ("gw4", false), ("gw5", false), ("gw2", true)] {
        hear(&mut peers, &allow(gateway, "192.0.2.0/24", NOW - 50, true));
        assert_eq!(peers.is_allowed(net(ADDRESSES[0])), is_trusted, "{gateway}");
    }
    let fenced = peers.peer(2).unwrap();
    assert_eq!(fenced.refused, [(Refused::Trust, 1)].into());
    hear(&mut peers, &allow("gw3", "192.0.2.0/24", NOW - 40, false));
    assert!(peers.is_allowed(net(ADDRESSES[0])), "nor does it end an exemption");
    let said = |at, allowed| Allowed { at, allowed };
    assert_eq!(peers.allow(network, said(NOW - 60, false)), None, "a later word is known");
    assert_eq!(peers.allow(network, said(NOW - 50, true)), Some(BTreeSet::new()), "it is known");
    hear(&mut peers, &block("gw2", ADDRESSES[0], NOW - 5, NOW + HOUR));
    let concerned = Some([net(ADDRESSES[0])].into());
    assert_eq!(peers.allow(network, said(NOW - 40, false)), concerned);
}

#[test]
fn senseless_words_are_refused() {
    let mut peers = peers("gw2,gw3=log", 1000, (10, 20));
    for address in [
        "10.0.0.1",
        "100.64.0.1",
        "169.254.1.1",
        "fd00::1",
        "fe80::1",
        "127.0.0.1",
        "::1",
        "::",
        "0.0.0.0",
        "224.0.0.1",
        "255.255.255.255",
        "ff02::1",
        "::ffff:192.0.2.9",
        "240.0.0.1",
    ] {
        assert!(hear(&mut peers, &block("gw2", address, NOW - 5, NOW + 5)).is_empty(), "{address}");
    }
    for (since, until) in
        [(NOW + 5000, NOW + 9000), (NOW - 5, NOW - 5), (NOW - 5, NOW - 9), (u64::MAX, u64::MAX)]
    {
        assert!(hear(&mut peers, &block("gw2", ADDRESSES[0], since, until)).is_empty(), "{since} {until}");
    }
    for proof in ["none", "", "rumour"] {
        let blocks = vec![Said { proof: proof.into(), ..said(ADDRESSES[0], NOW - 5, None) }];
        let word = Word::Block { gateway: gateway("gw2"), state: false, said: NOW, blocks };
        assert!(hear(&mut peers, &word).is_empty(), "{proof}");
    }
    assert!(hear(&mut peers, &lift("gw3", ADDRESSES[0], NOW)).is_empty(), "it isn't trusted that far");
    assert_eq!(peers.peer(2).unwrap().refused, [(Refused::Trust, 1)].into());
    assert!(hear(&mut peers, &block("stranger", ADDRESSES[0], NOW - 5, NOW + 5)).is_empty());
    let refused = &peers.peer(1).unwrap().refused;
    assert_eq!(
        refused.iter().map(|(reason, count)| (reason.name(), *count)).collect::<Vec<_>>(),
        [("address", 14), ("unproven", 3), ("times", 4)]
    );
    assert!(Word::read(br#"{"v":1,"word":"block","gateway":"a.b","blocks":[]}"#).is_err());
    let network = br#"{"v":1,"word":"block","gateway":"a","blocks":[{"address":"192.0.2.0/24","since":1,"proof":"cookie"}]}"#;
    assert!(Word::read(network).is_err());
}

#[test]
fn a_peer_that_says_far_too_much_is_held_until_it_is_released() {
    let mut peers = peers("*", 10, (1000, 2000));
    let here = Here::default();
    let address = |number: u32| IpAddr::from((0x0b00_0000 + number).to_be_bytes());
    let news = |number| Word::Block {
        gateway: gateway("gw2"),
        state: false,
        said: NOW,
        blocks: vec![Said { address: address(number), ..said(ADDRESSES[0], NOW - 5, Some(NOW + HOUR)) }],
    };
    for number in 0..100 {
        hear(&mut peers, &news(number));
    }
    assert_eq!(peers.count(1), 50, "five seconds' words at once");
    assert_eq!(peers.peer(1).unwrap().held, None);
    let changes = peers.settle(peers.networks(), &here, NOW);
    assert_eq!(changes.len(), 50);
    let suspended = hear(&mut peers, &news(100));
    assert_eq!((peers.peer(1).unwrap().held, suspended.len()), (Some(Hold::Rate), 50));
    assert_eq!(peers.settle(suspended, &here, NOW).len(), 50, "its blocks are suspended");
    assert!(peers.hear(&news(101), IpNet::from, NOW + HOUR).is_empty(), "time alone doesn't release it");
    hear(&mut peers, &block("gw3", ADDRESSES[1], NOW - 5, NOW + HOUR));
    assert!(in_force(&mut peers, &here, ADDRESSES[1]).is_some(), "the others go on");
    let again = peers.hold(&gateway("gw2"), None).unwrap();
    assert_eq!(peers.settle(again, &here, NOW).len(), 50);
    let forgotten = peers.forget(&gateway("gw2")).unwrap();
    assert_eq!(peers.settle(forgotten, &here, NOW).len(), 50);
    assert_eq!(peers.count(1), 0);
}

#[test]
fn the_latest_of_a_whole_state_count_but_it_is_not_heard_again_and_again() {
    let mut peers = peers("*", 10, (300, 1000));
    let state = |first: u32| Word::Block {
        gateway: gateway("gw2"),
        state: true,
        said: NOW,
        blocks: (first..first + 100)
            .map(|number| Said {
                address: IpAddr::from((0x0b00_0000 + number).to_be_bytes()),
                ..said(ADDRESSES[0], NOW - 1000 + Millis::from(number), Some(NOW + HOUR))
            })
            .collect(),
    };
    for first in [0, 100, 200, 300, 400] {
        hear(&mut peers, &state(first));
    }
    assert_eq!(peers.count(1), 300);
    assert_eq!(peers.networks().first(), Some(&net("11.0.0.200")), "the quota's latest");
    for first in [0, 500] {
        hear(&mut peers, &state(first));
    }
    // The companion decides when it reads the state, so too much of it holds no peer.
    let peer = peers.peer(1).unwrap();
    assert_eq!((peers.count(1), peer.held, peer.refused.get(&Refused::Rate)), (300, None, Some(&200)));
}

#[test]
fn a_peers_clock_may_be_wrong() {
    for ahead in [300_000_i64, -300_000, 400] {
        let mut peers = peers("*", 100, (10, 20));
        let clock = |time: Millis| time.checked_add_signed(ahead).unwrap();
        hear(&mut peers, &Word::Beat { gateway: gateway("gw2"), clock: clock(NOW) });
        hear(&mut peers, &block("gw2", ADDRESSES[0], clock(NOW - 5000), clock(NOW + HOUR)));
        let (_, until, _) = in_force(&mut peers, &Here::default(), ADDRESSES[0]).expect("it is blocked");
        assert!(until.abs_diff(NOW + HOUR) < 2000, "{ahead}");
        assert_eq!(peers.peer(1).unwrap().offset, if ahead == 400 { 0 } else { -ahead });
    }
}

#[test]
fn what_is_over_is_forgotten() {
    let mut peers = peers("*", 100, (10, 20));
    let here = Here::default();
    hear(&mut peers, &block("gw2", ADDRESSES[0], NOW - 5, NOW + HOUR));
    hear(&mut peers, &lift("gw2", ADDRESSES[1], NOW - 5));
    peers.settle(peers.networks(), &here, NOW);
    let later = NOW + HOUR;
    let over = peers.expire(later);
    assert_eq!(peers.settle(over, &here, later).len(), 1);
    assert_eq!((peers.count(1), peers.lifted(net(ADDRESSES[1]))), (0, Some(NOW - 5)));
    peers.expire(NOW + 25 * HOUR);
    assert_eq!(peers.lifted(net(ADDRESSES[1])), None);
}

fn word() -> impl Strategy<Value = Word> {
    let name = prop::sample::select(&GATEWAYS[..]);
    let address = prop::sample::select(&ADDRESSES[..]);
    let times = (0..6_u64, 1..6_u64);
    prop_oneof![
        4 => (name.clone(), address.clone(), times).prop_map(|(name, address, (since, length))| {
            block(name, address, NOW - 100 + since, NOW + since + length)
        }),
        1 => (name.clone(), address.clone(), 0..6_u64).prop_map(|(name, address, at)| lift(name, address, NOW - 100 + at)),
        1 => (name, prop::sample::select(&["192.0.2.0/24", "192.0.2.9", "2001:db8::/32"][..]), 0..6_u64, any::<bool>())
            .prop_map(|(name, network, at, allowed)| allow(name, network, NOW - 100 + at, allowed)),
    ]
}

/// Checks the numbers of blocks and fences in force against the kernel's map.
fn check_counts(peers: &Peers, map: &BTreeMap<IpNet, Enforced>) -> Result<(), TestCaseError> {
    for (number, _) in peers.iter() {
        let count = map.values().filter(|enforced| enforced.number == number).count();
        prop_assert_eq!(peers.in_force(number), count, "peer {}", number);
    }
    Ok(())
}

proptest! {
    #[test]
    fn any_order_and_repetition_of_words_gives_one_state(
        words in prop::collection::vec(word(), 0..40),
        order in prop::collection::vec(any::<prop::sample::Index>(), 0..120),
        quotas in (1..5_usize, 1..12_usize),
    ) {
        let here = Here { exempt: vec![net(ADDRESSES[4])], own: Vec::new() };
        let after = |words: &mut dyn Iterator<Item = &Word>| {
            let mut peers = peers("gw2,gw3,gw4=fence,*=log", 1_000_000, quotas);
            for word in words {
                let changed = hear(&mut peers, word);
                peers.settle(changed, &here, NOW);
            }
            (peers.claims, peers.lifts, peers.allowed, peers.enforced)
        };
        let one = after(&mut words.iter());
        let shuffled = order.iter().filter(|_| !words.is_empty()).map(|index| index.get(&words));
        let rest = words.iter().rev();
        let mut again = shuffled.chain(rest);
        let other = after(&mut again);
        prop_assert_eq!(&one.0, &other.0);
        prop_assert_eq!(&one.1, &other.1);
        prop_assert_eq!(&one.2, &other.2);
        prop_assert_eq!(&one.3, &other.3);
        prop_assert!(one.3.keys().all(|network| !here.exempt.contains(network)));
        prop_assert!(one.3.len() <= quotas.1);
    }

    #[test]
    fn the_changes_lead_to_what_is_in_force(
        words in prop::collection::vec(word(), 0..40),
        given_way in prop::collection::vec(prop::sample::select(&ADDRESSES[..]), 0..5),
    ) {
        let here = Here::default();
        let mut peers = peers("gw2,gw3,gw4=fence,*=log", 1_000_000, (3, 8));
        let mut map = BTreeMap::new();
        for word in &words {
            let changed = hear(&mut peers, word);
            for change in peers.settle(changed, &here, NOW) {
                match change {
                    Change::Enter { network, enforced, is_new } => {
                        prop_assert_eq!(map.insert(network, enforced).is_none(), is_new);
                    }
                    Change::Leave { network, enforced } => prop_assert_eq!(map.remove(&network), Some(enforced)),
                }
            }
            for (network, enforced) in &map {
                prop_assert_eq!(peers.wanted(*network, &here, NOW), Some(*enforced));
            }
            check_counts(&peers, &map)?;
        }
        for network in peers.networks() {
            prop_assert_eq!(peers.wanted(network, &here, NOW), map.get(&network).copied());
        }
        for network in given_way.into_iter().map(net) {
            peers.give_way(network);
            map.remove(&network);
            check_counts(&peers, &map)?;
        }
        for (network, enforced) in &map {
            peers.recall(*network, *enforced);
        }
        check_counts(&peers, &map)?;
    }
}
