//! Errors are reported at once, with a remedy, and leave nothing half done.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Command};

use portsentry_tests::lab::{Ended, Family, INTERFACE, Lab, Portsentry, binary, by_way_of};

/// The exit codes, as `portsentry --help` lists them.
const USAGE: i32 = 2;
const CONFIGURATION: i32 = 3;
const KERNEL: i32 = 4;

fn assert_says(ended: &Ended, code: i32, texts: &[&str]) {
    for text in texts {
        assert!(ended.text().contains(text), "\"{text}\" isn't in:\n{}", ended.text());
    }
    assert_eq!(ended.code, Some(code), "{}", ended.text());
}

/// Fails if a program is attached.
fn assert_untouched(lab: &Lab) {
    let link = lab.host.run("ip", &["link", "show", INTERFACE]);
    assert!(!link.contains("xdp"), "{link}");
}

#[test]
fn privileges_that_are_missing() {
    let lab = Lab::new();
    let needs = ["portsentry: ", "needs root, or the capabilities CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON"];
    // Root without capabilities, as in many containers.
    let ended = lab.portsentry("-stcp").fail_in(by_way_of("exec setpriv --bounding-set=-all \"$@\""));
    assert_says(&ended, KERNEL, &needs);
    // Another user, who may not have access to the program's directory.
    fs::set_permissions(lab.files(), fs::Permissions::from_mode(0o755)).expect("a directory for everybody");
    // Copied in a separate process: concurrently started processes would inherit the file while it is open for
    // writing.
    let copied = Command::new("cp").arg(binary()).arg(lab.files()).status();
    assert!(copied.is_ok_and(|copied| copied.success()), "a copy of the program");
    let wrapper = format!(
        "shift; exec setpriv --reuid=65534 --regid=65534 --clear-groups {}/portsentry \"$@\"",
        lab.files().display()
    );
    let ended = lab.portsentry("-stcp").fail_in(by_way_of(&wrapper));
    assert_says(&ended, KERNEL, &needs);
    assert_untouched(&lab);
}

#[test]
fn a_kernel_without_type_information() {
    let lab = Lab::new();
    let ended =
        lab.portsentry("-stcp").fail_in(by_way_of("mount -t tmpfs none /sys/kernel/btf; exec \"$@\""));
    assert_says(
        &ended,
        KERNEL,
        &["has no BTF (/sys/kernel/btf/vmlinux is missing)", "CONFIG_DEBUG_INFO_BTF=y"],
    );
    assert_untouched(&lab);
}

#[test]
fn pins_outside_a_bpf_filesystem() {
    let lab = Lab::new();
    let ended = lab.portsentry("-stcp").fail_in(by_way_of("umount --lazy /sys/fs/bpf; exec \"$@\""));
    assert_says(&ended, KERNEL, &["mount -t bpf bpf /sys/fs/bpf"]);
    let elsewhere = lab.files().join("pins");
    let ended = lab.portsentry("-stcp").with("PIN_PATH", &elsewhere.display().to_string()).fail();
    assert_says(&ended, KERNEL, &["is not on bpffs; mount it with `mount -t bpf bpf /sys/fs/bpf`"]);
    assert!(!elsewhere.exists(), "nothing is left behind");
    assert_untouched(&lab);
}

#[test]
fn an_interface_that_another_program_holds() {
    let lab = Lab::new();
    let other = lab.other_pins().display().to_string();
    for mode in ["native", "generic"] {
        let first = lab.portsentry("-stcp").with("XDP_MODE", mode).start();
        let ended = lab.portsentry("-stcp").with("PIN_PATH", &other).fail();
        assert_says(
            &ended,
            KERNEL,
            &[
                "interface eth0 already has another XDP program",
                "`ip link set eth0 xdp off` (or xdpgeneric, xdpdrv)",
            ],
        );
        let source = lab.source(Family::V4);
        lab.nmap(source, "-sS -p 11");
        assert_eq!(first.lines_about(source).len(), 1, "the first goes on");
        first.terminate();
    }
}

