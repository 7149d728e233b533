//! The baseline of path lengths, against which changes are checked.

use std::fmt::Write;

use anyhow::Result;

use crate::{count, machine::Run};

/// Returns a line of `bench/paths.txt` for each path, as `cargo xtask bench --paths` prints them.
pub(crate) fn text() -> Result<String> {
    let mut text = String::new();
    for (name, run) in count::count()? {
        writeln!(text, "{}", line(&name, &run))?;
    }
    Ok(text)
}

fn line(name: &str, run: &Run) -> String {
    let calls: Vec<String> = run.calls.iter().map(|(call, count)| format!("{count} {call}")).collect();
    format!("{name}: {} instructions; {}", run.instructions, calls.join(", "))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// Number of instructions by which a path may grow unnoticed, because another compiler spills other registers.
    const MARGIN: u64 = 6;

    fn baseline() -> BTreeMap<&'static str, (u64, &'static str)> {
        let lines = include_str!("../paths.txt").lines().map(|line| {
            let (name, rest) = line.split_once(": ").expect("a path's name");
            let (instructions, calls) = rest.split_once(" instructions; ").expect("instructions");
            (name, (instructions.parse().expect("a number"), calls))
        });
        lines.collect()
    }

    #[test]
    fn no_path_grows_unnoticed() {
        let baseline = baseline();
        let mut grown = Vec::new();
        for (name, run) in count::count().expect("every path runs") {
            let now = line(&name, &run);
            let (instructions, calls) = baseline.get(name.as_str()).copied().unwrap_or_default();
            if run.instructions > instructions + MARGIN || !now.ends_with(&format!("; {calls}")) {
                grown.push(format!("{now}\n  was: {instructions} instructions; {calls}"));
            }
        }
        assert!(
            grown.is_empty(),
            "paths through the kernel program have grown by more than {MARGIN} instructions, or call more. If that \
             is worth it, run `cargo xtask bench --paths > bench/paths.txt` and say why in the commit:\n{}",
            grown.join("\n")
        );
    }

    #[test]
    fn the_baseline_knows_no_paths_that_are_gone() {
        let names: Vec<String> = count::count().expect("every path runs").into_keys().collect();
        let known: Vec<&str> = baseline().into_keys().collect();
        assert_eq!(known, names);
    }
}
