//! Draws the demonstration's output as a terminal, in SVG.

use std::{
    fmt::Write as _,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};

/// Size of a character, and distance between two lines, in pixels.
const CHARACTER: usize = 8;
const LINE: usize = 19;
const MARGIN: usize = 16;
/// Width of the picture in columns. Longer lines are broken.
const COLUMNS: usize = 104;

/// Runs the demonstration of `daemon` in a separate process, and draws its output.
pub(super) fn run(daemon: &Path, picture: &Path) -> Result<()> {
    let program = std::env::current_exe().context("finding this program")?;
    let mut demo = Command::new(program)
        .args(["demo", "--daemon"])
        .arg(daemon)
        .stdout(Stdio::piped())
        .spawn()
        .context("starting the demonstration")?;
    let mut lines = Vec::new();
    for line in BufReader::new(demo.stdout.take().context("its output")?).lines() {
        let line = line.context("reading its output")?;
        println!("{line}");
        lines.push(line);
    }
    ensure!(demo.wait().context("waiting for the demonstration")?.success(), "the demonstration failed");
    std::fs::write(picture, svg(&excerpt(&lines))).with_context(|| format!("writing {}", picture.display()))
}

/// Returns the sections on the scans over IPv4, without lines that repeat or vary.
fn excerpt(lines: &[String]) -> Vec<&str> {
    let (mut wanted, mut is_wanted): (Vec<&str>, bool) = (Vec::new(), false);
    for line in lines.iter().map(|line| line.trim_end()) {
        if line.starts_with("== ") {
            is_wanted =
                ["IPv4", "looks open", "handshakes", "nothing at all"].iter().any(|part| line.contains(part));
        }
        // Scans over IPv6 show the same.
        is_wanted &= !line.contains(" -6 ");
        let is_noise = [
            "listen mode",
            "Starting Nmap",
            "PORT ",
            "Kernel maps",
            "Services are",
            "Warning",
            "closed",
            "MAC Address",
        ]
        .iter()
        .any(|part| line.contains(part));
        if is_wanted && !is_noise && !(line.is_empty() && wanted.last().is_some_and(|last| last.is_empty())) {
            wanted.push(line);
        }
    }
    wanted
}

fn svg(lines: &[&str]) -> String {
    let lines: Vec<_> =
        lines.iter().flat_map(|line| broken(line).into_iter().map(|part| (part, colour(line)))).collect();
    let (width, height) = (COLUMNS * CHARACTER + 2 * MARGIN, lines.len() * LINE + 2 * MARGIN);
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" role=\"img\">\n\
         <title>portsentry: a port scan is detected, logged and dropped</title>\n\
         <rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"#14181f\"/>\n\
         <g font-family=\"ui-monospace, Menlo, Consolas, monospace\" font-size=\"13\" xml:space=\"preserve\">\n"
    );
    for (number, (line, colour)) in lines.iter().enumerate() {
        // Writing to a string never fails.
        let _ = writeln!(
            text,
            "<text x=\"{MARGIN}\" y=\"{}\" fill=\"{}\">{}</text>",
            MARGIN + (number + 1) * LINE - 5,
            colour,
            line.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
        );
    }
    text + "</g>\n</svg>\n"
}

/// Breaks a line at spaces into parts that fit, the further ones indented.
fn broken(line: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    for word in line.split_inclusive(' ') {
        let last = parts.last_mut().unwrap_or_else(|| unreachable!("there is always a part"));
        if last.len() + word.trim_end().len() > COLUMNS {
            parts.push(format!("          {word}"));
        } else {
            last.push_str(word);
        }
    }
    parts
}

/// Returns the colour of a heading, a command, an alert, or other output.
fn colour(line: &str) -> &'static str {
    if line.starts_with("== ") {
        "#7ab3e8"
    } else if line.trim_start().starts_with("$ ") {
        "#8fcfa8"
    } else if line.contains("attackalert") {
        "#e8b27a"
    } else {
        "#c9d1d9"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_is_drawn_as_text() {
        let drawn = svg(&["== A scan", "a < b & c"]);
        assert_eq!(drawn.matches("<text").count(), 2);
        assert!(drawn.contains(">a &lt; b &amp; c</text>"), "{drawn}");
    }

    #[test]
    fn long_lines_are_broken_at_spaces() {
        let line = "word ".repeat(30);
        let parts = broken(&line);
        assert!(parts.len() == 2 && parts.iter().all(|part| part.trim_end().len() <= COLUMNS), "{parts:?}");
    }

    #[test]
    fn the_excerpt_leaves_sections_and_noise_out() {
        let lines = ["== A scan over IPv4", "", "", "log | x", "listen mode", "== The kernel's maps", "y"];
        let lines = lines.map(str::to_owned);
        assert_eq!(excerpt(&lines), ["== A scan over IPv4", "", "log | x"]);
    }
}
