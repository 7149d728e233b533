//! Several files: which value counts, and where each came from.

use super::*;

/// Reads files one after another, each a name and a text.
pub(super) fn files(texts: &[(&str, &str)]) -> Loaded {
    let texts: Vec<_> =
        texts.iter().map(|(file, text)| Text { file: (*file).into(), text: (*text).into() }).collect();
    Loaded::new(&texts)
}

#[test]
fn a_later_file_takes_precedence_and_its_empty_value_is_the_default() {
    let main =
        "TCP_PORTS=\"1\"\nBLOCK_TCP=\"1\"\nKILL_RUN_CMD=\"/bin/a\"\nBLOCK_UDP=\"2\"\nTCP_PORTS=\"9\"\n";
    let Loaded { config, report, settings, .. } = files(&[
        ("a", main),
        ("b", "\nTCP_PORTS=\"2\"\nKILL_RUN_CMD=\"\"\n"),
        ("c", "# none\n"),
        ("d", "TCP_PORTS=\"3,4\"\n"),
    ]);
    assert_eq!(config.ports_tcp.to_string(), "3-4");
    assert_eq!((config.block_tcp, config.kill_run_cmd), (Response::Block, None));
    let shown: Vec<_> = report.iter().map(Diagnostic::in_one_line).collect();
    // Within one file, the first line takes precedence, as in 1.2.
    assert_eq!(shown, ["a:5:1: warning: TCP_PORTS is already set in line 1, which takes precedence"]);
    assert_eq!(settings.drop_ins(), ["b", "c", "d"]);
    let said: Vec<_> = settings.set.iter().map(ToString::to_string).collect();
    assert_eq!(
        said,
        [
            "TCP_PORTS=\"3,4\" from d:1, overriding a:1 and b:2",
            "BLOCK_TCP=\"1\" from a:2",
            "BLOCK_UDP=\"2\" from a:4",
            "KILL_RUN_CMD=\"\" from b:3, overriding a:3",
        ]
    );
}

#[test]
fn errors_of_all_files_are_reported_together() {
    let texts = [
        ("a", "SCAN_TRIGGER=\"x\"\n"),
        ("b", "BLOCK_TCP=\"2\"\nSCAN_TRIGGER=\"y\"\n"),
        ("c", "SCAN_TRIGGER=\"3\"\nPIN_PATH=\"p\"\n"),
    ];
    let Loaded { config, report, .. } = files(&texts);
    let shown: Vec<_> = report.iter().map(|it| format!("{}: {}", it.line(), it.in_one_line())).collect();
    let starts = ["1: a:1:15: error", "1: b:1:12: warning", "2: b:2:15: error", "2: c:2:11: error"];
    assert_eq!(shown.len(), starts.len(), "{shown:?}");
    assert!(shown.iter().zip(starts).all(|(line, start)| line.starts_with(start)), "{shown:?}");
    assert_eq!(config.scan_trigger, 3, "an overridden value is checked, but has no effect");
}

#[test]
fn drop_ins_are_read_in_order_and_only_if_trusted() {
    use std::{fs, os::unix::fs::PermissionsExt};
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("portsentry.conf");
    let drop_ins = dir.path().join("portsentry.conf.d");
    fs::write(&path, "SCAN_TRIGGER=\"1\"\n").unwrap();
    fs::create_dir(&drop_ins).unwrap();
    for (name, text) in
        [("10-a.conf", "SCAN_TRIGGER=\"4\"\n"), ("9-b.conf", "SCAN_TRIGGER=\"5\"\n"), ("a.cfg", "x")]
    {
        fs::write(drop_ins.join(name), text).unwrap();
    }
    let read = || Config::read(&path).unwrap();
    assert_eq!(read().config.scan_trigger, 5, "9 is after 1");
    let last = drop_ins.join("9-b.conf");
    fs::set_permissions(&last, fs::Permissions::from_mode(0o666)).unwrap();
    fs::write(drop_ins.join("7.conf"), b"\n\xe9").unwrap();
    let Loaded { config, refused, .. } = read();
    let refused: Vec<_> = refused.iter().map(ToString::to_string).collect();
    assert_eq!(config.scan_trigger, 4);
    assert!(
        refused[0].contains("7.conf:2: not UTF-8") && refused[1].contains("9-b.conf is world-writable"),
        "{refused:?}"
    );
    let (salvaged, settings, problems) = Config::salvage(&path);
    assert_eq!((salvaged.scan_trigger, problems.len()), (4, 2), "{problems:?}");
    assert_eq!(settings.of_drop_in("SCAN_TRIGGER").unwrap().origin.in_short(), "10-a.conf:1");
    fs::remove_file(&last).unwrap();
    fs::remove_file(drop_ins.join("7.conf")).unwrap();
    fs::set_permissions(&drop_ins, fs::Permissions::from_mode(0o777)).unwrap();
    assert!(read().refused[0].to_string().contains("portsentry.conf.d, which is world-writable"));
}
