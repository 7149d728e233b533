//! `cargo xtask unsafety`: generates `docs/unsafe.md`, the list of unsafe code with its reasons, from the `SAFETY:`
//! comments.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};

use crate::paths;

const PACKAGES: [&str; 7] =
    ["portsentry-ebpf", "portsentry-common", "portsentry", "tests", "fuzz", "bench", "xtask"];
const HEAD: &str = "# Unsafe code

All of it, with what makes it sound, from the `SAFETY:` comments: `cargo xtask unsafety` writes this page, and
`cargo xtask lint` fails if it is out of date. Packages that aren't named have none.
";

/// Writes the page.
pub(crate) fn run() -> Result<()> {
    fs::write(page(), list()?).with_context(|| page().display().to_string())
}

/// Fails if the page differs from the sources.
pub(crate) fn check() -> Result<()> {
    let written = fs::read_to_string(page()).with_context(|| page().display().to_string())?;
    ensure!(written == list()?, "docs/unsafe.md is out of date: cargo xtask unsafety");
    Ok(())
}

fn page() -> PathBuf {
    paths::root().join("docs/unsafe.md")
}

fn list() -> Result<String> {
    let mut page = HEAD.to_owned();
    for package in PACKAGES {
        let mut files = Vec::new();
        sources(&paths::root().join(package), &mut files)?;
        files.sort();
        let mut rows = String::new();
        for file in &files {
            let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
            let name = file.strip_prefix(paths::root()).unwrap_or(file).display();
            let bare = unreasoned(&text);
            ensure!(
                bare.is_empty(),
                "{name}: unsafe without a SAFETY: comment or section before lines {bare:?}"
            );
            for Reason { place, reason } in reasons(&text) {
                writeln!(rows, "| `{name}` | {place} | {} |", reason.replace('|', "\\|"))?;
            }
        }
        if !rows.is_empty() {
            write!(page, "\n## {package}\n\n| file | in | why it is sound |\n|---|---|---|\n{rows}")?;
        }
    }
    Ok(page)
}

/// Finds the Rust files below `folder`, except generated ones.
fn sources(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.is_dir() && !path.ends_with("target") {
            sources(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(())
}

/// The reason why unsafe code is sound.
#[derive(Debug, PartialEq, Eq)]
struct Reason {
    /// The enclosing function, or the item itself.
    place: String,
    reason: String,
}

fn reasons(text: &str) -> Vec<Reason> {
    let mut reasons = Vec::new();
    let mut function = String::new();
    let mut lines = text.lines().map(str::trim).peekable();
    while let Some(line) = lines.next() {
        if let Some(name) = function_named(line) {
            name.clone_into(&mut function);
        }
        let Some(first) = line.strip_prefix("// SAFETY:") else { continue };
        let mut reason = first.trim().to_owned();
        while let Some(more) = lines.peek().and_then(|next| next.strip_prefix("//")) {
            reason = format!("{reason} {}", more.trim());
            lines.next();
        }
        let next = lines.peek().copied().unwrap_or_default();
        let is_implementation = next.starts_with("unsafe impl");
        let place = if is_implementation { next.trim_end_matches(['{', '}', ' ']) } else { &function };
        reasons.push(Reason { place: format!("`{place}`"), reason });
    }
    reasons
}

/// Returns the line numbers of unsafe code without a reason before it. A reason is a `SAFETY:` comment, or the
/// section for callers of an unsafe function.
fn unreasoned(text: &str) -> Vec<usize> {
    let mut bare = Vec::new();
    // Whether the comments and attributes above contain a reason.
    let (mut is_reasoned, mut is_described) = (false, false);
    for (number, line) in (1..).zip(text.lines().map(str::trim)) {
        if line.starts_with("//") || line.starts_with("#[") {
            is_reasoned |= line.starts_with("// SAFETY:");
            is_described |= line.starts_with("/// # Safety");
            continue;
        }
        // A function's own reason is for its callers. `unsafe` in a string doesn't count.
        let code = line.split('"').step_by(2).collect::<Vec<_>>().join("");
        let is_function = code.contains("unsafe fn ") || code.contains("unsafe extern ");
        let is_code = code.contains("unsafe {") || code.contains("unsafe impl ");
        if is_function && !(is_described || is_reasoned) || is_code && !is_reasoned {
            bare.push(number);
        }
        // A statement may begin on a line and be unsafe on the next.
        if code.ends_with([';', '{', '}', ',']) || code.is_empty() {
            (is_reasoned, is_described) = (false, false);
        }
    }
    bare
}

/// Returns the name of the function that begins on `line`.
fn function_named(line: &str) -> Option<&str> {
    let is_code = !line.starts_with("//");
    let (before, after) = line.split_once("fn ").filter(|_| is_code)?;
    let is_function = before.is_empty() || before.ends_with(' ');
    let end = after.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(after.len());
    (is_function && end > 0).then(|| &after[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_told_with_its_place() {
        let text = "// SAFETY: plain data\nunsafe impl Sync for A {}\npub(crate) fn go(a: u8) {\n    // SAFETY: the first\n    \
                    // and the second line.\n    let a = unsafe { b() };\n}\n// a fn that isn't one\n";
        let reason = |place: &str, reason: &str| Reason { place: place.into(), reason: reason.into() };
        let expected = [
            reason("`unsafe impl Sync for A`", "plain data"),
            reason("`go`", "the first and the second line."),
        ];
        assert_eq!(reasons(text), expected);
    }

    #[test]
    fn what_has_no_reason_is_found() {
        let text = "// SAFETY: plain data\nUNSAFE impl Sync for A {}\nUNSAFE impl Send for A {}\n/// # Safety\n///\n/// A word.\n\
                    #[inline]\npub UNSAFE fn go() {}\npub UNSAFE fn stay() {}\n// SAFETY: the first\nlet a =\n    UNSAFE { b() };\n\
                    let a = UNSAFE { b() };\n// a comment\nlet a = UNSAFE { b() };\nlet a = \"UNSAFE { b() }\";\n";
        assert_eq!(unreasoned(&text.replace("UNSAFE", "unsafe")), [3, 9, 13, 15]);
    }
}
