//! Imports between the files of a crate, found in `use` lines and paths. A re-exported name counts as an import
//! from the file that defines it. Imports in tests don't count.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use regex::Regex;

/// Path of a module, or of an item in it, within its crate.
type ModulePath = Vec<String>;

/// `use` lines.
const USES: &str = r"(?m)^\s*(pub(?:\([^)]*\))?\s+)?use ([^;]+);";

/// The modules of a crate that are files.
#[derive(Debug)]
pub struct Crate {
    texts: BTreeMap<ModulePath, String>,
    /// Re-exports of a module, by name.
    handed_on: BTreeMap<(ModulePath, String), ModulePath>,
}

impl Crate {
    /// Reads all files below a crate's `src`.
    #[must_use]
    pub fn read(src: &Path) -> Self {
        let mut files = Vec::new();
        gather(src, &mut Vec::new(), &mut files);
        Self::of(files)
    }

    fn of(files: impl IntoIterator<Item = (ModulePath, String)>) -> Self {
        let comment = Regex::new("//.*").expect("a pattern");
        let of_tests = r"#\[cfg\(test\)\]\s*(?:pub(?:\([^)]*\))?\s+)?mod \w+ \{";
        let of_tests = Regex::new(of_tests).expect("a pattern");
        let scope = Regex::new(r"pub\(in [^)]*\)").expect("a pattern");
        let bare = |text: String| {
            let code = comment.replace_all(&text, "");
            let code = of_tests.split(&code).next().unwrap_or_default();
            scope.replace_all(code, "pub").into_owned()
        };
        let texts = files.into_iter().map(|(module, text)| (module, bare(text))).collect();
        let mut read = Self { texts, handed_on: BTreeMap::new() };
        for (module, text) in &read.texts {
            for path in uses(text).into_iter().filter(|(is_public, _)| *is_public).map(|(_, path)| path) {
                let Some(place) = read.place(module, &path) else { continue };
                let Some(name) = place.last().cloned() else { continue };
                read.handed_on.insert((module.clone(), name), place);
            }
        }
        read
    }

    /// Returns the modules that each file imports from.
    fn imports(&self) -> BTreeMap<&ModulePath, BTreeSet<&ModulePath>> {
        let path = Regex::new(r"(?:^|[^:\w])(\w+(?:::\w+)+)").expect("a pattern");
        let lines = Regex::new(USES).expect("a pattern");
        let imports = self.texts.iter().map(|(module, text)| {
            let rest = lines.replace_all(text, "");
            let named = path.captures_iter(&rest).map(|found| (false, split(&found[1])));
            let all = uses(text).into_iter().chain(named);
            let places = all.filter_map(|(is_public, path)| {
                let place = self.place(module, &path)?;
                // A room that re-exports its own items doesn't depend on them.
                (!(is_public && place.starts_with(module))).then_some(place)
            });
            let files = places.filter_map(|place| self.file_of(&place, 0));
            (module, files.filter(|file| *file != module && !file.is_empty()).collect())
        });
        imports.collect()
    }

    /// Returns the cycles: groups of files that import each other, directly or indirectly.
    #[must_use]
    pub fn circles(&self) -> BTreeSet<BTreeSet<String>> {
        let imports = self.imports();
        let led_to: BTreeMap<_, BTreeSet<&ModulePath>> = imports
            .keys()
            .map(|start| {
                let (mut reached, mut left) = (BTreeSet::new(), vec![*start]);
                while let Some(file) = left.pop() {
                    left.extend(imports[file].iter().filter(|next| reached.insert(**next)));
                }
                (*start, reached)
            })
            .collect();
        let circle = |file: &&ModulePath| -> BTreeSet<String> {
            let others = led_to[*file].iter().filter(|other| led_to[**other].contains(*file));
            others.map(|other| other.join("::")).collect()
        };
        imports.keys().map(circle).filter(|circle| circle.len() > 1).collect()
    }

    /// Resolves `path` as seen from `module`, if it belongs to this crate.
    fn place(&self, module: &[String], path: &[String]) -> Option<ModulePath> {
        let mut path = path.to_vec();
        if path.last().is_some_and(|last| last == "self") && path.len() > 1 {
            path.pop();
        }
        let mut base = module.to_vec();
        match path.first()?.as_str() {
            "crate" => base.clear(),
            "self" | "super" => {}
            first => {
                base.push(first.to_owned());
                let is_own = self.texts.contains_key(&base);
                base.pop();
                return is_own.then(|| [base, path].concat());
            }
        }
        for part in path {
            match part.as_str() {
                "crate" | "self" => {}
                "super" => drop(base.pop()),
                _ => base.push(part),
            }
        }
        Some(base)
    }

