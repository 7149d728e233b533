use std::os::unix::fs::PermissionsExt;

use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::UnixListener,
    time::timeout,
};

use super::*;

fn address(last: u8) -> IpAddr {
    [203, 0, 113, last].into()
}

/// A claim that is another one each time.
fn own(id: &str) -> (String, Option<String>) {
    (id.into(), None)
}

/// Returns the start and end of what is claimed about each address.
fn terms(claims: &Claims) -> BTreeMap<IpAddr, (Millis, Option<Millis>)> {
    by_address(&claims.known).into_iter().map(|(address, term)| (address, (term.since, term.until))).collect()
}

fn claims(directory: &std::path::Path) -> Claims {
    Claims::load("crowdsec".to_owned().try_into().unwrap(), directory, 100)
}

#[test]
fn a_claim_keeps_its_start_until_it_is_withdrawn_also_over_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let mut first = claims(directory.path());
    assert!(first.put(own("7"), address(1), Some(150_000), 1000));
    assert!(first.put(own("7"), address(1), Some(170_000), 2000));
    assert!(first.put(own("8"), address(2), None, 2000));
    assert_eq!(terms(&first)[&address(1)], (1000, Some(150_000)), "the same end");
    assert!(first.put(own("7"), address(1), Some(290_000), 3000));
    assert_eq!(terms(&first)[&address(1)], (1000, Some(290_000)), "it lasts longer");
    file::write(&first.file, (&first.known, &first.withdrawn, &first.heard)).unwrap();
    assert_eq!(std::fs::metadata(&first.file).unwrap().permissions().mode() & 0o777, 0o600);
    let mut second = claims(directory.path());
    assert_eq!(second.known, first.known);
    assert_eq!(second.told, by_address(&first.known));
    assert!(second.put(own("9"), address(1), Some(160_000), 4000));
    assert_eq!(terms(&second)[&address(1)], (4000, Some(290_000)), "another block of the source");
    second.remove("9");
    second.retain(|id| id == "8");
    assert!(second.put(own("7"), address(1), Some(290_000), 5000));
    assert_eq!(terms(&second)[&address(1)], (5000, Some(290_000)), "it began again");
    assert!(second.put(own("7"), address(1), Some(180_000), 6000));
    assert_eq!(terms(&second)[&address(1)], (6000, Some(180_000)), "it ends earlier, so it is another");
}

#[test]
fn a_shorter_claim_replaces_a_longer_one_that_is_over() {
    let directory = tempfile::tempdir().unwrap();
    let mut claims = claims(directory.path());
    assert!(claims.put(own("7"), address(1), Some(300_000), 1000));
    assert!(claims.put(own("8"), address(1), Some(900_000), 2000));
    assert!(claims.put(own("9"), address(2), Some(300_000), 2000));
    assert!(claims.put(own("10"), address(2), Some(900_000), 2000));
    claims.told = by_address(&claims.known);
    claims.supersede();
    assert_eq!(by_address(&claims.known), claims.told, "nothing is over");
    claims.remove("8");
    claims.remove("10");
    claims.supersede();
    let expected = [(address(1), (2001, Some(300_000))), (address(2), (2001, Some(300_000)))];
    assert_eq!(terms(&claims), expected.into());
    assert!(!claims.is_saved, "it stays so over a restart");
    claims.supersede();
    claims.told = by_address(&claims.known);
    claims.supersede();
    assert_eq!(terms(&claims), expected.into(), "only once");
    assert!(claims.put(own("11"), address(1), Some(900_000), 9000));
    claims.supersede();
    assert_eq!(terms(&claims)[&address(1)], (9000, Some(900_000)), "a later one is later already");
}

