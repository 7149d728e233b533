//! Drop-ins of the configuration: `portsentry.conf.d/*.conf`.

use std::{
    fs,
    net::IpAddr,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use portsentry_tests::lab::{Daemon, Family, Lab, Portsentry};

/// Returns a configuration that only observes.
fn observing(lab: &Lab) -> Portsentry<'_> {
    let setup = lab.portsentry("-stcp").with("BLOCK_TCP", "0").with("BLOCK_UDP", "0");
    let setup = setup.with("BLOCK_UNPROVEN", "0").with("CHALLENGE", "1").with("BLOCK_TIME", "3600");
    // It writes the files that the configuration names.
    setup.command();
    setup
}

fn drop_in(setup: &Portsentry<'_>, name: &str, text: &str) -> PathBuf {
    let directory = setup.config_path().with_extension("conf.d");
    fs::create_dir_all(&directory).expect("a directory");
    let path = directory.join(name);
    fs::write(&path, text).expect("a file");
    path
}

fn line_of(path: &Path, key: &str) -> usize {
    let text = fs::read_to_string(path).expect("a configuration");
    1 + text.lines().position(|line| line.starts_with(&format!("{key}=\""))).expect("a line")
}

/// Whether the daemon has logged a probe of this port.
fn saw(daemon: &Daemon<'_>, source: IpAddr, port: u16) -> bool {
    daemon.lines_about(source).iter().any(|line| line.ends_with(&format!("to TCP port: {port}")))
}

#[test]
fn check_says_which_file_and_line_each_value_comes_from() {
    let lab = Lab::new();
    let setup = observing(&lab);
    let main = setup.config_path();
    assert!(!setup.say("-stcp check").out.contains(" from "), "the only file has all values");
    let first = drop_in(&setup, "10-fleet.conf", "BLOCK_TCP=\"2\"\nKILL_RUN_CMD=\"/bin/true\"\n");
    let last = drop_in(&setup, "20-host.conf", "# this host\nBLOCK_TCP=\"1\"\n");
    drop_in(&setup, "30-host.conf.bak", "BLOCK_TCP=\"0\"\n");
    let said = setup.say("-stcp check");
    assert_eq!(said.code, 0, "{}", said.errors);
    let at = line_of(&main, "BLOCK_TCP");
    for line in [
        format!("  drop-in      {}\n  drop-in      {}\n", first.display(), last.display()),
        format!(
            "  setting      BLOCK_TCP=\"1\" from {}:2, overriding {}:{at} and {}:1\n",
            last.display(),
            main.display(),
            first.display()
        ),
        format!("  setting      KILL_RUN_CMD=\"/bin/true\" from {}:2\n", first.display()),
        format!(
            "  setting      BLOCK_TIME=\"3600\" from {}:{}\n",
            main.display(),
            line_of(&main, "BLOCK_TIME")
        ),
        "TCP number 1 of a source: fence its source".into(),
    ] {
        assert!(said.out.contains(&line), "{line} isn't in\n{}", said.out);
    }
    let json = setup.say("-stcp check --json").json();
    let settings = json["settings"].as_array().expect("settings");
    let block = settings.iter().find(|setting| setting["key"] == "BLOCK_TCP").expect("BLOCK_TCP");
    assert_eq!((&block["value"], &block["line"]), (&"1".into(), &2.into()));
    assert_eq!(block["overrides"][1]["file"], first.display().to_string());
    // doctor exits with 1 if this machine has other problems.
    let doctor = setup.say("-stcp doctor").out;
    assert!(doctor.contains("overridden settings: BLOCK_TCP (20-host.conf:2)"), "{doctor}");
}

#[test]
fn all_errors_are_reported_at_once_with_file_and_line() {
    let lab = Lab::new();
    let setup = observing(&lab);
    let wrong = drop_in(&setup, "10.conf", "\nTCP_PORTS=\"x\"\n");
    let open = drop_in(&setup, "20.conf", "");
    fs::set_permissions(&open, fs::Permissions::from_mode(0o666)).expect("chmod");
    let later = drop_in(&setup, "30.conf", "PIN_PATH=\"pins\"\n");
    let said = setup.say("-stcp check");
    assert_eq!(said.code, 3, "{}", said.out);
    for line in [
        format!(" --> {}:2:12", wrong.display()),
        format!(" --> {}:1:11", later.display()),
        format!("{} is world-writable", open.display()),
    ] {
        assert!(said.errors.contains(&line), "{line} isn't in\n{}", said.errors);
    }
    let doctor = setup.say("-stcp doctor");
    assert!(
        doctor.code == 1 && doctor.out.contains(&format!("{}:2:12: error", wrong.display())),
        "{}",
        doctor.out
    );
}

#[test]
fn a_reload_takes_them_up_or_keeps_the_old_ones() {
    let lab = Lab::new();
    let setup = observing(&lab);
    let daemon = setup.start();
    let file = drop_in(&setup, "10.conf", "TCP_PORTS=\"1,5000-5010\"\n");
    let said = setup.say("reload");
    assert_eq!(said.code, 0, "{}", said.errors);
    let source = lab.source(Family::V4);
    lab.nmap(source, "-sS -p 5005");
    assert!(saw(&daemon, source, 5005), "{:?}", daemon.log().lines());
    fs::write(&file, "TCP_PORTS=\"1,x\"\n").expect("a file");
    let said = setup.say("reload");
    assert_eq!(said.code, 3, "{}{}", said.out, said.errors);
    assert!(said.errors.contains(&format!("{}:1:14", file.display())), "{}", said.errors);
    let source = lab.source(Family::V6);
    lab.nmap(source, "-sS -p 5006");
    assert!(saw(&daemon, source, 5006), "the old configuration is in effect");
    fs::remove_file(&file).expect("the drop-in");
    assert_eq!(setup.say("reload").code, 0);
    let source = lab.source(Family::V4);
    lab.nmap(source, "-sS -p 5007");
    assert!(!saw(&daemon, source, 5007), "the port is no longer watched");
}

#[test]
fn setup_says_which_line_is_in_its_way() {
    let lab = Lab::new();
    let setup = observing(&lab);
    let daemon = setup.start();
    let before = fs::read_to_string(setup.config_path()).expect("a configuration");
    let file = drop_in(&setup, "10-fleet.conf", "FENCE_TIME=\"60\"\nBLOCK_TCP=\"0\"\n");
    let said = setup.say("setup --yes --confirmed");
    assert_eq!(said.code, 1, "{}", said.out);
    let line = format!("{}:2: BLOCK_TCP=\"0\"\n", file.display());
    assert!(
        said.errors.contains("nothing was changed, because drop-ins override") && said.errors.contains(&line),
        "{}",
        said.errors
    );
    assert_eq!(fs::read_to_string(setup.config_path()).expect("a configuration"), before);
    // A drop-in that is not in the way keeps its value.
    fs::write(&file, "FENCE_TIME=\"60\"\nBLOCK_TCP=\"1\"\n").expect("a file");
    let said = setup.say("setup --yes --confirmed");
    assert_eq!(said.code, 0, "{}{}", said.out, said.errors);
    let after = fs::read_to_string(setup.config_path()).expect("a configuration");
    assert!(after.contains("BLOCK_UDP=\"1\"\n") && after.contains("BLOCK_TCP=\"0\"\n"), "{after}");
    assert!(!after.contains("FENCE_TIME=\"300\""), "{after}");
    daemon.wait_until("it blocks", || setup.say("status").out.contains("fencing and blocking"));
}
