//! The visible state of a source, and the table of ways in `docs/register.md`.

use std::{
    collections::BTreeMap,
    fs,
    net::{IpAddr, SocketAddr},
    thread,
    time::{Duration, Instant},
};

use portsentry_tests::{
    document,
    lab::{Daemon, Family, Portsentry, Probe, Said, mentions, wait_within},
};
use serde_json::Value;

use crate::metrics::metrics;

/// Longer than any step takes.
const PATIENCE: Duration = Duration::from_secs(20);
const COLUMNS: usize = 10;
type Row = [String; COLUMNS];

/// Returns the rows of the document's table.
pub(super) fn documented() -> BTreeMap<String, Row> {
    let text = document::read("docs/register.md");
    let rows = text.lines().filter(|line| line.starts_with("| in, ") || line.starts_with("| out, "));
    rows.map(|line| {
        let mut cells = line.trim_matches(['|', ' ']).split(" | ").map(str::to_owned);
        let name = cells.next().expect("a name");
        let cells: Vec<String> = cells.collect();
        (name, cells.try_into().unwrap_or_else(|cells| panic!("{COLUMNS} cells: {cells:?}")))
    })
    .collect()
}

/// The visible state of a source at one moment.
#[derive(Clone, Debug, Default)]
pub(super) struct Look {
    pub(super) kernel: &'static str,
    pub(super) held: i64,
    pub(super) history: usize,
    evidence: usize,
    log: usize,
    events: usize,
    pub(super) is_shown: bool,
    is_denied: bool,
    ran: usize,
    pub(super) metrics: BTreeMap<String, i64>,
}

/// A daemon, and one source.
pub(super) struct Watch<'lab> {
    pub(super) setup: Portsentry<'lab>,
    pub(super) source: IpAddr,
    pub(super) before: Look,
    /// A metric that other sources change at the same time.
    pub(super) shared: &'static str,
}

impl<'lab> Watch<'lab> {
    pub(super) fn new(setup: &Portsentry<'lab>, family: Family) -> Self {
        let source = setup.lab().source(family);
        Self { setup: setup.clone(), source, before: Look::default(), shared: "" }
    }

    fn lines(&self, file: &str) -> Vec<String> {
        let text = fs::read_to_string(file).unwrap_or_default();
        // The last line may be incomplete.
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        whole.lines().filter(|line| mentions(line, self.source)).map(str::to_owned).collect()
    }

    fn setting(&self, name: &str) -> Vec<String> {
        self.lines(&self.setup.path(name).display().to_string())
    }

    fn ran(&self) -> Vec<String> {
        self.setup.lab().recorded().into_iter().filter(|line| mentions(line, self.source)).collect()
    }

    fn log(&self, daemon: Option<&Daemon<'_>>) -> Vec<String> {
        daemon.map(|daemon| daemon.log().lines_about(self.source)).unwrap_or_default()
    }

    pub(super) fn look(&self, daemon: Option<&Daemon<'_>>) -> Look {
        let listed = self.setup.say(&format!("list --json --network {}", self.source)).json();
        let state = listed.as_array().and_then(|all| all.first()).and_then(|entry| entry["state"].as_str());
        let numbers = daemon.map(|_| metrics(self.setup.lab())).unwrap_or_default();
        let sample = |line: &str| {
            let (name, value) = line.rsplit_once(' ')?;
            Some((name.strip_prefix("portsentry_")?.to_owned(), value.split('.').next()?.parse().ok()?))
        };
        let numbers: BTreeMap<String, i64> = numbers.lines().filter_map(sample).collect();
        let sum = |names: [&str; 2]| {
            let of = |name: &&String| names.iter().any(|wanted| name.starts_with(wanted));
            numbers.iter().filter(|(name, _)| of(name)).map(|(_, value)| value).sum()
        };
        let cause = |name: &str| name.split('"').nth(1).unwrap_or_default().to_owned();
        let counted = |prefix: &str, word: &str| -> Vec<(String, i64)> {
            let all = numbers.iter().filter(|(name, _)| name.starts_with(prefix));
            all.map(|(name, value)| (format!("{word} {}", cause(name)), *value)).collect()
        };
        Look {
            kernel: match state {
                Some("blocked") => "blocked",
                Some("fenced") => "fenced",
                _ => "free",
            },
            held: sum(["blocked_sources{", "fenced_sources{"]),
            history: self.setting("HISTORY_FILE").len(),
            evidence: self.setting("EVIDENCE_FILE").len(),
            log: self.log(daemon).len(),
            events: self.setting("JSON_LOG").len(),
            is_shown: !self.setting("BLOCKED_FILE").is_empty(),
            is_denied: !self.setting("WRAPPER_HOSTS_DENY").is_empty(),
            ran: self.ran().len(),
            metrics: [counted("admitted_sources_total{", "in"), counted("released_sources_total{", "out")]
                .concat()
                .into_iter()
                .collect(),
        }
    }

