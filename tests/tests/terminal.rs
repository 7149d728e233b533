//! Output on a terminal: `top` in tmux, and the text of `why` and `down`.

use std::{fs, os::unix::fs::PermissionsExt, process::Command, time::Instant};

use portsentry_tests::lab::{Family, INTERFACE, Lab, Portsentry, Reach, binary};

/// A terminal of 100 columns and 40 lines with a shell. Closed when dropped.
struct Terminal(String);

impl Terminal {
    fn open(lab: &Lab) -> Self {
        let terminal = Self(format!("portsentry-test-{}", lab.host.name()));
        let mut shell = lab.host.command("tmux");
        shell.args([
            "-L",
            &terminal.0,
            "-f",
            "/dev/null",
            "new-session",
            "-d",
            "-x",
            "100",
            "-y",
            "40",
            "sh",
        ]);
        assert!(shell.status().expect("tmux of the Debian package tmux").success());
        terminal
    }

    fn tmux(&self, words: &[&str]) -> String {
        let ended = Command::new("tmux").args(["-L", &self.0]).args(words).output().expect("tmux");
        assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
        String::from_utf8_lossy(&ended.stdout).into_owned()
    }

    fn press(&self, keys: &[&str]) {
        self.tmux(&[&["send-keys"], keys].concat());
    }

    /// Returns the screen once it satisfies `holds`.
    fn wait_until(&self, what: &str, holds: impl Fn(&str) -> bool) -> String {
        let begun = Instant::now();
        loop {
            let shown = self.tmux(&["capture-pane", "-p"]);
            if holds(&shown) {
                return shown;
            }
            assert!(begun.elapsed().as_secs() < 30, "in vain: {what}\n{shown}");
        }
    }

    /// Starts `portsentry top`, and reports its end.
    fn top(&self, setup: &Portsentry<'_>) {
        let line = format!("{} -c {} top; echo over: $?", binary().display(), setup.config_path().display());
        self.press(&["-l", &line]);
        self.press(&["Enter"]);
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // It may already have ended with its last shell.
        let _ = Command::new("tmux").args(["-L", &self.0, "kill-server"]).status();
    }
}

#[test]
fn top_shows_what_comes_while_it_comes() {
    let lab = Lab::new();
    let setup = lab.portsentry("-stcp");
    let daemon = setup.start();
    let terminal = Terminal::open(&lab);
    terminal.top(&setup);
    let attached = format!("attached to {INTERFACE}  daemon {}", daemon.process());
    let drawn = |shown: &str| shown.contains(&attached) && shown.contains("q quits");
    let shown = terminal.wait_until("it is drawn to the last line", drawn);
    assert!(!shown.contains("192.0.2."), "{shown}");

    let source = lab.source(Family::V4);
    lab.nmap(source, "-sX -p 11");
    let line =
        |shown: &str| shown.lines().find(|line| line.contains(&format!("{source} "))).map(str::to_owned);
    let shown = terminal.wait_until("the source is shown, with all about it", |shown| {
        line(shown).is_some_and(|line| ["blocked", "11/TCP", "XMAS"].iter().all(|told| line.contains(told)))
    });
    for panel in [" kinds of probes", " ports", " fill "] {
        assert!(shown.contains(panel), "there is no panel \"{panel}\": {shown}");
    }

    let stream = lab.keep_sending(source);
    terminal.wait_until("what is dropped a second is shown", |shown| {
        let fast = |shown| {
            let rate: String = line(shown)?.split_whitespace().nth(2)?.to_owned();
            Some(rate.ends_with('k') || rate.parse::<f64>().ok()? > 50.0)
        };
        fast(shown) == Some(true)
    });
    assert_eq!(stream.end().1, 0);

    daemon.kill();
    terminal.wait_until("the daemon's death is shown", |shown| shown.contains("no daemon runs"));
    terminal.press(&["q"]);
    let shown = terminal.wait_until("it ends", |shown| shown.contains("over: 0"));
    assert!(!shown.contains("held sources"), "the terminal is as it was: {shown}");

    terminal.top(&setup);
    terminal.wait_until("it is drawn again", |shown| shown.contains("held sources"));
    terminal.tmux(&["resize-window", "-x", "60", "-y", "15"]);
    terminal.wait_until("it fits", |shown| shown.lines().count() <= 15 && shown.contains("q quits"));
    terminal.press(&["C-c"]);
    terminal.wait_until("an interrupt ends it, too", |shown| shown.contains("over: 0"));
}

