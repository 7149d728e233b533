use std::{collections::BTreeSet, net::IpAddr, time::Duration};

use ipnet::IpNet;
use proptest::prelude::*;

use super::{
    super::{
        number::{age, short, speed},
        screen::{Order, Prompt},
        text, text_of,
        view::tests::{block, observing, sample, view, would_be},
    },
    *,
};
use crate::{
    inspect::would::{Would, WouldBe},
    policy::{State, name_of},
};

#[test]
fn sources_come_first() {
    let text = text(&view(), (80, 24));
    let expected = [
        "portsentry  attached to eth0  no daemon runs",
        "observing (nothing is blocked)",
        "dropped 20/s (60)  probes 10/s (30)  blocked 3  fenced 0",
        "held sources 1-3 of 3  by packets dropped a second",
        "ADDRESS    STATE    DROPPED/S v  DROPPED  HITS  AGE  PORT    LAST PROBE",
        "192.0.2.1  blocked           20       45     3   2m  11/TCP  TCP SYN/Normal scan",
        "192.0.2.3  blocked          1.0        2     3   2m  11/TCP  TCP SYN/Normal scan",
    ];
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[..expected.len()], expected, "{text}");
    assert_eq!(lines[23], "q quits  ? keys  s sort  / filter  u unblock  p pause  tab figures");
}

#[test]
fn figures_follow_if_there_is_room() {
    let text = text(&view(), (100, 40));
    for expected in [
        "attached to eth0  no daemon runs",
        "│probes         10/s  30",
        "│blocked IPv4  #######.............  3 of 8",
        "│SYN  10/s  30",
        "│11/TCP  2",
        "192.0.2.1  blocked ",
        "q quits",
    ] {
        assert!(text.contains(expected), "{expected}\n{text}");
    }
    let sources = text.find("192.0.2.1").unwrap();
    assert!(sources < text.find("blocked IPv4").unwrap(), "{text}");
}

#[test]
fn narrow_screens_keep_the_mode_and_the_faults() {
    for width in [20, 30, 40, 59] {
        let text = text(&view(), (width, 12));
        assert!(text.contains("observing") && text.contains("no daemon"), "{text}");
        assert!(text.contains("192.0.2.1  blocked") && text.contains("q quits"), "{text}");
    }
}

/// Returns a view of four sources that would be held, and none that is.
fn observed() -> View {
    observing(
        &[],
        vec![
            would_be("192.0.2.7/32", State::Fenced, 180, &["11/TCP"]),
            would_be("192.0.2.80/32", State::Blocked, 3, &["1/TCP", "7/TCP", "11/TCP", "79/TCP"]),
            would_be("198.51.100.9/32", State::Fenced, 11, &["69/UDP", "161/UDP"]),
            would_be("2001:db8:1:2::/64", State::Fenced, 2, &["3389/TCP"]),
        ],
    )
}

#[test]
fn while_observing_the_sources_that_would_be_held_are_shown() {
    let observed = observed();
    for (size, expected) in [
        (
            (120, 40),
            &[
                "would be fenced 3, would be blocked 1  dropped 0/s (20)  probes 0/s (10)  blocked 0  fenced 0",
                "sources that would be held 1-4 of 4  by age",
                "ADDRESS            STATE             PACKETS  LAST v  PORTS                            LAST PROBE",
                "2001:db8:1:2::/64  would be fenced         2      2m  3389/TCP                         TCP SYN/Normal scan",
                "192.0.2.80         would be blocked        8      3m  1/TCP, 7/TCP, 11/TCP and 1 more  TCP SYN/Normal scan",
            ][..],
        ),
        (
            (80, 24),
            &[
                "would be fenced 3, would be blocked 1  dropped 0/s (20)  probes 0/s (10)",
                "blocked 0  fenced 0",
                "sources that would be held 1-4 of 4  by age",
                "ADDRESS            STATE        PACKETS  LAST v  PORTS     LAST PROBE",
                "2001:db8:1:2::/64  would fence        2      2m  3389/TCP  SYN",
                "192.0.2.80         would block        8      3m  1/TCP+3   SYN",
            ],
        ),
        (
            (40, 12),
            &[
                "observing (nothing is blocked)",
                "no daemon runs  attached to eth0",
                "would be fenced 3, would be blocked 1",
                "sources that would be held 1-4 of 4",
                "ADDRESS            STATE        PORTS",
                "2001:db8:1:2::/64  would fence  3389/TCP",
            ],
        ),
        ((20, 6), &["observing", "no daemon runs  eth0", "would be held 4", "4  by age"]),
    ] {
        let text = text(&observed, size);
        for line in expected {
            assert!(text.lines().any(|shown| shown == *line), "{line}\n{text}");
        }
    }
    let ports = text(&observed, (120, 40));
    assert!(
        ports.contains(" ports, by sources that would be held ") && ports.contains("│11/TCP    2 "),
        "{ports}"
    );
}

