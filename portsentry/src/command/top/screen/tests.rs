use std::net::IpAddr;

use super::*;
use crate::{
    command::top::view::tests::{block, observing, sample, would_be},
    policy::State,
};

fn view_of(sources: &[(&str, State, u16, u64)]) -> View {
    let source = |(address, state, port, dropped): &(&str, State, u16, u64)| {
        let address = network(address).unwrap();
        (address, *state, block(*port, *dropped))
    };
    let sample = sample(0, 10, sources.iter().map(source).collect());
    View::new(&sample, &sample)
}

fn view() -> View {
    view_of(&[
        ("192.0.2.7", State::Blocked, 11, 500),
        ("192.0.2.80", State::Fenced, 79, 20),
        ("198.51.100.9", State::Fenced, 11, 3000),
        ("203.0.113.0/24", State::Blocked, 0, 1),
        ("2001:db8::9", State::Blocked, 3389, 40),
    ])
}

fn shown(screen: &Screen) -> Vec<String> {
    screen.rows.iter().map(|source| name_of(source.address)).collect()
}

/// Presses keys: a character each, `\n` for enter, `\x1b` for escape, `v` for down, `^` for up.
fn press(screen: &mut Screen, view: &View, keys: &str) -> Step {
    let mut step = Step::Continue;
    for key in keys.chars() {
        let code = match key {
            '\n' => KeyCode::Enter,
            '\x1b' => KeyCode::Esc,
            'v' => KeyCode::Down,
            '^' => KeyCode::Up,
            other => KeyCode::Char(other),
        };
        step = screen.press(KeyEvent::new(code, KeyModifiers::NONE), view);
    }
    step
}

fn screen(view: &View) -> Screen {
    let mut screen = Screen::default();
    screen.arrange(view);
    screen.resize(3);
    screen
}

#[test]
fn keys_end_it() {
    let view = view();
    for (keys, expected) in [
        ("q", Step::End),
        ("\x1b", Step::End),
        ("?\x1b", Step::Continue),
        ("v\x1b", Step::Continue),
        ("v\x1b\x1b", Step::End),
        ("/9\n\x1b", Step::Continue),
        ("x", Step::Continue),
        ("/q", Step::Continue),
    ] {
        assert_eq!(press(&mut screen(&view), &view, keys), expected, "{keys:?}");
    }
    let interrupt = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
    assert_eq!(screen(&view).press(interrupt, &view), Step::End);
}

#[test]
fn sources_are_sorted() {
    let view = view();
    let mut screen = screen(&view);
    for (keys, first, last) in [
        ("s", "198.51.100.9", "203.0.113.0/24"),
        ("r", "203.0.113.0/24", "198.51.100.9"),
        ("rsss", "192.0.2.7", "2001:db8::9"),
        ("r", "2001:db8::9", "192.0.2.7"),
    ] {
        press(&mut screen, &view, keys);
        let rows = shown(&screen);
        assert_eq!((rows[0].as_str(), rows[4].as_str()), (first, last), "{:?}", screen.order);
    }
}

#[test]
fn sources_are_filtered_by_any_text_or_by_network() {
    let view = view();
    for (filter, expected) in [
        ("192.0.2", &["192.0.2.7", "192.0.2.80"][..]),
        ("192.0.2.0/25", &["192.0.2.7", "192.0.2.80"]),
        ("203.0.113.7/32", &["203.0.113.0/24"]),
        ("FENCED", &["192.0.2.80", "198.51.100.9"]),
        ("11/tcp", &["192.0.2.7", "198.51.100.9"]),
        ("admin", &["203.0.113.0/24"]),
        ("nobody", &[]),
    ] {
        let mut screen = screen(&view);
        press(&mut screen, &view, &format!("ssss/{filter}\n"));
        assert_eq!(shown(&screen), expected, "{filter}");
        press(&mut screen, &view, "/\x1b");
        assert_eq!(screen.rows.len(), 5, "escape removes the filter");
    }
}

