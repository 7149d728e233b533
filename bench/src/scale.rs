//! Times for many sources: for blocking the sources of a list, and for taking over blocks after a restart.

use std::{fmt::Write, fs, path::Path, time::Instant};

use anyhow::{Context, Result};
use portsentry_tests::lab::{Lab, Portsentry, remove_pins};

use crate::{figures::Span, report::Report, turns::quantile};

/// Maximum time, in seconds.
pub(crate) const TARGET: f64 = 2.0;

/// Measures with `count` sources, half of each address family.
pub(crate) fn spans(count: u32, rounds: u32, report: &mut Report) -> Result<()> {
    const STEPS: [&str; 4] = [
        "a list of them is read and blocked",
        "it starts again after it was killed, with them in the kernel's maps",
        "it starts without them, for comparison",
        "it starts with them in the list, and no maps: after a reboot",
    ];
    let mut taken = vec![Vec::new(); STEPS.len()];
    for _ in 0..rounds.max(1) {
        for (taken, seconds) in taken.iter_mut().zip(round(count)?) {
            taken.push(seconds);
        }
    }
    let spans = STEPS.iter().zip(taken).map(|(step, taken)| Span {
        name: format!("{count} sources: {step}"),
        seconds: quantile(taken.iter().copied(), 2),
        most: taken.iter().copied().fold(0.0, f64::max),
    });
    report.scale = spans.collect();
    Ok(())
}

fn round(count: u32) -> Result<[f64; 4]> {
    let lab = Lab::new();
    let list = lab.files().join("portsentry.blocklist");
    fs::write(&list, "").context("a list")?;
    let capacity = (count / 2 + 16).to_string();
    let setup = lab.portsentry("-stcp").with("MAX_BLOCKED", &capacity);
    let setup = setup.with("BLOCK_LIST", &list.display().to_string());
    let (daemon, bare) = timed(|| setup.start());
    write_list(&list, count)?;
    let said = format!("it blocks {count} hosts and 0 networks");
    let (_, listed) = timed(|| daemon.log().wait_for(&said));
    daemon.kill();
    let (daemon, again) = timed(|| setup.start());
    daemon.kill();
    let rebooted = rebooted(&setup);
    Ok([listed, again, bare, rebooted])
}

fn rebooted(setup: &Portsentry<'_>) -> f64 {
    remove_pins(Path::new(&setup.setting("PIN_PATH")));
    let (daemon, seconds) = timed(|| setup.start());
    daemon.terminate();
    seconds
}

fn timed<T>(act: impl FnOnce() -> T) -> (T, f64) {
    let begin = Instant::now();
    let result = act();
    (result, begin.elapsed().as_secs_f64())
}

/// Written under another name first, so that the daemon reads a complete file.
fn write_list(path: &Path, count: u32) -> Result<()> {
    let mut text = String::new();
    for number in 0..count / 2 {
        let [_, a, b, c] = number.to_be_bytes();
        writeln!(text, "45.{a}.{b}.{c}\n2001:db8:{:x}::{:x}", number >> 8, number & 0xff)?;
    }
    let new = path.with_extension("new");
    fs::write(&new, text).context("a list")?;
    fs::rename(new, path).context("the list")
}