/// Most programs attach without a link, as `bpftool` does.
#[test]
fn an_interface_that_holds_a_program_of_bpftools() {
    let lab = Lab::new();
    let first = lab.portsentry("-stcp").start();
    // Any XDP program serves here; this one is already loaded.
    let shown = lab.host.run("bpftool", &["-j", "net", "show", "dev", INTERFACE]);
    let shown: serde_json::Value = serde_json::from_str(&shown).expect("bpftool prints JSON");
    let number = shown[0]["xdp"][0]["id"].to_string();
    let pins = lab.other_pins();
    fs::create_dir(&pins).expect("a directory for pins");
    let pin = pins.join("foreign").display().to_string();
    lab.host.run("bpftool", &["prog", "pin", "id", &number, &pin]);
    first.terminate();
    lab.host.run("bpftool", &["net", "attach", "xdp", "pinned", &pin, "dev", INTERFACE]);
    let ended = lab.portsentry("-stcp").fail();
    assert_says(
        &ended,
        KERNEL,
        &["interface eth0 already has another XDP program", "`ip link set eth0 xdp off`"],
    );
    assert!(lab.is_attached(), "the other goes on");
    lab.host.ip("link set eth0 xdp off");
    lab.portsentry("-stcp").start();
}

#[test]
fn another_daemon_on_the_same_pins() {
    let lab = Lab::new();
    let first = lab.portsentry("-stcp").start();
    let ended = lab.portsentry("-stcp").fail();
    let pins = lab.pins().display().to_string();
    let running = format!("another portsentry uses the maps in {pins}");
    assert_says(&ended, KERNEL, &[&running, "stop it first, or give this one its own PIN_PATH"]);
    let source = lab.source(Family::V4);
    lab.nmap(source, "-sS -p 11");
    assert_eq!(first.lines_about(source).len(), 1, "the first goes on");
    assert_eq!(first.terminate().code, Some(0));
}

#[test]
fn a_configuration_whose_errors_are_all_told_at_once() {
    let lab = Lab::new();
    let file = lab.files().display();
    let text = format!(
        "TCP_PORTS=\"1,11,70000\"\nIGNORE_FILE=\"{file}/portsentry.ignore\"\nSCAN_TRIGGER=\"often\"\n\
         BLOCK_TCP=\"3\"\nKILL_ROUTE=\"/sbin/route add\"\nNO_SUCH_SETTING=\"1\"\n"
    );
    let ended = lab.portsentry("-stcp").with_config(&text).fail();
    let config = lab.files().join("portsentry.conf");
    let at = |place: &str| format!("{}:{place}", config.display());
    assert_says(
        &ended,
        CONFIGURATION,
        &[
            &at("1:17"),
            &at("3:15"),
            &at("4:12"),
            &at("5:13"),
            &at("6:1"),
            "TCP_PORTS=\"1,11,70000\"",
            "^^^^^",
        ],
    );
    let errors = ended.lines.iter().filter(|line| line.starts_with("error")).count();
    let warnings = ended.lines.iter().filter(|line| line.starts_with("warning")).count();
    assert_eq!((errors, warnings), (4, 1), "{}", ended.text());
    assert_untouched(&lab);
}

#[test]
fn all_files_are_told_of_at_once() {
    let lab = Lab::new();
    let files = lab.files();
    let list = files.join("blocklist");
    fs::write(&list, "10.0.0.0/2\n").expect("a block list");
    let setup = lab.portsentry("-stcp").with("BLOCK_LIST", &list.display().to_string());
    let setup = setup.with("SCAN_TRIGGER", "often").with("NO_SUCH", "1");
    let setup = setup.ignoring("192.0.2.0/33").ignoring("0.0.0.0/0");
    let ended = setup.fail();
    for (file, texts) in [
        ("portsentry.conf", &["often", "unknown setting NO_SUCH"][..]),
        ("portsentry.ignore", &["192.0.2.0/33", "this ignores every source"]),
        ("blocklist", &["10.0.0.0/2"]),
    ] {
        let path = files.join(file).display().to_string();
        assert_says(&ended, CONFIGURATION, &[&[path.as_str()], texts].concat());
    }
    // A file with a warning is reported together with an invalid one.
    let ended = setup.with("SCAN_TRIGGER", "1").fail();
    assert_says(&ended, CONFIGURATION, &["unknown setting NO_SUCH", "192.0.2.0/33"]);
    assert_untouched(&lab);
}