#[test]
fn an_unknown_answer_is_no_empty_list() {
    let mut sample = sample(0, 10, Vec::new());
    sample.would = Some(Err("EVIDENCE_FILE is not set, so that nothing was recorded".into()));
    let text = text(&View::new(&sample, &sample), (80, 24));
    for line in [
        "no source is blocked or fenced",
        "those that would be are unknown: EVIDENCE_FILE is not set, so that nothing was",
        "recorded",
    ] {
        assert!(text.lines().any(|shown| shown == line), "{line}\n{text}");
    }
}

#[test]
fn numbers_of_sources_that_the_daemon_left_out_count() {
    let mut sample = sample(0, 10, vec![("192.0.2.9/32".parse().unwrap(), State::Fenced, block(11, 5))]);
    if let Some(maps) = &mut sample.maps {
        maps.left_out = 41;
    }
    let text = text(&View::new(&sample, &sample), (80, 24));
    assert!(text.contains("  held 42  listed 1\n"), "{text}");
}

#[test]
fn any_page_and_prompt_fits_any_terminal() {
    let view = view();
    for size in [(1, 1), (2, 2), (10, 3), (20, 5), (40, 12), (80, 24), (300, 100)] {
        for page in [Page::Sources, Page::Figures, Page::Help] {
            for prompt in [
                Prompt::None,
                Prompt::Filter,
                Prompt::Confirm("2001:db8:1:2:3:4:5:6/128".parse().unwrap()),
                Prompt::Message("it failed\nfor several reasons".into()),
            ] {
                let mut screen = Screen { prompt, page, ..Screen::default() };
                screen.arrange(&view);
                assert_eq!(text_of(&view, &mut screen, size).lines().count(), usize::from(size.1));
            }
        }
    }
}

#[test]
fn a_question_names_the_whole_address() {
    let address: IpNet = "2001:db8:1111:2222:3333:4444:5555:6666/128".parse().unwrap();
    for width in [20, 40, 80] {
        let mut screen = Screen { prompt: Prompt::Confirm(address), ..Screen::default() };
        let text = text_of(&view(), &mut screen, (width, 12));
        let joined: String = text.chars().filter(|char| !char.is_whitespace()).collect();
        assert!(joined.contains("Unblock2001:db8:1111:2222:3333:4444:5555:6666?y/n"), "{text}");
    }
}

#[test]
fn control_characters_never_reach_the_terminal() {
    let mut screen = Screen { prompt: Prompt::Message("\x1b[2J192.0.2.9".into()), ..Screen::default() };
    let text = text_of(&view(), &mut screen, (80, 24));
    assert!(!text.contains('\x1b'), "{text}");
}

/// Returns every text with a digit that a frame of `view` may show.
fn expected(view: &View, screen: &Screen) -> BTreeSet<String> {
    let mut texts = BTreeSet::new();
    let mut add = |text: String| texts.extend(text.split_whitespace().map(str::to_owned));
    for source in view.all() {
        add(name_of(source.address));
        add(speed(source.a_second()));
        add(age(source.age));
        source.ports().into_iter().for_each(&mut add);
        for number in [source.dropped(), source.hits()] {
            add(number.to_string());
            add(short(number));
        }
    }
    for rate in view.rates.iter().chain(&view.kinds) {
        add(format!("{}/s", speed(rate.a_second)));
        add(rate.total.to_string());
        add(short(rate.total));
        add(format!("({})", short(rate.total)));
    }
    for (port, count) in &view.ports {
        add(port.clone());
        add(count.to_string());
        add(short(*count as u64));
    }
    let held = ["blocked", "fenced"]
        .map(|state| view.sources.iter().filter(|source| source.state.name() == state).count() as u64);
    let would = [State::Blocked, State::Fenced]
        .map(|state| view.would.iter().filter(|source| source.state == state).count() as u64);
    let all = [would.iter().sum::<u64>()];
    for number in
        view.gauges.iter().flat_map(|gauge| [gauge.used, gauge.size]).chain(held).chain(would).chain(all)
    {
        add(number.to_string());
        add(format!("{number},"));
        add(short(number));
    }
    add(view.daemon.unwrap_or_default().to_string());
    // `eth0`, and in the kinds `IPv4`.
    for text in
        ["eth0", "IPv4", "IPv6", "BLOCK_TCP=\"1\"", "BLOCK_UDP=\"1\"", "BLOCK_TCP=\"0\"", "BLOCK_UDP=\"0\""]
    {
        add(text.into());
    }
    add(screen.rows.len().to_string());
    texts
}

