//! Events for programs: JSON according to `docs/events.md`, and systemd's journal.

use std::{
    collections::BTreeMap,
    fs,
    net::IpAddr,
    path::{Path, PathBuf},
};

use nix::sys::signal::Signal;
use portsentry_tests::lab::{Daemon, FAMILIES, Family, INTERFACE, Lab, by_way_of};
use serde_json::Value;

const DOCUMENT: &str = include_str!("../../docs/events.md");

/// An event's fields by their dotted names.
type Fields = BTreeMap<String, Value>;

/// Returns the first cells of the document's rows: fields with their types, or actions with their kinds.
fn documented(columns: usize) -> BTreeMap<&'static str, &'static str> {
    let rows = DOCUMENT.lines().filter(|line| line.starts_with("| `"));
    let cells = rows.map(|line| line.trim_matches('|').split(" | ").map(str::trim).collect::<Vec<_>>());
    let of_table = cells.filter(|cells| cells.len() == columns);
    of_table.map(|cells| (cells[0].trim_matches('`'), cells[1].trim_matches('`'))).collect()
}

fn flatten(prefix: &str, value: &Value, fields: &mut Fields) {
    let Value::Object(object) = value else {
        fields.insert(prefix.into(), value.clone());
        return;
    };
    for (name, value) in object {
        let dot = if prefix.is_empty() { "" } else { "." };
        flatten(&format!("{prefix}{dot}{name}"), value, fields);
    }
}

fn has_form(form: &str, value: &Value) -> bool {
    let text = value.as_str();
    match form {
        "date" => {
            text.is_some_and(|text| text.ends_with('Z') && text.len() == "1970-01-01T00:00:00.000Z".len())
        }
        "keyword" => text.is_some_and(|text| !text.is_empty() && !text.contains(char::is_whitespace)),
        "keyword list" => {
            value.as_array().is_some_and(|words| words.iter().all(|word| has_form("keyword", word)))
        }
        "text" => text.is_some(),
        "ip" => text.is_some_and(|text| text.parse::<IpAddr>().is_ok()),
        "number" => value.is_u64(),
        "signed number" => value.is_i64(),
        "boolean" => value.is_boolean(),
        other => panic!("the document has a form {other}"),
    }
}

/// Reads a line, and checks it against the document.
fn read(line: &str) -> Fields {
    let value: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    let mut fields = Fields::new();
    flatten("", &value, &mut fields);
    let (actions, forms) = (documented(5), documented(4));
    for (name, value) in &fields {
        let form = forms.get(name.as_str()).unwrap_or_else(|| panic!("{name} is not documented: {line}"));
        assert!(has_form(form, value), "{name} is no {form}: {line}");
    }
    for name in ["@timestamp", "message", "event.kind", "event.action", "event.category", "portsentry.schema"]
    {
        assert!(fields.contains_key(name), "{name} is missing: {line}");
    }
    let action = fields["event.action"].as_str().unwrap_or_default();
    assert_eq!(actions.get(action).copied(), fields["event.kind"].as_str(), "{line}");
    fields
}

fn events(path: &Path) -> Vec<Fields> {
    let text = fs::read_to_string(path).unwrap_or_default();
    // A line that is being written ends without a line end.
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole.lines().map(read).collect()
}

/// Returns the events with `action` about `source`.
fn about(path: &Path, action: &str, source: IpAddr) -> Vec<Fields> {
    let is_it = |event: &Fields| {
        event["event.action"] == action && event.get("source.ip").is_some_and(|it| *it == source.to_string())
    };
    events(path).into_iter().filter(is_it).collect()
}

/// Waits for an event with `action` about `source`.
fn wait_for(daemon: &Daemon<'_>, path: &Path, action: &str, source: IpAddr) -> Fields {
    daemon.wait_until(&format!("{action} of {source}"), || !about(path, action, source).is_empty());
    about(path, action, source).remove(0)
}

fn json(lab: &Lab) -> PathBuf {
    lab.files().join("events.json")
}

