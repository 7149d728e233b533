//! Checks the documents' references to tests and files.

use std::{collections::BTreeSet, fs};

use portsentry_tests::document::{self, root};
use regex::Regex;

/// Returns the documents with their paths from the root.
fn documents() -> impl Iterator<Item = (String, String)> {
    document::paths().into_iter().map(|path| (path.clone(), document::read(&path)))
}

/// Returns the tests of each file in `tests/tests`.
fn tests_of(file: &str) -> Option<BTreeSet<String>> {
    let text = fs::read_to_string(root().join("tests/tests").join(format!("{file}.rs"))).ok()?;
    let pattern = Regex::new(r"#\[test\]\s+(?:#\[.*\]\s+)*fn (\w+)").expect("a pattern");
    Some(pattern.captures_iter(&text).map(|found| found[1].to_owned()).collect())
}

#[test]
fn the_tests_that_documents_name_exist() {
    let named = Regex::new(r"`([a-z]\w+)\s+(\w+_\w+)`|xtask test\s+([a-z]\w+)::(\w+)?").expect("a pattern");
    let mut count = 0;
    for (path, text) in documents() {
        for found in named.captures_iter(&text) {
            let part = |number| found.get(number).map(|part| part.as_str());
            let Some(file) = part(1).or(part(3)) else { continue };
            let tests = tests_of(file).unwrap_or_else(|| panic!("{path} names tests/tests/{file}.rs"));
            if let Some(test) = part(2).or(part(4)) {
                let is_module = root().join(format!("tests/tests/{file}/{test}.rs")).exists();
                assert!(tests.contains(test) || is_module, "{path} names {test} of tests/tests/{file}.rs");
            }
            count += 1;
        }
    }
    assert!(count > 40, "only {count} tests are named");
}

/// A file that `main.rs` doesn't name would never be compiled.
#[test]
fn every_file_of_tests_is_part_of_the_tests() {
    let main = document::read("tests/tests/main.rs");
    let named: BTreeSet<_> =
        main.lines().filter_map(|line| line.strip_prefix("mod ")?.strip_suffix(';')).collect();
    let entries = fs::read_dir(root().join("tests/tests")).expect("a directory");
    let files: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    let files: BTreeSet<_> = files.iter().filter_map(|file| file.file_stem()?.to_str()).collect();
    assert_eq!(files.difference(&named).collect::<Vec<_>>(), [&"main"]);
}

#[test]
fn the_unit_tests_that_documents_name_exist() {
    let named = Regex::new(r"`(\w+(?:::\w+)*)::tests::(\w+)`").expect("a pattern");
    let mut count = 0;
    for (path, text) in documents() {
        for found in named.captures_iter(&text) {
            let module = root().join("portsentry/src").join(found[1].replace("::", "/"));
            let files = [module.with_extension("rs"), module.join("tests.rs"), module.join("mod.rs")];
            let test = format!("fn {}(", &found[2]);
            let exists =
                files.iter().any(|file| fs::read_to_string(file).is_ok_and(|text| text.contains(&test)));
            assert!(exists, "{path} names {}", &found[0]);
            count += 1;
        }
    }
    assert!(count > 5, "only {count} unit tests are named");
}

#[test]
fn the_versions_agree() {
    let version = env!("CARGO_PKG_VERSION");
    let newest = |path: &str, begin: &str| {
        let text = document::read(path);
        text.lines().find(|line| line.starts_with(begin)).expect("a version").to_owned()
    };
    assert!(newest("CHANGELOG.md", "## [").starts_with(&format!("## [{version}] - ")));
    assert!(newest("pkg/debian/changelog", "portsentry-xdp (").contains(&format!(" ({version}-1) ")));
    let named = Regex::new(r"portsentry-xdp_(\d[^-]*)-").expect("a pattern");
    let texts: Vec<_> = documents().collect();
    let found: Vec<_> = texts
        .iter()
        .flat_map(|(path, text)| named.captures_iter(text).map(move |it| (path, it[1].to_owned())))
        .collect();
    assert!(found.len() > 1 && found.iter().all(|(_, named)| named == version), "{found:?}");
}

#[test]
fn links_in_documents_have_targets() {
    let link = Regex::new(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)").expect("a pattern");
    for (path, text) in documents() {
        let directory = root().join(&path).parent().expect("a directory").to_path_buf();
        for found in link.captures_iter(&text) {
            assert!(directory.join(&found[1]).exists(), "{path} leads to {}", &found[1]);
        }
    }
}

#[test]
fn the_tasks_that_documents_name_exist() {
    let verbs = document::read("xtask/src/main.rs");
    let named = Regex::new(r"cargo xtask ([a-z][a-z-]*)").expect("a pattern");
    for (path, text) in documents() {
        for found in named.captures_iter(&text) {
            let words = found[1].split('-').map(|word| word[..1].to_uppercase() + &word[1..]);
            let verb = words.collect::<String>();
            let is_one = ["(", ","].iter().any(|end| verbs.contains(&format!("    {verb}{end}")));
            assert!(is_one, "{path} names cargo xtask {}", &found[1]);
        }
    }
}

/// Each command in the documents is run by `documented_commands`, by `fail2ban`, or in the same words by a CI
/// script.
#[test]
fn every_command_is_run() {
    let scripts = [".ci/run", ".ci/nightly"].map(document::read).concat();
    // A script may continue after a failure: `COMMAND || failed=yes`.
    let scripts: BTreeSet<_> =
        scripts.lines().filter_map(|line| line.split(" || ").next()).map(str::trim).collect();
    let search = std::env::var_os("PATH").unwrap_or_default();
    let search: Vec<_> = std::env::split_paths(&search).collect();
    let is_program = |name: &str| {
        !name.is_empty()
            && !name.contains('/')
            && search.iter().any(|directory| directory.join(name).is_file())
    };
    let of_tests = Regex::new(r"tests/tests/\w+\.rs").expect("a pattern");
    let mut count = 0;
    for (path, text) in documents() {
        for command in document::commands(&text, |name| is_program(name) || document::TYPED.contains(&name)) {
            let program = command.program();
            let is_typed = document::TYPED.contains(&program) || program.starts_with("fail2ban-");
            let line = command.line.split("  #").next().unwrap_or_default().trim();
            assert!(is_typed || scripts.contains(line), "{path} has a command that no test runs: {line}");
            count += 1;
        }
        for reason in document::reasons(&text) {
            let test = of_tests.find(reason);
            let test = test.unwrap_or_else(|| panic!("{path}: which test runs it?{reason}"));
            assert!(root().join(test.as_str()).exists(), "{path} names {}", test.as_str());
        }
    }
    assert!(count > 100, "only {count} commands are found");
}
