//! The figures of a run, as tables that `docs/detection.md` holds and `--check` reads there.

use std::fmt::Write;

use clap::Args;
use portsentry_common::scan::group::View;

use crate::{
    distributed, distributed_v6, honest,
    picture::{Line, Panel},
    rules::RULES,
    scanners,
    trial::{self, Outcome},
};

/// The size of a run.
#[derive(Args, Clone, Debug)]
pub struct Size {
    /// Seed of the traffic.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Days, each with new sources.
    #[arg(long, default_value_t = 1)]
    pub days: u32,
    /// Scanners of each class, each day.
    #[arg(long, default_value_t = 100)]
    pub scanners: u64,
    /// Honest sources each day.
    #[arg(long, default_value_t = 30_000)]
    pub honest: u64,
    /// Spoofed sources a second, for a day each.
    #[arg(
        long = "flood",
        value_name = "FLOOD",
        value_delimiter = ',',
        default_value = "0,1000,10000,100000"
    )]
    pub floods: Vec<u32>,
    /// Scanners beside a flood.
    #[arg(long, default_value_t = 500)]
    pub beside: u64,
    /// Distributed scans of each class.
    #[arg(long, default_value_t = 100)]
    pub distributed: u64,
    /// Days of unrelated sources at scanned ports.
    #[arg(long, default_value_t = 10)]
    pub unrelated: u32,
}

/// Paces beside a flood, in seconds.
pub const PACES: [(u32, &str); 3] =
    [(1, "a probe a second"), (300, "a probe in 5 min"), (3600, "a probe an hour")];

/// A table, whose cells are text.
#[derive(Debug, PartialEq, Eq)]
pub struct Table {
    /// Heads of the columns. The first one is of the rows' names.
    pub heads: Vec<String>,
    /// The rows.
    pub rows: Vec<Vec<String>>,
}

impl Table {
    /// Returns a table without rows.
    pub fn new<'a>(heads: impl IntoIterator<Item = &'a str>) -> Self {
        Self { heads: heads.into_iter().map(str::to_owned).collect(), rows: Vec::new() }
    }

    /// Returns the table in Markdown.
    pub fn markdown(&self) -> String {
        let mut text = format!("| {} |\n|{}\n", self.heads.join(" | "), "---|".repeat(self.heads.len()));
        for row in &self.rows {
            let _ = writeln!(text, "| {} |", row.join(" | "));
        }
        text
    }
}

/// Returns the tables: scanners, honest sources, scanners beside floods, distributed scans, their false alarms, and honest
/// sources as their members.
pub fn measure(size: &Size) -> [Table; 6] {
    let outcomes = trial::run(size.seed, size.days, size.scanners, size.honest);
    let heads = |first| Table::new([first, "sources"].into_iter().chain(RULES));
    let mut found = heads("class");
    for (class, outcome) in scanners::CLASSES.iter().zip(&outcomes.scanners) {
        found.rows.push(row(class.name, outcome, |contacts| share(contacts, outcome.sources)));
    }
    let mut alarmed = heads("honest class");
    for ((_, name, _), outcome) in honest::CLASSES.iter().zip(&outcomes.honest) {
        alarmed.rows.push(row(name, outcome, |contacts| contacts.len().to_string()));
    }
    [found, alarmed, beside(size), distributed(size), unrelated(size), members(size)]
}

fn row(name: &str, outcome: &Outcome, cell: impl Fn(&[u32]) -> String) -> Vec<String> {
    let cells = outcome.found.iter().map(|contacts| cell(contacts));
    [name.to_owned(), outcome.sources.to_string()].into_iter().chain(cells).collect()
}

/// Returns a part of `sources` in percent, with the average, the 99th percentile and the most of its sorted numbers of
/// contacts.
#[expect(clippy::cast_precision_loss, reason = "small numbers")]
fn share(contacts: &[u32], sources: u64) -> String {
    let Some(most) = contacts.last() else { return "0 %".to_owned() };
    let part = 100.0 * contacts.len() as f64 / sources as f64;
    let average = contacts.iter().map(|it| f64::from(*it)).sum::<f64>() / contacts.len() as f64;
    let nearly_all = contacts[(contacts.len() * 99).div_ceil(100) - 1];
    format!("{part:.1} % ({average:.1}, {nearly_all}, {most})")
}

