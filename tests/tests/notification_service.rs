//! The notifier's service on a machine with systemd, its file, and its documentation.

use std::{fs, process::Command, time::Duration};

use portsentry_tests::{
    document,
    lab::{Family, Lab, Receiver, Reply, binary, wait_within},
};

const PATIENCE: Duration = Duration::from_mins(1);

#[test]
fn the_service_sends_without_privileges() {
    let lab = Lab::new();
    let receiver = Receiver::start(&lab.host, |_, _| Reply::status(200));
    let machine = lab.boot();
    machine.run("dpkg --purge --force-depends portsentry portsentry-xdp || :; rm -rf /etc/portsentry");
    machine.bring_package(1, "/tmp/package.deb");
    machine.run("dpkg --install --force-confold /tmp/package.deb");
    let said = machine
        .run("systemctl is-enabled portsentry-notify || :; stat --format %a /etc/portsentry/notify.conf");
    assert_eq!(said, "disabled\n640\n");
    assert_eq!(machine.run("portsentry notify --check"), "OK. 0 channels\n");
    machine.run(
        "sed -i 's/^BLOCK_TCP=.*/BLOCK_TCP=\"1\"/; s/^BLOCK_UNPROVEN=.*/BLOCK_UNPROVEN=\"1\"/' \
         /etc/portsentry/portsentry.conf; echo 'CONTROL_GROUP=\"portsentry-notify\"' >> /etc/portsentry/portsentry.conf; \
         systemctl restart portsentry",
    );
    let channel = format!("[hook]\nCHANNEL=\"webhook\"\nURL=\"{}/in\"\nEVENTS=\"block\"\n", receiver.url());
    machine.run(&format!("cat >> /etc/portsentry/notify.conf <<'END'\n{channel}END"));
    assert_eq!(
        machine.run("portsentry notify --check; portsentry notify --test"),
        "OK. 1 channels\nhook: OK\n"
    );
    machine.run("systemctl enable --now portsentry-notify 2>&1");
    let journal = || machine.run("journalctl --unit portsentry-notify --output cat --no-pager");
    let follows = |what: &str| {
        machine.wait_until(what, || machine.try_run("test -e /var/lib/portsentry-notify/position").is_ok());
    };
    follows("it follows");
    let arrives = || {
        let source = lab.source(Family::V4);
        lab.nmap(source, "-sS -p 1-20");
        let text = format!("Host {source} has been blocked");
        let complaint = || format!("in vain: {text}. The notifier's log:\n{}", journal());
        wait_within(PATIENCE, complaint, || {
            receiver.received().iter().any(|request| request.body.contains(&text))
        });
    };
    arrives();
    let doctor = machine.run("portsentry doctor || :");
    assert!(doctor.contains("and may follow events; 1 channel\n"), "{doctor}");
    let status =
        machine.run("cat /proc/$(systemctl show --property MainPID --value portsentry-notify)/status");
    let user = machine.run("id --user portsentry-notify").trim().to_owned();
    assert!(status.contains(&format!("Uid:\t{user}\t{user}\t{user}\t{user}\n")), "{status}");
    for set in ["CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert!(status.contains(&format!("{set}:\t0000000000000000\n")), "{status}");
    }
    machine.run("systemctl kill --signal KILL portsentry-notify");
    machine.wait_until("systemd starts it anew", || {
        machine.run("systemctl show --property NRestarts --value portsentry-notify").trim() == "1"
    });
    arrives();
    machine.run("dpkg --purge portsentry-xdp");
    assert_eq!(machine.run("find /etc /var /usr -name '*portsentry-notify*'"), "");
}

/// systemd's rating of the unit's hardening, from 0 (best) to 10 (none).
#[test]
fn the_unit_is_hardened() {
    let mut command = Command::new("systemd-analyze");
    command.args(["security", "--offline=true", "--threshold=20", "--no-pager"]);
    let unit = document::root().join("pkg/portsentry-notify.service");
    let checked = command.arg(unit).output().expect("`systemd-analyze`");
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stdout));
}

fn notify(words: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(binary().with_file_name("portsentry-notify")).args(words).output();
    let output = output.expect("the notifier starts");
    let text = [output.stdout, output.stderr].map(|text| String::from_utf8(text).expect("UTF-8")).concat();
    (output.status.code(), text)
}

#[test]
fn the_documentation_has_every_setting_and_a_file_that_is_valid() {
    let text = document::read("docs/notifications.md");
    let (_, tables) = notify(&["--reference"]);
    for table in tables.split("\n\n") {
        assert!(text.contains(table.trim_end()), "docs/notifications.md lacks:\n{table}");
    }
    assert_eq!(
        document::read("pkg/man/portsentry-notify.conf.5"),
        notify(&["--manual"]).1,
        "run `cargo xtask gen-docs`"
    );
    let directory = tempfile::tempdir().expect("a directory");
    let example =
        text.split_once("```ini\n").and_then(|(_, rest)| rest.split_once("```")).expect("an example").0;
    let shipped = document::read("etc/notify.conf");
    let uncommented = shipped.lines().map(|line| match line.strip_prefix('#') {
        Some(setting) if !setting.starts_with(' ') => setting,
        _ => line,
    });
    let uncommented = uncommented.collect::<Vec<_>>().join("\n");
    for (file, count) in [(example, 5), (&shipped, 0), (&uncommented, 5)] {
        let path = directory.path().join("notify.conf");
        fs::write(&path, file).expect("a file");
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("a mode");
        let said = notify(&["--check", "--file", &path.display().to_string()]);
        assert_eq!(said, (Some(0), format!("OK. {count} channels\n")), "{file}");
    }
}

#[test]
fn a_wrong_file_is_refused_with_all_errors() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("notify.conf");
    fs::write(&path, "[a]\nCHANNEL=\"slak\"\nURLL=\"x\"\n").expect("a file");
    let words = ["--check", "--file", &path.display().to_string()];
    let (code, text) = notify(&words);
    assert!(code == Some(3) && text.contains("chmod o-r"), "{text}");
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("a mode");
    let (code, text) = notify(&words);
    assert_eq!(code, Some(3));
    for part in [
        "\"slak\" is not a valid choice",
        "notify.conf:2:10",
        "unknown setting URLL",
        "did you mean URL?",
        "^^^^",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
}
