//! The configuration: any text is read, or refused with line numbers. In a command, a macro's value never adds a
//! word or becomes part of a shell script.

use std::net::IpAddr;

use portsentry::config::{Command, Config, Loaded, Text, Values, keys};

use crate::seeds::texts;

pub(super) fn check(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    check_drop_ins(&text);
    match Config::parse(&text, "conf") {
        Ok((config, report)) => {
            assert!(!report.has_errors());
            for command in [&config.kill_route, &config.kill_run_cmd].into_iter().flatten() {
                check_command(command);
            }
            if let Some(line) = &config.kill_hosts_deny {
                let line = line.render(&values("192.0.2.9", 1, "tcp", "none"));
                assert!(line.contains("192.0.2.9") && !line.contains('\n'));
            }
            let (again, _) = Config::parse(&format!("{text}\n# a comment\n"), "conf")
                .unwrap_or_else(|report| panic!("a comment changes nothing: {report}"));
            assert_eq!(again, config, "a comment changes nothing");
        }
        Err(report) => {
            assert!(report.has_errors() && !report.to_string().is_empty());
            let lines = text.split('\n').count();
            assert!(report.iter().all(|found| (1..=lines).contains(&found.line()) && found.column() >= 1));
        }
    }
}

/// The part after a form feed is a drop-in.
fn check_drop_ins(text: &str) {
    let (main, drop_in) = text.split_once('\u{c}').unwrap_or((text, ""));
    let read = |files: &[&str]| {
        let name = |at| ["conf", "conf.d/a", "conf.d/b"][at];
        let files = files.iter().enumerate();
        Loaded::new(
            &files.map(|(at, text)| Text { file: name(at).into(), text: (*text).into() }).collect::<Vec<_>>(),
        )
    };
    let (alone, both) = (read(&[main]), read(&[main, drop_in]));
    assert_eq!(read(&[main, ""]).config, alone.config, "an empty drop-in changes nothing");
    assert_eq!(read(&[main, drop_in, drop_in]).config, both.config, "a repeated drop-in changes nothing");
    for setting in &both.settings.set {
        let line = setting.origin.line;
        let file = if setting.origin.file == "conf" { main } else { drop_in };
        let text = file.split('\n').nth(line - 1).unwrap_or_default();
        assert!(text.contains(setting.key) && text.contains(&setting.value), "{setting} is not in {text:?}");
    }
}

fn check_command(command: &Command) {
    let plain = command.argv(&values("192.0.2.9", 7, "tcp", "none"));
    let long = command.argv(&values("2001:db8:1:2:3:4:5:6", 65_535, "stealth", "administrator"));
    assert_eq!(plain.len(), long.len(), "no value adds a word");
    assert!(!plain.is_empty(), "there is a program");
    if command.needs_shell() {
        assert_eq!(plain[..4], long[..4], "no value is in the script");
    }
}

fn values<'a>(target: &str, port: u16, mode: &'a str, proof: &'a str) -> Values<'a> {
    let target: IpAddr = target.parse().unwrap_or(IpAddr::from([192, 0, 2, 9]));
    Values { target: target.into(), port, mode, proof, reason: mode, until: None, id: None }
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let keys = keys::all().map(|key| format!("{}=\"1\"\n", key.name).into_bytes());
    let whole = texts(&[
        include_str!("../../../etc/portsentry.conf"),
        "TCP_PORTS=\"1,11,15-20\"\nKILL_ROUTE=\"/sbin/route add -host $TARGET$ reject\"\nBLOCK_TCP = \"2\"\n",
        "KILL_RUN_CMD=\"echo '$TARGET$' | logger -t $MODE$ && true $PORT$ > /dev/null\"\n",
        "BLOCK_TCP=\"0\"\nPIN_PATH=\"/a\"\n\u{c}BLOCK_TCP=\"1\"\nPIN_PATH=\"\"\nKILL_RUN_CMD=\"a\n",
        "KILL_HOSTS_DENY=\"ALL: [$TARGET$] : DENY # $PROOF$\"\nPORT_BANNER=\"** no ** \\\" quote\"\nUNKNOWN=1\n",
    ]);
    whole.into_iter().chain(keys).collect()
}