#[tokio::test]
async fn what_is_claimed_again_after_an_interruption_is_not_new() {
    let directory = tempfile::tempdir().unwrap();
    let (nobody, _) = crate::daemon::follow(directory.path().join("none"));
    let mut first = claims(directory.path());
    let same = |id: &str| (id.to_owned(), Some("list 203.0.113.1".to_owned()));
    assert!(first.put(same("7"), address(1), None, 1000));
    // The list is replaced: its ban has another number.
    assert!(first.put(same("8"), address(1), None, 2000));
    let term = |claims: &Claims| by_address(&claims.known)[&address(1)];
    assert_eq!((term(&first).since, term(&first).first), (2000, 1000));
    first.retain(|_| false);
    first.tell(&nobody, 3000).await.unwrap();
    // The host restarts.
    let mut second = claims(directory.path());
    assert!(second.put(same("9"), address(1), None, 4000));
    assert_eq!((term(&second).since, term(&second).first), (4000, 1000));
    let Said { first, .. } = said(address(1), term(&second));
    assert_eq!(first, Some(1000));
    assert!(second.put(own("10"), address(1), None, 5000));
    assert_eq!((term(&second).since, term(&second).first), (5000, 5000), "that is another claim");
    second.remove("10");
    second.remove("9");
    second.tell(&nobody, 6000 + LONGEST).await.unwrap();
    assert!(second.put(same("11"), address(1), None, 7000 + LONGEST));
    assert_eq!(term(&second).first, 7000 + LONGEST, "no lift stands for so long");
}

#[tokio::test]
async fn withdrawals_come_first_and_news_at_their_rate() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("socket");
    let listener = UnixListener::bind(&socket).unwrap();
    let (daemon, _told) = crate::daemon::follow(socket);
    let mut claims = claims(directory.path());
    assert!(claims.put(own("1"), address(1), None, 1000));
    let mut connection = daemon.connection();
    let telling = async {
        connection.wait_for(|number| *number != 0).await.unwrap();
        claims.tell(&daemon, 2000).await.unwrap();
        for last in 2..=151 {
            assert!(claims.put(own(&last.to_string()), address(last), None, 3000));
        }
        claims.tell(&daemon, 4000).await.unwrap();
        assert!(claims.is_behind());
        claims.remove("1");
        claims.remove("151");
        claims.spent.1 = 0;
        claims.tell(&daemon, 5000).await.unwrap();
        assert!(!claims.is_behind());
    };
    let (words, ()) = tokio::join!(heard(&listener), telling);
    assert_eq!(words.len(), 1 + 100 + 1 + 49, "one was withdrawn before it was told");
    assert_eq!(words[101], (address(1), 4998, Some(4999)));
    let told = words.iter().map(|(address, ..)| *address).collect::<std::collections::BTreeSet<_>>();
    assert_eq!(told.len(), 150);
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
fn there_is_room_for_a_limited_number() {
    let directory = tempfile::tempdir().unwrap();
    let mut claims = claims(directory.path());
    for id in 0..MOST {
        assert!(claims.put((id.to_string(), None), address(1), None, 1000));
    }
    assert_eq!(
        claims.describe_others(1),
        " (1 left out: beyond 131072, or of networks or private addresses)"
    );
    assert!(!claims.put(own("more"), address(2), None, 1000));
    assert!(claims.put(own("7"), address(2), None, 2000), "a known one may change");
    claims.remove("8");
    assert!(claims.put(own("more"), address(2), None, 1000));
}

#[test]
fn no_withdrawal_is_dropped_before_it_is_said() {
    let directory = tempfile::tempdir().unwrap();
    let mut claims = claims(directory.path());
    let host = |number: u32| IpAddr::from((0xcb00_0000 + number).to_be_bytes());
    let count = u32::try_from(MOST).unwrap();
    let term = |until| Term { since: 1000, until: Some(until), first: 1000 };
    // As many were said before, and would end later.
    claims.withdrawn = (0..count).map(|number| (host(number), (1000, 900_000))).collect();
    claims.told = (count..count + 10).map(|number| (host(number), term(100_000))).collect();
    claims.withdraw(&Wanted::new(), 2000);
    assert_eq!(claims.withdrawn.len(), MOST);
    assert!((count..count + 10).all(|number| claims.withdrawn.contains_key(&host(number))));
}

#[test]
fn no_more_moments_are_forgotten_than_are_too_many() {
    let directory = tempfile::tempdir().unwrap();
    let mut claims = claims(directory.path());
    for number in 0..2 * MOST + 3 {
        claims.heard.insert(number.to_string(), (1000, if number < 7 { 5000 } else { 4000 }));
    }
    claims.expire(6000);
    assert_eq!(claims.heard.len(), 2 * MOST);
    assert!((0..7).all(|number: usize| claims.heard.contains_key(&number.to_string())), "the latest stay");
}