#[test]
fn a_configuration_that_is_missing_or_not_to_be_trusted() {
    let lab = Lab::new();
    let setup = lab.portsentry("-stcp -i eth0");
    let config = setup.config_path();
    let started_after = |change: &dyn Fn(&Path)| {
        setup.fail_in(|command| {
            change(&config);
            command
        })
    };
    let ended = started_after(&|path| fs::remove_file(path).expect("it was there"));
    assert_says(&ended, CONFIGURATION, &["portsentry.conf can't be read: No such file or directory"]);
    let ended = started_after(&|path| {
        fs::set_permissions(path, fs::Permissions::from_mode(0o666)).expect("everybody may write");
    });
    assert_says(&ended, CONFIGURATION, &["portsentry.conf is world-writable", "chmod o-w"]);
    fs::remove_file(&config).expect("it was there");
    let ended = started_after(&|path| {
        std::os::unix::fs::chown(path, Some(65534), None).expect("root gives it away");
    });
    assert_says(&ended, CONFIGURATION, &["portsentry.conf belongs to user 65534", "chown root"]);
    assert_untouched(&lab);
}

#[test]
fn an_ignore_file_that_is_missing_or_wrong() {
    let lab = Lab::new();
    let setup = lab.portsentry("-stcp");
    let ended = setup.clone().with("IGNORE_FILE", "/nowhere/portsentry.ignore").fail();
    assert_says(
        &ended,
        CONFIGURATION,
        &["/nowhere/portsentry.ignore can't be read: No such file or directory"],
    );
    let ended = setup.ignoring("192.0.2.0/24").ignoring("192.0.2.0/33").ignoring("no.such").fail();
    let file = lab.files().join("portsentry.ignore");
    let at = |place: &str| format!("{}:{place}", file.display());
    assert_says(&ended, CONFIGURATION, &[&at("2:"), &at("3:1"), "^"]);
}

#[test]
fn a_missing_default_ignore_file_is_warned_of_once() {
    let lab = Lab::new();
    let debian = include_str!("../../portsentry/testdata/debian-1.2.conf");
    let setup = lab.portsentry("-stcp -sudp -l stdout").installed(debian);
    let daemon = setup.start_in(|command| {
        fs::remove_file(setup.path("IGNORE_FILE")).expect("an ignore file");
        command
    });
    daemon.settle();
    assert_eq!(daemon.log().count("portsentry.ignore is missing"), 1, "{:#?}", daemon.log().lines());
    assert_eq!(daemon.log().count("ERROR"), 0, "{:#?}", daemon.log().lines());
}

#[test]
fn a_command_line_that_makes_no_sense() {
    let lab = Lab::new();
    for flags in ["-xtcp", "-stcp --no-such-flag", "-stcp extra", "-m nothing"] {
        let ended: Ended = Portsentry::fail(&lab.portsentry(flags));
        assert_says(&ended, USAGE, &["error: "]);
    }
    assert_untouched(&lab);
}

/// A misspelt or unquoted setting is ignored, and may leave no port to watch.
#[test]
fn a_configuration_that_leaves_no_port_to_watch_is_said_to() {
    let lab = Lab::new();
    let lacking = |flags: &str| {
        lab.portsentry(flags).with("INTERFACES", INTERFACE).without("TCP_PORTS").without("UDP_PORTS")
    };
    let words = [
        "no TCP port is watched, so no TCP scan is detected",
        "no UDP port is watched",
        "set \
        UDP_PORTS",
    ];
    for command in ["check", "doctor"] {
        let ended = lacking(&format!("-stcp -sudp {command}")).fail();
        for said in words {
            assert!(ended.text().contains(said), "{command}: {said}\n{}", ended.text());
        }
    }
    let daemon = lacking("-stcp -sudp").with("TCP_PORTS", "1").start();
    daemon.log().wait_for("ERROR: no UDP port is watched, so no UDP scan is detected: set UDP_PORTS");
    assert_eq!(daemon.log().count("no TCP port"), 0);
}