#[test]
fn a_scan_and_what_follows_are_events() {
    let lab = Lab::new();
    let path = json(&lab);
    let setup = lab
        .portsentry("-stcp -sudp")
        .with("JSON_LOG", &path.display().to_string())
        .with("BLOCK_TIME", "3600")
        .with("KILL_RUN_CMD", "sh -c 'exit 3' $TARGET$");
    let daemon = setup.start();
    for family in FAMILIES {
        let [tcp, udp] = [lab.source(family), lab.source(family)];
        lab.nmap(tcp, "-sX -p 11");
        lab.nmap(udp, "-sU -p 69");
        let expected = |source: IpAddr, probe: &str| {
            let (transport, port, kind) =
                if probe == "xmas" { ("tcp", 11, "xmas") } else { ("udp", 69, "udp") };
            let host = Family::of(source).host();
            [
                ("event.kind", "alert".into()),
                ("source.ip", source.to_string().into()),
                ("destination.ip", host.to_string().into()),
                ("destination.port", Value::from(port)),
                ("network.transport", transport.into()),
                ("network.type", if source.is_ipv4() { "ipv4" } else { "ipv6" }.into()),
                ("observer.ingress.interface.name", INTERFACE.into()),
                ("portsentry.schema", 1.into()),
                ("portsentry.kind", kind.into()),
                ("portsentry.hits", 1.into()),
                ("portsentry.verdict", "block".into()),
                ("portsentry.proof", "none".into()),
            ]
        };
        for (source, probe) in [(tcp, "xmas"), (udp, "udp")] {
            let event = wait_for(&daemon, &path, "probe", source);
            let block = wait_for(&daemon, &path, "block", source);
            for (name, value) in expected(source, probe) {
                assert_eq!(event.get(name), Some(&value), "{name} of {event:#?}");
                assert_eq!(block.get(name), Some(&value), "{name} of {block:#?}");
            }
            assert!(event.contains_key("source.port") && block.contains_key("portsentry.until"));
            let denied = wait_for(&daemon, &path, "deny", source);
            assert_eq!(denied["process.command_line"], format!("ALL: {} : DENY", in_brackets(source)));
            let command = wait_for(&daemon, &path, "command", source);
            assert_eq!(
                (&command["event.outcome"], &command["process.exit_code"]),
                (&"failure".into(), &3.into())
            );
            assert_eq!(command["portsentry.setting"], "KILL_RUN_CMD");
        }
        assert_eq!(
            about(&path, "probe", tcp)[0]["portsentry.flags"],
            serde_json::json!(["FIN", "PSH", "URG"])
        );
        assert!(!about(&path, "probe", udp)[0].contains_key("portsentry.flags"));
        // An administrator unblocks one source and blocks another.
        let [other, kept] = [lab.source(family), udp];
        let lines = daemon.file_about("BLOCKED_FILE", kept).join("\n");
        fs::write(daemon.setup().path("BLOCKED_FILE"), format!("{lines}\n{other}\n")).expect("an edit");
        assert!(wait_for(&daemon, &path, "lift", tcp).contains_key("event.reason"));
        let block = wait_for(&daemon, &path, "block", other);
        assert_eq!(block["portsentry.proof"], "administrator");
        assert!(!block.contains_key("portsentry.until") && !block.contains_key("destination.port"));
        fs::write(daemon.setup().path("BLOCKED_FILE"), "").expect("an edit");
    }
    daemon.signal(Signal::SIGHUP);
    daemon.log().wait_for("Configuration reloaded");
    daemon.terminate();
    let actions: Vec<Value> = events(&path).iter().map(|event| event["event.action"].clone()).collect();
    let count = |action: &str| actions.iter().filter(|it| **it == action).count();
    for action in ["start", "active", "reload", "stop"] {
        assert_eq!(count(action), 1, "{action}: {actions:?}");
    }
    assert_eq!((&actions[0], actions.last()), (&"start".into(), Some(&"stop".into())));
}

fn in_brackets(source: IpAddr) -> String {
    if source.is_ipv4() { source.to_string() } else { format!("[{source}]") }
}

