//! The package's script that runs before its files are unpacked. It contains the configuration files.

use std::fmt::Write;

use super::shipped;

const SCRIPT: &str = include_str!("preinst.sh");
const END: &str = "fi\n\n#DEBHELPER#\n";
/// Ends a file in the script.
const MARK: &str = "END_OF_FILE";

/// The package's other configuration files that Debian's 1.2 has, too.
const FILES: [(&str, &str); 2] = [
    ("/etc/portsentry/portsentry.ignore", include_str!("../../../../etc/portsentry.ignore")),
    ("/etc/default/portsentry", include_str!("../../../../pkg/default")),
];

/// Returns the script.
pub(super) fn script() -> String {
    let settings = shipped::file();
    let mut script = SCRIPT.to_owned();
    for (path, text) in [("/etc/portsentry/portsentry.conf", settings.as_str())].into_iter().chain(FILES) {
        // Writing to a string never fails.
        let _ = write!(script, "    set_aside {path} <<'{MARK}'\n{text}{MARK}\n");
    }
    script + END
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_end_where_they_should() {
        let script = script();
        assert_eq!(script.lines().filter(|line| *line == MARK).count(), 1 + FILES.len());
        assert!(FILES.iter().all(|(_, text)| text.ends_with('\n') && !text.contains(MARK)));
    }
}