fn beside(size: &Size) -> Table {
    let lru: Vec<_> = PACES.iter().map(|(_, name)| format!("LRU, {name}")).collect();
    let heads = PACES.iter().map(|(_, name)| *name).chain(lru.iter().map(String::as_str));
    let mut table = Table::new(["spoofed sources a second"].into_iter().chain(heads));
    for rate in &size.floods {
        let trials = PACES.map(|(each, _)| trial::beside_flood(size.seed, *rate, each, size.beside));
        let cells = trials.iter().map(|it| share(&it.ours, size.beside));
        let others = trials.iter().map(|it| share(&it.lru, size.beside));
        table.rows.push([rate.to_string()].into_iter().chain(cells).chain(others).collect());
    }
    table
}

fn distributed(size: &Size) -> Table {
    let heads: Vec<_> = distributed::NOISE.iter().map(|it| (f64::from(*it) / 100.0).to_string()).collect();
    let mut table = Table::new(["distributed scan"].into_iter().chain(heads.iter().map(String::as_str)));
    let mut add = |name: String, recall: &dyn Fn(u32) -> (f64, f64)| {
        let cells = distributed::NOISE.iter().map(|noise| match recall(*noise) {
            (0.0, _) => "0 %".to_owned(),
            (found, covered) => format!("{:.1} % ({covered:.0})", 100.0 * found),
        });
        table.rows.push([name].into_iter().chain(cells).collect());
    };
    let (trials, seed) = (size.distributed, size.seed);
    for class in &distributed::CLASSES {
        add(class.name.to_owned(), &|noise| distributed::recall(class, noise, trials, seed));
    }
    for (view, name) in [(View::Hosts, "hosts"), (View::Subnets, "subnets")] {
        let class = &distributed::CLASSES[0];
        let name = format!("IPv6 {name}: {}", class.name);
        add(name, &|noise| distributed_v6::recall(class, view, noise, trials, seed));
    }
    table
}

fn unrelated(size: &Size) -> Table {
    let mut table = Table::new(["unrelated sources", "group-days", "reported"]);
    let [groups, reported] = distributed::unrelated(size.unrelated, size.seed);
    table.rows.push(vec!["48 scanned ports".to_owned(), groups.to_string(), reported.to_string()]);
    let [groups, reported] = distributed_v6::false_alarms(size.unrelated, size.seed);
    table.rows.push(vec!["IPv6, 20 scanned ports".to_owned(), groups.to_string(), reported.to_string()]);
    table
}

fn members(size: &Size) -> Table {
    let mut table = Table::new(["honest sources as members", "sources", "fenced"]);
    let fenced = trial::all_members(size.seed, size.days, size.honest);
    let sources = u64::from(size.days) * size.honest;
    table.rows.push(vec!["all classes".to_owned(), sources.to_string(), fenced.to_string()]);
    table
}

/// Paces in the picture, in seconds.
const DRAWN: [u32; 7] = [1, 10, 60, 300, 900, 1800, 3600];
/// Spoofed sources a second in the picture.
const FLOOD: u32 = 10_000;

/// Returns what the picture shows: the part of the scanners that each rule finds at each pace, and that is fenced beside
/// a flood.
#[expect(clippy::cast_precision_loss, reason = "small numbers")]
pub fn panels(size: &Size) -> [Panel; 2] {
    let line = |name: &str, points: Vec<(f64, f64)>| Line { name: name.to_owned(), points };
    let alone = DRAWN.map(|each| (f64::from(each), trial::by_pace(size.seed, each, size.scanners)));
    let alone = (1..RULES.len())
        .map(|rule| {
            let points = alone.iter().map(|(each, found)| (*each, found[rule]));
            line(RULES[rule], points.collect())
        })
        .collect();
    let beside =
        DRAWN.map(|each| (f64::from(each), trial::beside_flood(size.seed, FLOOD, each, size.beside)));
    let percent = |contacts: &[u32]| 100.0 * contacts.len() as f64 / size.beside as f64;
    let ours = beside.iter().map(|(each, it)| (*each, percent(&it.ours))).collect();
    let lru = beside.iter().map(|(each, it)| (*each, percent(&it.lru))).collect();
    [
        Panel { title: "Found within a day: sweeps, ports of a host, blocks".to_owned(), lines: alone },
        Panel {
            title: "Sweeps beside 10,000 spoofed sources a second".to_owned(),
            lines: vec![line("portsentry, fence", ours), line("LRU of the same size", lru)],
        },
    ]
}
