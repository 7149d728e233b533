use super::*;

fn said(address: &str, until: Option<Millis>) -> Said {
    Said {
        address: address.parse().unwrap(),
        since: 1000,
        until,
        first: None,
        proof: "cookie".into(),
        kind: None,
        port: 23,
        protocol: None,
    }
}

fn word(state: bool, blocks: Vec<Said>) -> Told {
    Told::Word(Word::Block { gateway: Gateway::default(), state, said: 1, blocks })
}

fn hello() -> Told {
    Told::Hello(Gateway::default(), 64)
}

fn names(blocks: &Blocks) -> Vec<String> {
    blocks.iter().map(|(network, _)| network.to_string()).collect()
}

#[test]
fn blocks_begin_and_end() {
    let mut blocks = Blocks::default();
    assert!(!blocks.take(&hello(), 0) && !blocks.is_whole());
    assert!(!blocks.take(&word(true, vec![said("192.0.2.1", None), said("2001:db8::", Some(9000))]), 0));
    assert!(blocks.take(&word(false, vec![said("192.0.2.2", Some(5000))]), 0));
    assert!(blocks.take(&Told::Synced, 0) && blocks.is_whole());
    assert_eq!(names(&blocks), ["192.0.2.1/32", "192.0.2.2/32", "2001:db8::/64"]);
    assert!(!blocks.take(&word(false, vec![said("192.0.2.2", Some(5000))]), 0), "it is known");
    assert!(blocks.take(&word(false, vec![said("192.0.2.2", Some(7000))]), 0), "it lasts longer");
    assert!(!blocks.expire(5000) && blocks.expire(7000) && !blocks.expire(7000));
    let over = Told::Released(vec!["192.0.2.1".parse().unwrap(), "192.0.2.7".parse().unwrap()]);
    assert!(blocks.take(&over, 0) && !blocks.take(&over, 0));
    assert_eq!(names(&blocks), ["2001:db8::/64"]);
    assert!(blocks.take(&word(false, vec![said("2001:db8::1", None)]), 0));
    assert_eq!(names(&blocks), ["2001:db8::/64", "2001:db8::1/128"]);
}

#[test]
fn a_new_daemons_state_replaces_an_earlier_ones_as_a_whole() {
    let mut blocks = Blocks::default();
    for told in [hello(), word(true, vec![said("192.0.2.1", None), said("192.0.2.2", None)]), Told::Synced] {
        blocks.take(&told, 0);
    }
    for told in [hello(), word(true, vec![said("192.0.2.2", None), said("192.0.2.3", Some(500))])] {
        assert!(!blocks.take(&told, 0), "it is not whole");
    }
    assert_eq!(names(&blocks), ["192.0.2.1/32", "192.0.2.2/32"]);
    // What ends while the state is told is not in it.
    blocks.take(&Told::Released(vec!["192.0.2.2".parse().unwrap()]), 0);
    assert!(blocks.take(&Told::Synced, 400));
    assert_eq!(names(&blocks), ["192.0.2.3/32"]);
    for told in [hello(), word(true, vec![said("192.0.2.3", Some(500))]), Told::Synced] {
        assert!(!blocks.take(&told, 400), "nothing has changed");
    }
    assert!(blocks.expire(500) && blocks.count() == 0);
}