/// Asserts that each word with a digit on the screen is whole.
fn assert_whole(view: &View, screen: &mut Screen, size: (u16, u16)) -> Result<(), TestCaseError> {
    let text = text_of(view, screen, size);
    let expected = expected(view, screen);
    let range = format!("{}-{}", screen.offset + 1, (screen.offset + screen.height).min(screen.rows.len()));
    for word in text.split(|char: char| char.is_whitespace() || char == '│') {
        let is_number = word.chars().any(|char| char.is_ascii_digit());
        let is_whole = expected.contains(word) || word == range || is_elided(word, view);
        prop_assert!(!is_number || is_whole, "{word} is cut at {size:?}:\n{text}");
    }
    Ok(())
}

/// Whether `word` is an address with an ellipsis in the place of some of its groups.
fn is_elided(word: &str, view: &View) -> bool {
    let Some((head, tail)) = word.split_once('…') else { return false };
    let mut names = view.all().map(|source| name_of(source.address));
    names.any(|name| name.starts_with(head) && name.ends_with(tail))
}

fn any_would() -> impl Strategy<Value = Would> {
    let port = (any::<u16>(), any::<bool>())
        .prop_map(|(port, is_tcp)| format!("{port}/{}", if is_tcp { "TCP" } else { "UDP" }));
    let ports = proptest::collection::vec(port, 1..5);
    let state = prop_oneof![Just(State::Blocked), Just(State::Fenced)];
    (any_source(), state, 0..20_000_u64, ports, 0..1000_usize, any::<usize>()).prop_map(
        |((address, ..), state, minutes, ports, more, packets)| {
            let ports: Vec<&str> = ports.iter().map(String::as_str).collect();
            let would = would_be(&address.to_string(), state, minutes, &ports);
            Would { port_count: ports.len() + more, packets, ..would }
        },
    )
}

fn any_source() -> impl Strategy<Value = (IpNet, State, portsentry_common::block::Block)> {
    let address =
        prop_oneof![any::<[u8; 4]>().prop_map(IpAddr::from), any::<[u8; 16]>().prop_map(IpAddr::from)];
    let network = (address, any::<bool>()).prop_map(|(address, is_network)| {
        let length = if address.is_ipv4() { 24 } else { 64 };
        let network = IpNet::new(address, length).unwrap().trunc();
        if is_network { network } else { address.into() }
    });
    let state = prop_oneof![Just(State::Blocked), Just(State::Fenced)];
    let dropped = prop_oneof![0..100_u64, 0..10_000_000_u64, any::<u64>()];
    (network, state, 1..=u16::MAX, dropped, any::<u32>()).prop_map(|(network, state, port, dropped, hits)| {
        let block = portsentry_common::block::Block { hits, ..block(port, dropped) };
        (network, state, block)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_number_is_cut_at_any_size(
        (width, height) in (20_u16..=200, 5_u16..=60),
        sources in proptest::collection::vec(any_source(), 0..40),
        probes in prop_oneof![0..1000_u64, 0..u64::MAX / 4],
        daemon in proptest::option::of(1..4_194_304_i32),
        (order, page) in (
            prop_oneof![Just(Order::Rate), Just(Order::Dropped), Just(Order::Hits), Just(Order::Age), Just(Order::Address)],
            prop_oneof![Just(Page::Sources), Just(Page::Figures)],
        ),
        would in proptest::option::of(proptest::collection::vec(any_would(), 0..20)),
        selected in 0_usize..40,
    ) {
        let before = sample(0, probes / 2, Vec::new());
        let mut now = sample(3, probes, sources);
        now.would = would.map(|sources| Ok(WouldBe { sources, left_out: 0 }));
        now.daemon = daemon;
        let view = View::new(&before, &now);
        let mut screen = Screen { order, page, ..Screen::default() };
        screen.arrange(&view);
        screen.selected = screen.rows.get(selected).map(|source| (source.address, selected));
        assert_whole(&view, &mut screen, (width, height))?;
    }
}

#[test]
fn the_view_has_what_the_property_test_expects() {
    let view = view();
    assert_eq!(view.sources[0].age, Duration::from_mins(2));
    assert!(expected(&view, &Screen::default()).contains("11/TCP"));
}