#[test]
fn the_selection_follows_its_source_and_is_visible() {
    let view = view();
    let mut screen = screen(&view);
    press(&mut screen, &view, "ssssvvvvv");
    assert_eq!(
        screen.selected.map(|(address, row)| (name_of(address), row)),
        Some(("2001:db8::9".into(), 4))
    );
    assert_eq!(screen.offset, 2);
    // Another order moves it.
    press(&mut screen, &view, "ss");
    assert_eq!(screen.selected.map(|(_, row)| row), Some(2), "by packets dropped");
    assert!((screen.offset..screen.offset + screen.height).contains(&2), "{}", screen.offset);
    // Its source is gone: the next one in its row is selected.
    let without: Vec<_> =
        view.sources.iter().filter(|source| name_of(source.address) != "2001:db8::9").cloned().collect();
    let rest = View { sources: without, ..view.clone() };
    screen.arrange(&rest);
    assert_eq!(screen.selected.map(|(address, _)| name_of(address)), Some("192.0.2.80".into()));
    screen.arrange(&View { sources: Vec::new(), ..view.clone() });
    assert_eq!((screen.selected, screen.offset), (None, 0));
    press(&mut screen, &view, "v^G");
}

#[test]
fn nothing_is_unblocked_without_a_selection_and_a_confirmation() {
    let view = view();
    let address: IpNet = IpAddr::from([192, 0, 2, 7]).into();
    let mut screen = screen(&view);
    press(&mut screen, &view, "ssss");
    assert_eq!(press(&mut screen, &view, "uy"), Step::Continue, "nothing is selected");
    assert_eq!(press(&mut screen, &view, "vu"), Step::Continue);
    assert_eq!(screen.prompt, Prompt::Confirm(address));
    assert_eq!(press(&mut screen, &view, "n"), Step::Continue);
    assert_eq!(screen.prompt, Prompt::Message("192.0.2.7 stays as it is".into()));
    assert_eq!(press(&mut screen, &view, "uy"), Step::Unblock(address));
    assert_eq!(press(&mut screen, &view, "uyq"), Step::Continue, "it is busy");
    assert_eq!(screen.prompt, Prompt::Busy(address));
}

#[test]
fn rows_that_move_do_not_change_what_is_confirmed() {
    let view = view();
    let mut screen = screen(&view);
    press(&mut screen, &view, "ssssvu");
    let asked = screen.prompt.clone();
    screen.arrange(&view_of(&[("198.51.100.9", State::Fenced, 11, 3000)]));
    assert_eq!(screen.prompt, asked);
    assert_eq!(press(&mut screen, &view, "y"), Step::Unblock(network("192.0.2.7").unwrap()));
}

#[test]
fn a_source_that_is_not_held_is_not_unblocked() {
    let would = vec![
        would_be("192.0.2.8/32", State::Blocked, 7, &["11/TCP", "79/TCP"]),
        would_be("192.0.2.9/32", State::Fenced, 3, &["69/UDP"]),
    ];
    let view = observing(&[], would.clone());
    let mut screen = screen(&view);
    assert_eq!((shown(&screen), screen.order), (vec!["192.0.2.9".into(), "192.0.2.8".into()], Order::Age));
    press(&mut screen, &view, "vu");
    let Prompt::Message(message) = &screen.prompt else { panic!("{:?}", screen.prompt) };
    assert!(
        message.starts_with("192.0.2.9 is neither blocked nor fenced: PortSentry only observes"),
        "{message}"
    );
    // Orders by dropped packets are skipped.
    for order in [Order::Address, Order::Hits, Order::Age] {
        press(&mut screen, &view, "s");
        assert_eq!(screen.order, order);
    }
    press(&mut screen, &view, "/would be blocked\n");
    assert_eq!(shown(&screen), ["192.0.2.8"]);
    press(&mut screen, &view, "\x1b\x1b/69/udp\n");
    assert_eq!(shown(&screen), ["192.0.2.9"]);
    // A held source is.
    let view = observing(&[(1, block(0, 5))], would);
    let mut screen = self::screen(&view);
    press(&mut screen, &view, "vu");
    assert_eq!(screen.prompt, Prompt::Confirm("192.0.2.1/32".parse().unwrap()));
}