#[test]
fn keys_of_top_sort_filter_pause_and_unblock() {
    let lab = Lab::new();
    let setup = lab.portsentry("-stcp");
    let daemon = setup.start();
    let [one, other] = [lab.source(Family::V4), lab.source(Family::V4)];
    for (source, port) in [(one, 11), (other, 79)] {
        lab.nmap(source, &format!("-sS -p {port}"));
        daemon.wait_for_block(source);
    }
    let terminal = Terminal::open(&lab);
    terminal.tmux(&["resize-window", "-x", "80", "-y", "24"]);
    terminal.top(&setup);
    let has = |shown: &str, source: &std::net::IpAddr| shown.contains(&format!("{source} "));
    terminal.wait_until("both are shown", |shown| has(shown, &one) && has(shown, &other));
    terminal.press(&["/"]);
    terminal.press(&["-l", "79/tcp"]);
    terminal.press(&["Enter"]);
    terminal.wait_until("one is filtered out", |shown| !has(shown, &one) && has(shown, &other));
    terminal.press(&["s"]);
    terminal.wait_until("the order changes", |shown| {
        shown.contains("filter: 79/tcp  by packets dropped") && !shown.contains("dropped a second")
    });

    terminal.press(&["u"]);
    terminal
        .wait_until("a selection is needed", |shown| shown.contains("select a source with the arrow keys"));
    terminal.press(&["Down", "u"]);
    terminal.wait_until("it asks", |shown| shown.contains(&format!("Unblock {other}? y/n")));
    terminal.press(&["n"]);
    terminal.wait_until("nothing happens", |shown| shown.contains(&format!("{other} stays as it is")));
    assert!(daemon.blocked().contains(&other));
    terminal.press(&["u", "y"]);
    let unblocked = format!("{other}: unblocked");
    terminal.wait_until("it is unblocked", |shown| {
        shown.contains(&unblocked) && shown.contains("no source matches the filter")
    });
    assert_eq!(daemon.blocked(), [one]);

    // A pause keeps the frame.
    terminal.press(&["Escape"]);
    terminal.press(&["Escape"]);
    terminal.wait_until("the filter is removed", |shown| has(shown, &one));
    terminal.press(&["p"]);
    terminal.wait_until("it pauses", |shown| shown.contains("PAUSED"));
    assert_eq!(setup.say(&format!("unblock {one}")).code, 0);
    daemon.wait_until("it is free", || daemon.blocked().is_empty());
    assert!(has(&terminal.tmux(&["capture-pane", "-p"]), &one));
    terminal.press(&["p"]);
    terminal.wait_until("it goes on", |shown| shown.contains("no source is blocked or fenced"));
    terminal.press(&["q"]);
    terminal.wait_until("it ends", |shown| shown.contains("over: 0"));
}