    /// All later changes count as effects of the way.
    pub(super) fn begin(&mut self, daemon: &Daemon<'_>) {
        self.before = self.look(Some(daemon));
    }

    /// Forgets the log and the counters, because a new daemon starts with empty ones.
    pub(super) fn restart(&mut self) {
        self.before.log = 0;
        self.before.metrics.clear();
    }

    /// Returns the effects since [`Watch::begin`], in the document's words.
    fn row(&self, daemon: Option<&Daemon<'_>>, direction: &str) -> Row {
        let (before, now) = (&self.before, self.look(daemon));
        let change = |was: bool, is: bool, words: [&str; 2]| {
            String::from(match (was, is) {
                (false, true) => words[0],
                (true, false) => words[1],
                (true, true) => "kept",
                (false, false) => "-",
            })
        };
        let new = |lines: Vec<String>, from: usize, word: fn(&str) -> String| {
            let mut words: Vec<String> = Vec::new();
            for line in lines.iter().skip(from) {
                let word = word(line);
                if !words.contains(&word) {
                    words.push(word);
                }
            }
            words.sort_by_key(|word| ORDER.iter().position(|other| other == word));
            or_none(&words)
        };
        let is_changed = |(name, value): &(&String, &i64)| {
            **value != *before.metrics.get(*name).unwrap_or(&0) && *name != self.shared
        };
        let counted = now.metrics.iter().filter(is_changed);
        [
            if now.kernel == before.kernel {
                if now.kernel == "free" { "-" } else { "kept" }
            } else {
                now.kernel
            }
            .to_owned(),
            self.register(direction, now.held - before.held, before.is_shown, now.is_shown).to_owned(),
            new(self.setting("HISTORY_FILE"), before.history, history_word),
            new(self.setting("EVIDENCE_FILE"), before.evidence, evidence_word),
            new(self.log(daemon), before.log, log_word),
            new(self.setting("JSON_LOG"), before.events, event_word),
            change(before.is_shown, now.is_shown, ["added", "removed"]),
            change(before.is_denied, now.is_denied, ["added", "removed"]),
            new(self.ran(), before.ran, |line| line.split(' ').next().unwrap_or_default().to_owned()),
            or_none(
                &counted
                    .filter_map(|(name, _)| Some(name.strip_prefix(direction)?.trim().to_owned()))
                    .collect::<Vec<_>>(),
            ),
        ]
    }