    /// Returns the file that defines `place`. Follows a limited number of re-exports, because two modules may
    /// re-export from each other.
    fn file_of(&self, place: &[String], times: u8) -> Option<&ModulePath> {
        let length = (0..=place.len()).rev().find(|length| self.texts.contains_key(&place[..*length]))?;
        let (file, rest) = place.split_at(length);
        let handed_on = rest.first().and_then(|name| self.handed_on.get(&(file.to_vec(), name.clone())));
        match handed_on {
            Some(place) if times < 8 => {
                self.file_of(&[place, rest.get(1..).unwrap_or_default()].concat(), times + 1)
            }
            _ => self.texts.get_key_value(file).map(|(file, _)| file),
        }
    }
}

/// Collects the modules in files below `folder`, with their texts.
fn gather(folder: &Path, module: &mut ModulePath, files: &mut Vec<(ModulePath, String)>) {
    for entry in fs::read_dir(folder).expect("a folder of sources") {
        let path = entry.expect("an entry").path();
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        if name == "tests" || name == "main" {
            continue;
        }
        let is_own = ["mod", "lib"].contains(&name.as_str());
        if !is_own {
            module.push(name);
        }
        if path.is_dir() {
            gather(&path, module, files);
        } else {
            files.push((module.clone(), fs::read_to_string(&path).expect("a source")));
        }
        if !is_own {
            module.pop();
        }
    }
}

/// Returns the paths of all `use` lines, and whether each line is public.
fn uses(text: &str) -> Vec<(bool, Vec<String>)> {
    let line = Regex::new(USES).expect("a pattern");
    let lines = line.captures_iter(text);
    lines
        .flat_map(|found| flat("", &found[2]).into_iter().map(move |path| (found.get(1).is_some(), path)))
        .collect()
}

/// Returns the paths in the tree of a `use` line, each with the prefix `before`.
fn flat(before: &str, tree: &str) -> Vec<Vec<String>> {
    let tree = tree.trim();
    let Some((path, inner)) = tree.split_once('{') else {
        let path = tree.split(" as ").next().unwrap_or_default();
        return if path.is_empty() { Vec::new() } else { vec![split(&format!("{before}{path}"))] };
    };
    let before = format!("{before}{path}");
    let inner = inner.trim_end().strip_suffix('}').unwrap_or(inner);
    let mut depth = 0;
    let parts = inner.split(|character| {
        depth += i32::from(character == '{') - i32::from(character == '}');
        character == ',' && depth == 0
    });
    parts.flat_map(|part| flat(&before, part)).collect()
}

fn split(path: &str) -> Vec<String> {
    path.split("::").map(|part| part.trim().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn circles(files: &[(&str, &str)]) -> Vec<String> {
        let files = files.iter().map(|(module, text)| (split(module), (*text).to_owned()));
        let circles = Crate::of(files.chain([(Vec::new(), String::new())])).circles();
        circles.iter().map(|circle| circle.iter().cloned().collect::<Vec<_>>().join(" ")).collect()
    }

    #[test]
    fn a_circle_is_found_through_trees_paths_and_what_is_handed_on() {
        let none: [&str; 0] = [];
        assert_eq!(circles(&[("a", "use crate::b::B;"), ("b", "")]), none);
        assert_eq!(
            circles(&[("a", "use crate::{c, b::{self, B}};"), ("b", "fn f() -> super::a::A {}")]),
            ["a b"]
        );
        assert_eq!(
            circles(&[("a", "use crate::b::C;"), ("b", "pub use self::c::C;"), ("b::c", "use crate::a::A;")]),
            ["a b::c"]
        );
        assert_eq!(circles(&[("a", "use b::B;"), ("a::b", "use super::A;")]), ["a a::b"]);
        assert_eq!(circles(&[("a", "mod b; fn f() { b::g() }"), ("a::b", "use super::A;")]), ["a a::b"]);
        assert_eq!(
            circles(&[("a", "use crate::b;"), ("b", "use crate::c;"), ("c", "use crate::a;")]),
            ["a b c"]
        );
    }

    #[test]
    fn tests_comments_and_what_a_room_hands_on_make_none() {
        let none: [&str; 0] = [];
        assert_eq!(circles(&[("a", "pub use self::b::B;"), ("a::b", "use super::A;")]), none);
        let tested = "// use crate::a;\n#[cfg(test)]\nmod tests {\n    use crate::a::A;\n}";
        assert_eq!(circles(&[("a", "use crate::b::B;"), ("b", tested)]), none);
        let shared = "#[cfg(test)]\npub(super) mod tests {\n    use crate::a::A;\n}";
        assert_eq!(circles(&[("a", "use crate::b::B;"), ("b", shared)]), none);
        assert_eq!(circles(&[("a", "use crate::a::b::B;"), ("a::b", "pub(in crate::a) struct B;")]), none);
        assert_eq!(circles(&[("a", "use crate::b as x;"), ("b", "use std::fs; use other::a;")]), none);
    }
}
