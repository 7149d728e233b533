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