    /// Returns the effect on the register, derived from the number of networks added to it and from the blocked
    /// file.
    fn register(&self, direction: &str, more: i64, was_shown: bool, is_shown: bool) -> &'static str {
        match (more, was_shown, is_shown) {
            (1, ..) => "entered",
            (-1, ..) => "removed",
            (0, false, false) => "-",
            (0, ..) => "kept",
            // Other sources have been added meanwhile.
            (_, false, true) => "entered",
            (_, true, false) if direction == "out" && self.ask("unblock").out.contains("is not blocked") => {
                "removed"
            }
            _ => "kept",
        }
    }

    /// Waits until the way has its documented effects, and then checks that it has no others.
    pub(super) fn expect(&self, daemon: Option<&Daemon<'_>>, way: &str) {
        let rows = documented();
        let row = rows.get(way).unwrap_or_else(|| panic!("docs/register.md has no row of \"{way}\""));
        let differs = |columns: usize| {
            let seen = self.row(daemon, way.split(',').next().unwrap_or_default());
            (seen[..columns] != row[..columns]).then(|| format!("| {way} | {} |", seen.join(" | ")))
        };
        let wait = |columns: usize| {
            let deadline = Instant::now() + PATIENCE;
            while let Some(seen) = differs(columns) {
                assert!(
                    Instant::now() < deadline,
                    "docs/register.md says\n| {way} | {} |\nand this is what it did:\n{seen}\n{:?}",
                    row.join(" | "),
                    self.log(daemon),
                );
                thread::yield_now();
            }
        };
        wait(COLUMNS);
        // An administrator's next request is handled after everything else.
        if daemon.is_some() {
            let (held, other) = (self.look(daemon).held, self.setup.lab().source(Family::V4));
            for (word, ran) in [("block", "kill"), ("unblock", "lift")] {
                assert_eq!(self.setup.say(&format!("{word} {other}")).code, 0);
                let line = format!("{ran} {other}");
                self.wait_until(&line, || self.setup.lab().recorded().contains(&line));
            }
            wait(COLUMNS - 1);
            // The sources of a flood, too, are released one after the other.
            if way != "out, fence: crowded" {
                self.wait_until("the metrics are those before", || self.look(daemon).held == held);
            }
        }
    }

    pub(super) fn wait_until(&self, what: &str, holds: impl Fn() -> bool) {
        wait_within(PATIENCE, || format!("in vain: {what} of {}", self.source), holds);
    }

    pub(super) fn probe(&self) -> Probe {
        let host = Family::of(self.source).host();
        Probe::tcp(&self.setup.lab().scanner, self.source, SocketAddr::new(host, 11))
    }

    /// Probes, and waits until the kernel holds the source.
    pub(super) fn come(&self) {
        let _probe = self.probe();
        self.wait_until("the kernel holds it", || self.look(None).kernel != "free");
    }

    /// Connects to one port without a service or trap after another until that has an effect. Returns the next port.
    pub(super) fn fail_until(&self, first: u16, holds: impl Fn() -> bool) -> u16 {
        let host = Family::of(self.source).host();
        let mut ports = first..first + 24;
        while !holds() {
            let port = ports.next().expect("an effect");
            // Once the source is fenced, the port accepts.
            let _ = self.setup.lab().scanner.connect_from(
                self.source,
                SocketAddr::new(host, port),
                Duration::from_millis(300),
            );
        }
        ports.start
    }

    /// Waits until all effects of the block or fence are complete, so that another way can begin.
    pub(super) fn wait_until_held(&self, daemon: &Daemon<'_>) {
        let line = format!("kill {}", self.source);
        self.wait_until(&line, || self.setup.lab().recorded().contains(&line));
        let is_logged =
            || daemon.log().lines_about(self.source).iter().any(|line| log_word(line) == "command");
        self.wait_until("the log has its command", is_logged);
        self.wait_until("the metrics show it", || self.look(Some(daemon)).held == 1);
    }

    pub(super) fn ask(&self, word: &str) -> Said {
        let said = self.setup.say(&format!("{word} {}", self.source));
        assert_eq!(said.code, 0, "{word}: {}{}", said.out, said.errors);
        said
    }
}

fn or_none(words: &[String]) -> String {
    if words.is_empty() { "-".to_owned() } else { words.join(", ") }
}

/// The order of words in a cell.
const ORDER: [&str; 12] = [
    "packets", "probe", "attack", "blocked", "fenced", "ordered", "block", "fence", "lifted", "lift", "deny",
    "command",
];

fn history_word(line: &str) -> String {
    let words =
        [("Blocked", "blocked"), ("Fenced", "fenced"), ("Lifted", "lifted"), ("Reported", "reported")];
    let line = line.split(" #").next().unwrap_or_default();
    words.iter().find(|(word, _)| line.ends_with(word)).map_or(line, |(_, word)| word).to_owned()
}

fn json(line: &str) -> Value {
    serde_json::from_str(line).expect("JSON")
}

fn evidence_word(line: &str) -> String {
    json(line)["action"].as_str().unwrap_or("packets").to_owned()
}

fn event_word(line: &str) -> String {
    json(line)["event"]["action"].as_str().expect("an action").to_owned()
}

pub(super) fn log_word(line: &str) -> String {
    let words = [
        (" from host: ", "attack"),
        (" has been blocked via wrappers ", "deny"),
        (" has been blocked in the kernel", "blocked"),
        (" has been fenced ", "fenced"),
        (" is blocked: ", "ordered"),
        (" is fenced: ", "ordered"),
        (" is no longer ", "lifted"),
        ("External command run ", "command"),
    ];
    words.iter().find(|(words, _)| line.contains(words)).map_or(line, |(_, word)| word).to_owned()
}