#[tokio::test]
async fn without_a_daemon_nothing_is_behind() {
    let directory = tempfile::tempdir().unwrap();
    let (nobody, _) = crate::daemon::follow(directory.path().join("none"));
    let mut claims = claims(directory.path());
    claims.is_behind = true;
    claims.tell(&nobody, 1000).await.unwrap();
    assert!(!claims.is_behind());
}

#[test]
fn a_file_that_is_too_large_is_not_read() {
    let directory = tempfile::tempdir().unwrap();
    let file = std::fs::File::create(directory.path().join("crowdsec.json")).unwrap();
    file.set_len(1 << 40).unwrap();
    assert_eq!(claims(directory.path()).count(), 0);
}

#[test]
fn a_damaged_file_is_no_file() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("crowdsec.json"), "{\"7\":").unwrap();
    assert_eq!(claims(directory.path()).count(), 0);
}

/// Accepts one companion, and reads words until none comes for a while.
async fn heard(listener: &UnixListener) -> Vec<(IpAddr, Millis, Option<Millis>)> {
    let (mut stream, _) = listener.accept().await.unwrap();
    let hello = "{\"v\":1,\"word\":\"hello\",\"gateway\":\"gw1\",\"prefix\":64}\n";
    stream.write_all(hello.as_bytes()).await.unwrap();
    let mut lines = BufReader::new(stream).lines();
    let mut all = Vec::new();
    while let Ok(Ok(Some(line))) = timeout(Duration::from_millis(300), lines.next_line()).await {
        let Ok(Word::Block { blocks, .. }) = Word::read(line.as_bytes()) else { panic!("{line}") };
        all.extend(blocks.into_iter().map(|said| (said.address, said.since, said.until)));
    }
    all
}

#[tokio::test]
async fn each_new_daemon_hears_of_withdrawals_until_their_blocks_would_have_ended() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("socket");
    let listener = UnixListener::bind(&socket).unwrap();
    let mut first = claims(directory.path());
    assert!(first.put(own("7"), address(1), Some(900_000), 1000));
    assert!(first.put(own("8"), address(2), Some(900_000), 1000));
    // It stops before the daemon has heard that one is over.
    first.told = by_address(&first.known);
    first.remove("7");
    let (nobody, _) = crate::daemon::follow(directory.path().join("none"));
    first.tell(&nobody, 2000).await.unwrap();

    let mut second = claims(directory.path());
    assert_eq!(second.withdrawn, [(address(1), (1000, 900_000))].into());
    let (daemon, _told) = crate::daemon::follow(socket);
    for now in [5000, 6000] {
        let mut connection = daemon.connection();
        let telling = async {
            connection.wait_for(|number| *number != 0 && *number != second.connection).await.unwrap();
            second.tell(&daemon, now).await.unwrap();
        };
        let (words, ()) = tokio::join!(heard(&listener), telling);
        let expected = [(address(1), now - 2, Some(now - 1)), (address(2), 1000, Some(900_000))];
        assert_eq!(words, expected, "at {now}");
    }
    assert!(second.put(own("9"), address(1), Some(950_000), 7000));
    second.tell(&nobody, 7000).await.unwrap();
    assert!(claims(directory.path()).withdrawn.is_empty(), "it is blocked again");
    second.told = by_address(&second.known);
    second.retain(|_| false);
    second.tell(&nobody, 8000).await.unwrap();
    assert_eq!(claims(directory.path()).withdrawn.len(), 2);
    second.tell(&nobody, 900_000).await.unwrap();
    assert_eq!(claims(directory.path()).withdrawn, [(address(1), (7000, 950_000))].into());
}

#[test]
fn a_file_of_an_earlier_version_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let text = r#"{"7":{"address":"203.0.113.1","since":1000,"until":null}}"#;
    std::fs::write(directory.path().join("crowdsec.json"), text).unwrap();
    let claims = claims(directory.path());
    assert_eq!((claims.count(), claims.withdrawn.len()), (1, 0));
}
