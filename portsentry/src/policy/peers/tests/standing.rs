//! What becomes of each gateway's claim.

use super::{
    Standing::{Covered, Exempt, Ignored, InForce, Lifted, Over},
    *,
};

#[test]
fn every_claim_is_told_with_what_becomes_of_it() {
    let address = ADDRESSES[0];
    let network = net(address);
    let mut peers = peers("gw2,gw3,gw4=log,gw5", 100, (10, 20));
    let here = Here::default();
    for (name, since, until) in
        [("gw2", 50, HOUR), ("gw3", 50, 2 * HOUR), ("gw4", 50, 3 * HOUR), ("gw5", 100, 4 * HOUR)]
    {
        hear(&mut peers, &block(name, address, NOW - since, NOW + until));
    }
    peers.lift_here(network, NOW - 60);
    peers.settle([network], &here, NOW);
    let told = |peers: &Peers, here: &Here, now| -> Vec<(String, Standing)> {
        let standings = peers.standings(network, here, now);
        standings.map(|(peer, _, standing)| (peer.gateway.name().to_owned(), standing)).collect()
    };
    let expect = |standings: [Standing; 4]| -> Vec<(String, Standing)> {
        GATEWAYS.map(str::to_owned).into_iter().zip(standings).collect()
    };
    assert_eq!(told(&peers, &here, NOW), expect([Covered, InForce, Ignored, Lifted]));
    assert_eq!(told(&peers, &here, NOW + HOUR), expect([Over, InForce, Ignored, Lifted]));
    let exempt = Here { exempt: vec![network], ..Here::default() };
    peers.settle([network], &exempt, NOW);
    assert_eq!(told(&peers, &exempt, NOW), expect([Exempt, Exempt, Ignored, Lifted]));
    let own = Here { own: vec![network], ..Here::default() };
    peers.settle([network], &own, NOW);
    assert_eq!(told(&peers, &own, NOW), expect([Covered, Covered, Ignored, Lifted]));
}

#[test]
fn what_was_said_before_a_lift_is_held_back_also_if_it_is_said_anew() {
    let address = ADDRESSES[0];
    let here = Here::default();
    let mut peers = peers("*", 100, (10, 20));
    let again = |since: Millis, first: Option<Millis>| {
        let blocks = vec![Said { first, ..said(address, since, Some(NOW + HOUR)) }];
        Word::Block { gateway: gateway("gw2"), state: false, said: NOW, blocks }
    };
    hear(&mut peers, &again(NOW - 100, None));
    peers.lift_only_here(net(address), NOW - 50);
    assert_eq!(in_force(&mut peers, &here, address), None);
    hear(&mut peers, &again(NOW - 40, Some(NOW - 100)));
    assert_eq!(in_force(&mut peers, &here, address), None, "a router has restarted");
    let standing = peers.standings(net(address), &here, NOW).map(|(_, _, standing)| standing);
    assert_eq!(standing.collect::<Vec<_>>(), [Lifted]);
    hear(&mut peers, &again(NOW - 30, Some(NOW)));
    assert!(in_force(&mut peers, &here, address).is_some(), "it is new, and not first said after its start");
}