#[test]
fn top_shows_the_sources_that_would_be_held_while_it_observes() {
    let lab = Lab::new();
    let setup = lab.portsentry("-stcp").with("BLOCK_TCP", "0").with("BLOCK_UNPROVEN", "0");
    let daemon = setup.start();
    let [one, other] = [lab.source(Family::V4), lab.source(Family::V6)];
    let terminal = Terminal::open(&lab);
    terminal.top(&setup);
    terminal.wait_until("no source was seen", |shown| {
        shown.contains("observing (nothing is blocked)") && shown.contains("blocked or fenced, or would be")
    });
    for (source, ports) in [(one, "1,7,11,79"), (other, "11")] {
        lab.nmap(source, &format!("-sS -p {ports}"));
    }
    let line = |shown: &str, source| {
        shown.lines().find(|line| line.contains(&format!("{source} "))).unwrap_or_default().to_owned()
    };
    let shown = terminal.wait_until("both are shown with their ports", |shown| {
        line(shown, one).contains("1/TCP, 7/TCP, 11/TCP and 1 more")
            && line(shown, other).contains(" 11/TCP ")
    });
    for expected in
        ["would be fenced 2, would be blocked 0", "sources that would be held 1-2 of 2", "PACKETS"]
    {
        assert!(shown.contains(expected), "{expected}: {shown}");
    }
    assert!(line(&shown, one).contains("would be fenced"), "{shown}");
    terminal.press(&["Down", "u"]);
    terminal
        .wait_until("there is nothing to unblock", |shown| shown.contains("is neither blocked nor fenced"));
    // A source that is ignored from now on would not be held.
    fs::write(setup.path("IGNORE_FILE"), format!("{other}\n")).expect("an ignore file");
    terminal.wait_until("it is gone", |shown| shown.contains("sources that would be held 1-1 of 1"));
    let said = setup.say("top --once --json").json();
    assert_eq!((&said["sources"], said["would"].as_array().map(Vec::len)), (&serde_json::json!([]), Some(1)));
    assert_eq!((&said["would"][0]["state"], &said["would"][0]["port_count"]), (&"fenced".into(), &4.into()));
    assert!(daemon.blocked().is_empty());
}

#[test]
fn top_shows_why_a_source_stays_blocked() {
    let lab = Lab::new();
    let setup = lab.portsentry("-stcp");
    let daemon = setup.start();
    let source = lab.source(Family::V4);
    lab.nmap(source, "-sS -p 11");
    daemon.wait_for_block(source);
    daemon.wait_until("the blocked file follows", || !daemon.file_about("BLOCKED_FILE", source).is_empty());
    // Without a daemon the command edits the file, and it never edits one that all users can write to.
    daemon.kill();
    let file = lab.files().join("portsentry.blocked");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o666)).expect("a mode");
    let terminal = Terminal::open(&lab);
    terminal.tmux(&["resize-window", "-x", "40", "-y", "12"]);
    terminal.top(&setup);
    terminal.wait_until("it is shown", |shown| shown.contains(&format!("{source}  blocked")));
    terminal.press(&["Down", "u", "y"]);
    // The message is broken into lines.
    let joined = |shown: &str| -> String { shown.split_whitespace().collect() };
    let shown = terminal.wait_until("it fails", |shown| joined(shown).contains("world-writable"));
    assert!(joined(&shown).contains("portsentry.blockedis"), "{shown}");
}

#[test]
fn one_frame_is_text() {
    let lab = Lab::new();
    let setup = lab.portsentry("-stcp");
    let daemon = setup.start();
    let source = lab.source(Family::V6);
    lab.nmap(source, "-sS -p 11");
    daemon.wait_for_block(source);
    let said = setup.say("top --once");
    assert_eq!((said.code, said.errors.as_str()), (0, ""));
    assert!(said.out.contains(&source.to_string()) && !said.out.contains('\x1b'), "{}", said.out);
    let said = setup.say("top");
    assert!(said.code == 1 && said.errors.contains("is not a terminal"), "{said:?}");
}

