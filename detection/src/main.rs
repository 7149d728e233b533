//! `cargo xtask detection`: how well scans without traps are detected, on traffic that is generated from a seed.

mod detector;
mod event;
mod honest;
mod network;
mod scanners;
mod trial;

use clap::Parser;

use crate::trial::{Outcome, Outcomes, RULES};

#[derive(Parser)]
#[command(about = "Prints recall, contacts up to detection, and false alarms by class, beside other rules")]
struct Arguments {
    /// Seed of the traffic
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Days, each with new sources
    #[arg(long, default_value_t = 1)]
    days: u32,
    /// Scanners of each class, each day
    #[arg(long, default_value_t = 100)]
    scanners: u64,
    /// Honest sources each day
    #[arg(long, default_value_t = 30_000)]
    honest: u64,
    /// Spoofed sources a second, for a day each
    #[arg(long, value_delimiter = ',', default_value = "0,1000,10000,100000")]
    flood: Vec<u32>,
}

fn main() {
    let Arguments { seed, days, scanners, honest, flood } = Arguments::parse();
    let Outcomes { scanners: found, honest: alarmed } = trial::run(seed, days, scanners, honest);
    println!("Scanners found in a day, and failed pairs up to then (average, most)\n");
    header();
    for (class, outcome) in scanners::CLASSES.iter().zip(&found) {
        println!("| {} | {} | {} |", class.name, outcome.sources, cells(outcome));
    }
    println!("\nHonest sources taken for scanners\n");
    header();
    for ((_, name, _), outcome) in honest::CLASSES.iter().zip(&alarmed) {
        let counts: Vec<_> = outcome.found.iter().map(u64::to_string).collect();
        println!("| {name} | {} | {} |", outcome.sources, counts.join(" | "));
    }
    println!("\nFenced in a day beside a flood of spoofed sources\n");
    println!("| spoofed sources a second | a probe in 5 min | a probe an hour |\n|---|---|---|");
    for rate in flood {
        let [fast, slow] = [300, 3600].map(|each| trial::beside_flood(seed, rate, each, 1000));
        println!("| {rate} | {:.1} % | {:.1} % |", 100.0 * fast, 100.0 * slow);
    }
}

fn header() {
    println!("| class | sources | {} |\n|---|---|{}", RULES.join(" | "), "---|".repeat(RULES.len()));
}

#[expect(clippy::cast_precision_loss, reason = "small numbers")]
fn cells(outcome: &Outcome) -> String {
    let cell = |place: usize| {
        let found = outcome.found[place];
        if found == 0 {
            return "0 %".to_owned();
        }
        let part = 100.0 * found as f64 / outcome.sources as f64;
        let average = outcome.contacts[place] as f64 / found as f64;
        format!("{part:.1} % ({average:.1}, {})", outcome.most[place])
    };
    (0..RULES.len()).map(cell).collect::<Vec<_>>().join(" | ")
}