#[test]
fn fences_and_probes_that_nothing_is_done_about_are_events() {
    let lab = Lab::new();
    let path = json(&lab);
    let ignored = lab.source(Family::V4);
    let daemon = lab
        .portsentry("-stcp")
        .with("JSON_LOG", &path.display().to_string())
        .with("BLOCK_UNPROVEN", "0")
        .with("SCAN_TRIGGER", "2")
        .ignoring(ignored)
        .start();
    let source = lab.source(Family::V4);
    lab.nmap(ignored, "-sS -p 11");
    lab.nmap(source, "-sS -p 11");
    assert_eq!(wait_for(&daemon, &path, "probe", ignored)["portsentry.verdict"], "ignored");
    let counted = wait_for(&daemon, &path, "probe", source);
    assert_eq!((&counted["portsentry.verdict"], &counted["portsentry.hits"]), (&"counted".into(), &1.into()));
    assert!(daemon.log().lines_about(ignored).is_empty() && daemon.log().lines_about(source).is_empty());
    lab.nmap(source, "-sS -p 15");
    let fence = wait_for(&daemon, &path, "fence", source);
    assert!(fence.contains_key("portsentry.until") && fence["portsentry.hits"] == 2);
}

#[test]
fn a_rotated_file_is_begun_anew_without_a_signal() {
    let lab = Lab::new();
    let path = json(&lab);
    let daemon = lab.portsentry("-stcp").with("JSON_LOG", &path.display().to_string()).start();
    let [before, after] = [lab.source(Family::V4), lab.source(Family::V4)];
    lab.nmap(before, "-sS -p 11");
    wait_for(&daemon, &path, "deny", before);
    let rotated = path.with_extension("json.1");
    fs::rename(&path, &rotated).expect("a rotation");
    lab.nmap(after, "-sS -p 11");
    wait_for(&daemon, &path, "block", after);
    assert!(about(&path, "probe", before).is_empty() && about(&rotated, "probe", after).is_empty());
    assert_eq!(about(&rotated, "probe", before).len(), 1);
}

#[test]
fn a_full_disk_is_reported_once_and_holds_nothing_else_up() {
    let lab = Lab::new();
    let directory = lab.files().join("small");
    fs::create_dir(&directory).expect("a directory");
    let path = directory.join("events.json");
    let fill = format!(
        "mount -t tmpfs -o size=64k none {0}; head -c 1000000 /dev/zero > {0}/filler || :; exec \"$@\"",
        directory.display()
    );
    let setup = lab.portsentry("-stcp").with("JSON_LOG", &path.display().to_string());
    let daemon = setup.start_in(by_way_of(&fill));
    let inside = Path::new("/proc").join(daemon.process().to_string()).join("root");
    let inside = inside.join(directory.strip_prefix("/").expect("an absolute path"));
    let trouble = "small/events.json can't be written: No space left on device";
    daemon.log().wait_for(trouble);
    let source = lab.source(Family::V4);
    lab.nmap(source, "-sS -p 11");
    daemon.wait_for_block(source);
    fs::remove_file(inside.join("filler")).expect("room again");
    let path = inside.join("events.json");
    wait_for(&daemon, &path, "deny", source);
    assert_eq!(daemon.log().count(trouble), 1);
    daemon.log().wait_for("small/events.json can be written again");
    assert_eq!(events(&path)[0]["event.action"], "start", "what waited is there");
}

#[test]
fn left_out_events_are_counted_in_an_event() {
    let lab = Lab::new();
    let path = json(&lab);
    let daemon = lab
        .portsentry("-stcp")
        .with("JSON_LOG", &path.display().to_string())
        .with("EVENT_RATE", "1")
        .with("BLOCK_TCP", "0")
        .start();
    let sources: Vec<String> =
        (0..200).map(|number| format!("IP(src='10.9.8.{number}', dst='192.0.2.1')/TCP(dport=11)")).collect();
    lab.scapy(&sources);
    let losses = || -> u64 {
        let events = events(&path);
        let losses = events.iter().filter(|event| event["event.action"] == "loss");
        losses.filter_map(|event| event["portsentry.count"].as_u64()).sum()
    };
    daemon.wait_until("every probe is told of or counted", || {
        let told = events(&path).iter().filter(|event| event["event.action"] == "probe").count();
        daemon.counter("probes") == 200 && losses() + told as u64 == 200
    });
    assert!(losses() > 0);
}

