//! The log of the package's service on a machine with systemd: fields and priorities in the journal, whatever the flags.

use std::collections::BTreeMap;

use portsentry_tests::lab::{Family, Lab, Machine};
use serde_json::Value;

type Fields = BTreeMap<String, Value>;

/// Returns the service's lines in the journal that `filter` selects, from the process that systemd started as its main one.
fn lines(machine: &Machine, filter: &str) -> Vec<Fields> {
    let text = machine.run(&format!(
        "journalctl --sync; journalctl --unit portsentry --output json --no-pager {filter} SYSLOG_IDENTIFIER=portsentry"
    ));
    let read = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"));
    text.lines().map(read).collect()
}

fn text<'a>(fields: &'a Fields, name: &str) -> &'a str {
    fields.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn find<'a>(lines: &'a [Fields], message: &str) -> &'a Fields {
    let found = lines.iter().find(|fields| text(fields, "MESSAGE").contains(message));
    found.unwrap_or_else(|| panic!("no line has {message:?}: {lines:#?}"))
}

fn installed(lab: &Lab) -> Machine {
    let machine = lab.boot();
    machine.run("dpkg --purge --force-depends portsentry portsentry-xdp || :; rm -rf /etc/portsentry");
    machine.bring_package(1, "/srv/package.deb");
    machine.run("dpkg --install /srv/package.deb");
    machine
}

fn options(machine: &Machine, options: &str) {
    machine.run(&format!(
        "sed -i 's/^OPTIONS=.*/OPTIONS=\"{options}\"/' /etc/default/portsentry; \
         journalctl --rotate --vacuum-time=1s --quiet; systemctl reset-failed portsentry || :; systemctl restart portsentry"
    ));
    assert_eq!(machine.run("systemctl is-active portsentry").trim(), "active");
}

#[test]
fn the_service_logs_to_the_journal_with_fields_and_priorities() {
    let lab = Lab::new();
    let machine = installed(&lab);
    let source = lab.source(Family::V4);
    lab.nmap(source, "-sS -p 79 --max-retries 0");
    machine.wait_until("the probe is logged", || !lines(&machine, "PORTSENTRY_EVENT=probe").is_empty());
    let all = lines(&machine, "");
    for (message, event, priority) in [
        ("adminalert: PortSentry 1.2 is starting.", "start", "5"),
        ("adminalert: PortSentry is now active and listening.", "active", "6"),
        ("attackalert: TCP SYN/Normal scan from host:", "probe", "4"),
    ] {
        let fields = find(&all, message);
        for (name, expected) in [
            ("PORTSENTRY_EVENT", event),
            ("PRIORITY", priority),
            ("_TRANSPORT", "journal"),
            ("SYSLOG_IDENTIFIER", "portsentry"),
            ("_SYSTEMD_UNIT", "portsentry.service"),
        ] {
            assert_eq!(text(fields, name), expected, "{name} of {message}");
        }
    }
    assert_eq!(text(find(&all, "attackalert: TCP"), "PORTSENTRY_SOURCE"), source.to_string());
    // What logcheck and other readers of lines see.
    let short = machine.run("journalctl --unit portsentry --output short --no-pager");
    let form = regex::Regex::new(&format!(
        r"(?m)^\w{{3}} [ :0-9]{{11}} \S+ portsentry\[\d+\]: attackalert: TCP SYN/Normal scan from host: {source}/{source} to TCP port: 79$"
    ));
    assert!(form.expect("a pattern").is_match(&short), "{short}");
    // What logcheck would report, given the package's rules.
    let reported = |machine: &Machine| {
        machine.run(
            "journalctl --unit portsentry --identifier portsentry --output short --no-pager \
             | grep -E --text -v -f /etc/logcheck/ignore.d.server/portsentry-xdp || :",
        )
    };
    assert_eq!(reported(&machine), "");
    assert_eq!(lines(&machine, "--priority err"), Vec::<Fields>::new());

    // An invalid configuration: a reload fails, and so does a start.
    machine.run("sed -i 's/^MAX_BLOCKED=.*//; $ a MAX_BLOCKED=\"many\"' /etc/portsentry/portsentry.conf");
    assert!(machine.try_run("systemctl reload portsentry").is_err());
    machine.wait_until("both processes have reported the error", || {
        lines(&machine, "--priority err")
            .iter()
            .filter(|line| text(line, "MESSAGE").contains("MAX_BLOCKED"))
            .count()
            >= 2
    });
    assert!(reported(&machine).contains("ERROR: "), "{}", reported(&machine));
    machine.run("journalctl --rotate --vacuum-time=1s --quiet");
    assert!(machine.try_run("systemctl restart portsentry").is_err());
    machine.wait_until("the failed start has reported it", || {
        lines(&machine, "--priority err").iter().any(|line| text(line, "MESSAGE").contains("MAX_BLOCKED"))
    });
}

#[test]
fn the_service_starts_with_any_outputs() {
    let lab = Lab::new();
    let machine = installed(&lab);
    for (flags, transport) in [
        ("-l stdout -l syslog", "stdout"),
        ("-l stdout -l stdout", "stdout"),
        ("-l syslog -l stdout", "stdout"),
        ("-l journald -l journald", "journal"),
        ("-D", "journal"),
    ] {
        options(&machine, flags);
        let process = machine.run("systemctl show --property MainPID --value portsentry");
        let expected = [
            ("MESSAGE", "adminalert: PortSentry is now active and listening."),
            ("_TRANSPORT", transport),
            ("PRIORITY", "6"),
            ("_PID", process.trim()),
        ];
        machine.wait_until(&format!("{flags}: {expected:?} is logged"), || {
            let is_it = |line: &Fields| expected.iter().all(|(name, value)| text(line, name) == *value);
            lines(&machine, "").iter().any(is_it)
        });
    }
    options(&machine, "-l syslog");
}