#[test]
fn why_tells_the_packets_that_led_to_a_block() {
    let lab = Lab::new();
    let setup = lab.portsentry("-stcp").with("SCAN_TRIGGER", "2");
    let daemon = setup.start();
    let source = lab.source(Family::V4);
    lab.nmap(source, "-sF -p 1,7,11 -g 40001");
    daemon.wait_for_block(source);
    daemon.wait_until("the blocked file follows", || !daemon.file_about("BLOCKED_FILE", source).is_empty());
    let said = setup.say(&format!("why {source} --json")).json();
    assert_eq!((&said["held"]["state"], &said["is_enforced"]), (&"blocked".into(), &true.into()), "{said}");
    assert_eq!(said["daemon"], daemon.process(), "{said}");
    let packets = said["evidence"].as_array().expect("packets");
    assert!(packets.len() >= 2, "each probe up to the block: {said}");
    for packet in packets {
        let told = [&packet["source"], &packet["protocol"], &packet["destination"]];
        assert_eq!(told, [&source.to_string(), "TCP", &Family::V4.host().to_string()], "{packet}");
        assert_eq!((&packet["flags"], &packet["source_port"]), (&1.into(), &40001.into()), "{packet}");
        assert!([1, 7, 11].map(Into::into).contains(&packet["port"]), "{packet}");
        assert!(packet["kind"].as_str().is_some_and(|kind| kind.contains("FIN")), "{packet}");
    }
    assert_eq!(packets.last().expect("the last")["verdict"], "block", "{said}");

    let said = setup.say(&format!("why {source}"));
    assert!(said.out.contains("blocked: all its packets are dropped\n"), "{}", said.out);
    assert!(said.out.contains("FIN") && said.out.contains(INTERFACE), "{}", said.out);
    daemon.kill();
    let said = setup.say(&format!("why {source}"));
    assert!(said.out.contains("by the kernel alone: no daemon is running"), "{}", said.out);
    let own = Family::V4.host();
    assert!(setup.say(&format!("why {own}")).out.contains("is never blocked: it is an address of this host"));
    let other = lab.source(Family::V4);
    let said = setup.say(&format!("why {other}"));
    assert!(said.code == 0 && said.out.contains("neither blocked nor fenced"), "{}", said.out);
}

#[test]
fn down_leaves_nothing_in_the_kernel_and_everything_in_the_files() {
    let lab = Lab::new();
    let service = lab.serve_tcp(8080);
    let setup = lab.portsentry("-stcp").with("ON_STOP", "keep");
    let daemon = setup.start();
    let (source, process, pins) = (lab.source(Family::V4), daemon.process(), daemon.pins());
    lab.nmap(source, "-sS -p 11");
    daemon.wait_for_block(source);
    let said = setup.say("down");
    assert_eq!((said.code, said.errors.as_str()), (0, ""));
    assert!(said.out.contains(&format!("the daemon (process {process}) has stopped")), "{}", said.out);
    assert!(said.out.contains("detached from one interface"), "{}", said.out);
    assert!(!lab.is_attached() && !pins.exists());
    assert!(service.answers(&lab.scanner, source, Reach::Expected));
    let said = setup.say("down");
    assert!(said.code == 0 && said.out.contains("nothing is pinned in"), "{said:?}");
    let daemon = setup.start();
    assert_eq!(daemon.blocked(), [source], "the next start takes it over");
    assert!(!service.answers(&lab.scanner, source, Reach::Unexpected));
    // `down` also takes down the program of a killed daemon.
    daemon.kill();
    assert!(lab.is_attached());
    let said = setup.say("down --json");
    assert_eq!((said.code, &said.json()["removed"]["links"]), (0, &1.into()), "{}", said.out);
    assert_eq!(setup.say("down --json").json()["removed"], serde_json::Value::Null);
    assert!(!lab.is_attached());
}

#[test]
fn a_stop_detaches_or_keeps_the_program_as_configured() {
    for (on_stop, is_dropping, has_pins) in
        [("detach", false, true), ("keep", true, true), ("remove", false, false)]
    {
        let lab = Lab::new();
        let service = lab.serve_tcp(8080);
        let daemon = lab.portsentry("-stcp").with("ON_STOP", on_stop).start();
        let (source, pins) = (lab.source(Family::V4), daemon.pins());
        lab.nmap(source, "-sS -p 11");
        daemon.wait_for_block(source);
        assert_eq!(daemon.terminate().code, Some(0));
        let reach = if is_dropping { Reach::Unexpected } else { Reach::Expected };
        assert_eq!(service.answers(&lab.scanner, source, reach), !is_dropping, "{on_stop}");
        // An unprivileged daemon leaves the empty directory.
        let entries = fs::read_dir(&pins).into_iter().flatten();
        let left: Vec<_> = entries.map(|entry| entry.expect("an entry").file_name()).collect();
        assert_eq!((lab.is_attached(), !left.is_empty()), (is_dropping, has_pins), "{on_stop}: {left:?}");
    }
}