#[test]
fn standard_output_takes_events_beside_the_lines() {
    let lab = Lab::new();
    let daemon = lab.portsentry("-stcp").with("JSON_LOG", "-").start();
    let source = lab.source(Family::V4);
    lab.nmap(source, "-sS -p 11");
    daemon.wait_for_block(source);
    let lines = daemon.terminate().lines;
    let events: Vec<Fields> =
        lines.iter().filter(|line| line.starts_with('{')).map(|line| read(line)).collect();
    for action in ["start", "active", "probe", "block", "deny", "stop"] {
        assert!(events.iter().any(|event| event["event.action"] == action), "{action}: {lines:#?}");
    }
}

#[test]
fn a_reader_that_hangs_holds_nothing_else_up() {
    let lab = Lab::new();
    let pipe = lab.files().join("pipe");
    // Standard output is a pipe, and nothing reads it after the event that the daemon is active.
    let stuck = format!(
        "mkfifo {0}; exec 3<>{0}; sed -u '/now active and listening/q' <{0} & exec \"$@\" >{0}",
        pipe.display()
    );
    let config = "TCP_PORTS=\"11,15\"\nBLOCK_TCP=\"1\"\nBLOCK_UNPROVEN=\"1\"\nLOG_OUTPUT=\"syslog\"\n\
                  LOG_FORMAT=\"classic\"\nJSON_LOG=\"-\"\n";
    let daemon = lab.portsentry("--stealth -i eth0").installed(config).start_in(by_way_of(&stuck));
    let probe = |number| format!("IP(src='10.9.8.{number}', dst='{}')/TCP(dport=11)", Family::V4.host());
    lab.scapy(&(1..255).map(probe).collect::<Vec<_>>());
    let source = lab.source(Family::V4);
    lab.nmap(source, "-sS -p 11");
    daemon.wait_until("the files follow", || {
        let lines = daemon.file("BLOCKED_FILE");
        lines.len() == 255 && lines.iter().any(|line| line.contains(&source.to_string()))
    });
    assert_eq!(daemon.terminate().code, Some(0), "it ends without what can't be written");
}

#[test]
fn the_journal_gets_the_lines_with_their_fields() {
    let lab = Lab::new();
    let journal = lab.journal();
    let config = "TCP_PORTS=\"1,11\"\nBLOCK_TCP=\"1\"\nLOG_FORMAT=\"classic\"\nBLOCK_UNPROVEN=\"1\"\n\
                  LOG_OUTPUT=\"journald\"\nSYSLOG_LEVEL=\"warning\"\n";
    let daemon = lab.portsentry("--stealth -i eth0").installed(config).start_silent();
    let start = journal.wait_for("MESSAGE=adminalert: PortSentry is now active and listening.\n");
    assert!(start.contains("\nPORTSENTRY_EVENT=active\n"), "{start}");
    let source = lab.source(Family::V4);
    lab.nmap(source, "-sS -p 11");
    let probe =
        journal.wait_for(&format!("MESSAGE=attackalert: TCP SYN/Normal scan from host: {source}/{source}"));
    for field in [
        "PRIORITY=4",
        "SYSLOG_IDENTIFIER=portsentry",
        "SYSLOG_FACILITY=3",
        "PORTSENTRY_EVENT=probe",
        &format!("PORTSENTRY_SOURCE={source}"),
        "PORTSENTRY_PORT=11",
        "PORTSENTRY_PROTOCOL=tcp",
        "PORTSENTRY_KIND=syn",
        "PORTSENTRY_FLAGS=SYN",
        "PORTSENTRY_VERDICT=block",
        "PORTSENTRY_INTERFACE=eth0",
    ] {
        assert!(probe.lines().any(|line| line == field), "{field} in {probe}");
    }
    let block =
        journal.wait_for(&format!("MESSAGE=attackalert: Host {source} has been blocked in the kernel"));
    assert!(block.contains("\nPORTSENTRY_EVENT=block\n"), "{block}");
    daemon.terminate();
    journal.wait_for("PORTSENTRY_EVENT=stop");
}
