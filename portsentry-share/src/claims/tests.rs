use super::*;

fn address(last: u8) -> IpAddr {
    [203, 0, 113, last].into()
}

fn claims(directory: &std::path::Path) -> Claims {
    Claims::load("crowdsec".to_owned().try_into().unwrap(), directory, 100)
}

#[test]
fn a_claim_keeps_its_start_until_it_is_withdrawn_also_over_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let mut first = claims(directory.path());
    first.put("7".into(), address(1), Some(50_000), 1000);
    first.put("7".into(), address(1), Some(51_000), 2000);
    first.put("8".into(), address(2), None, 2000);
    assert_eq!(by_address(&first.known)[&address(1)], (1000, Some(50_000)), "the same end");
    first.put("7".into(), address(1), Some(90_000), 3000);
    assert_eq!(by_address(&first.known)[&address(1)], (1000, Some(90_000)), "it lasts longer");
    file::write(&first.file, &first.known).unwrap();
    let mut second = claims(directory.path());
    assert_eq!(second.known, first.known);
    assert_eq!(second.told, by_address(&first.known));
    second.put("9".into(), address(1), Some(60_000), 4000);
    assert_eq!(by_address(&second.known)[&address(1)], (4000, Some(90_000)), "another block of the source");
    second.remove("9");
    second.retain(|id| id == "8");
    second.put("7".into(), address(1), Some(90_000), 5000);
    assert_eq!(by_address(&second.known)[&address(1)], (5000, Some(90_000)), "it began again");
    second.put("7".into(), address(1), Some(70_000), 6000);
    assert_eq!(
        by_address(&second.known)[&address(1)],
        (6000, Some(70_000)),
        "it ends earlier, so it is another"
    );
}

#[test]
fn a_withdrawal_replaces_what_was_said() {
    let Said { since, until, .. } = withdrawal(address(1), 1000, 9000);
    assert_eq!((since, until), (8998, Some(8999)));
    let Said { since, until, .. } = withdrawal(address(1), 9000, 9000);
    assert_eq!((since, until), (9001, Some(9002)), "it was said just now");
}

#[test]
fn only_public_sources_are_named() {
    for (network, expected) in [
        ("203.0.113.9/32", true),
        ("203.0.113.0/24", false),
        ("10.1.2.3/32", false),
        ("2001:db8::1/128", true),
        ("2001:db8::/64", true),
        ("2001:db8::/48", false),
        ("fd00::/64", false),
    ] {
        let network: IpNet = network.parse().unwrap();
        assert_eq!(source(network, 64), expected.then(|| network.addr()), "{network}");
    }
}

#[test]
fn a_damaged_file_is_no_file() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("crowdsec.json"), "{\"7\":").unwrap();
    assert_eq!(claims(directory.path()).count(), 0);
}
