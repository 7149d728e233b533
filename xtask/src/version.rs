//! `cargo xtask version`: begins a new version, in all files that name it.

use std::{fs, process::Command};

use anyhow::{Context, Result, ensure};
use clap::Args;

use crate::{paths, shell};

/// Files that name the package's file.
const NAMING: [&str; 4] =
    ["deploy/kubernetes/portsentry.yaml", "docs/container.md", "docs/first-hour.md", "docs/upgrading.md"];

/// The version to begin.
#[derive(Args, Clone, Debug)]
pub(crate) struct Arguments {
    /// Three numbers, as 0.2.0
    version: String,
}

/// Changes the version, and begins its sections in the changelogs.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let new = arguments.version.as_str();
    let numbers: Vec<_> = new.split('.').map(str::parse::<u16>).collect();
    ensure!(
        numbers.len() == 3 && numbers.iter().all(Result::is_ok),
        "{new} is no version: three numbers, as 0.2.0"
    );
    let old = env!("CARGO_PKG_VERSION");
    ensure!(new != old, "the version is {old} already");
    edit("Cargo.toml", |text| {
        Some(text.replacen(&format!("version = \"{old}\""), &format!("version = \"{new}\""), 1))
    })?;
    edit("CHANGELOG.md", |text| section(text, new))?;
    let date = shell::output(Command::new("date").args(["--utc", "--rfc-email"]))?;
    edit("pkg/debian/changelog", |text| stanza(text, new, date.trim()))?;
    for document in NAMING {
        edit(document, |text| Some(named(text, old, new)))?;
    }
    shell::run(Command::new("cargo").current_dir(paths::root()).args(["update", "--workspace", "--offline"]))
}

/// Changes a file, which must change.
fn edit(path: &str, change: impl FnOnce(&str) -> Option<String>) -> Result<()> {
    let full = paths::root().join(path);
    let text = fs::read_to_string(&full).with_context(|| path.to_owned())?;
    let changed = change(&text).filter(|changed| *changed != text);
    let changed = changed.with_context(|| format!("{path} doesn't name the version where it should"))?;
    fs::write(&full, changed).with_context(|| path.to_owned())
}

/// Changes the version in names of packages and images.
fn named(text: &str, old: &str, new: &str) -> String {
    let names = ["portsentry-xdp_", "portsentry-", "portsentry:"];
    names
        .iter()
        .fold(text.to_owned(), |text, name| text.replace(&format!("{name}{old}"), &format!("{name}{new}")))
}

/// Begins a section of the changelog above the newest one.
fn section(text: &str, version: &str) -> Option<String> {
    let at = text.find("\n## [")? + 1;
    Some(format!("{}## [{version}] - unreleased\n\n{}", &text[..at], &text[at..]))
}

/// Begins a section of the package's changelog. `date` has the form of RFC 5322.
fn stanza(text: &str, version: &str, date: &str) -> Option<String> {
    let maintainer = text.lines().find_map(|line| line.strip_prefix(" -- "))?.split("  ").next()?;
    Some(format!(
        "portsentry-xdp ({version}-1) unstable; urgency=medium\n\n  * See /usr/share/doc/portsentry-xdp/changelog.gz.\n\n \
         -- {maintainer}  {date}\n\n{text}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_begins_above_the_last_one() {
        let text = section("# Changelog\n\nText.\n\n## [0.1.0] - 2026-01-01\n", "0.2.0").unwrap();
        assert_eq!(text, "# Changelog\n\nText.\n\n## [0.2.0] - unreleased\n\n## [0.1.0] - 2026-01-01\n");
        let names = "portsentry-xdp_0.1.0-1 portsentry-0.1.0-amd64.tar a/portsentry:0.1.0\n";
        assert_eq!(named(names, "0.1.0", "0.2.0"), names.replace("0.1.0", "0.2.0"));
        let date = "Sun, 29 Nov 2026 08:00:00 +0000";
        let text =
            stanza("p (1) u; urgency=medium\n\n  * A.\n\n -- A B <a@b>  then\n", "0.2.0", date).unwrap();
        assert!(text.starts_with("portsentry-xdp (0.2.0-1) unstable; urgency=medium\n\n  * See "), "{text}");
        assert!(text.contains(&format!("\n\n -- A B <a@b>  {date}\n\np (1)")), "{text}");
    }
}
