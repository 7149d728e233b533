//! Findings on the configuration's files.

use std::{fmt::Write, path::Path};

use super::finding::Finding;
use crate::config::{Settings, drop_ins};

/// Returns the findings on the drop-ins of the configuration file at `path`; errors in them are found elsewhere.
pub(super) fn findings(path: &Path, settings: &Settings) -> Vec<Finding> {
    let passed_over = drop_ins::list(path).map(|found| found.passed_over).unwrap_or_default();
    let read = (!settings.drop_ins().is_empty()).then(|| Finding::ok("files", describe(path, settings)));
    let misnamed = passed_over.iter().map(|file| {
        Finding::warning(
            "files",
            format!("{} is not read: the name of a drop-in ends in .conf", file.display()),
            "rename it, or remove it",
        )
    });
    read.into_iter().chain(misnamed).collect()
}

fn describe(path: &Path, settings: &Settings) -> String {
    let name = |file: &String| Path::new(file).file_name().unwrap_or_default().display().to_string();
    let names: Vec<_> = settings.drop_ins().iter().map(name).collect();
    let overriding: Vec<_> = settings
        .overriding()
        .map(|setting| format!("{} ({})", setting.key, setting.origin.in_short()))
        .collect();
    let mut text =
        format!("{}, then {} in {}", path.display(), names.join(", "), drop_ins::directory(path).display());
    if !overriding.is_empty() {
        // Writing to a string never fails.
        let _ = write!(text, "; overridden settings: {}", overriding.join(", "));
    }
    text
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::config::Config;

    #[test]
    fn drop_ins_are_named_with_the_settings_that_they_override() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.conf");
        let found = || {
            let (_, settings, _) = Config::salvage(&path);
            let lines = findings(&path, &settings).into_iter().map(|finding| (finding.level, finding.what));
            lines.map(|(level, what)| format!("{} {what}", level.name())).collect::<Vec<_>>()
        };
        fs::write(&path, "BLOCK_TCP=\"0\"\n").unwrap();
        assert!(found().is_empty());
        let drop_ins = directory.path().join("a.conf.d");
        fs::create_dir(&drop_ins).unwrap();
        fs::write(drop_ins.join("1.conf"), "BLOCK_TCP=\"1\"\n").unwrap();
        fs::write(drop_ins.join("2.conf"), "UDP_PORTS=\"1\"\n").unwrap();
        fs::write(drop_ins.join("3.txt"), "").unwrap();
        let (shown, directory) = (path.display(), drop_ins.display());
        assert_eq!(
            found(),
            [
                format!(
                    "ok {shown}, then 1.conf, 2.conf in {directory}; overridden settings: BLOCK_TCP (1.conf:1)"
                ),
                format!("warning {directory}/3.txt is not read: the name of a drop-in ends in .conf"),
            ]
        );
    }
}
