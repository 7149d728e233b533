//! All outputs for administrators show the daemon's mode of enforcement.

use std::net::SocketAddr;

use portsentry_tests::lab::{FAMILIES, Family, Lab, Portsentry, Probe};

const OBSERVING: &str = "observing (nothing is blocked)";
const ADDRESS: &str = "127.0.0.1:9911";

/// Fails unless status, top and metrics show the mode, and how to change it.
fn assert_says(lab: &Lab, setup: &Portsentry<'_>, words: &str, name: &str) {
    let status = setup.say("status");
    let line = status.out.lines().find(|line| line.starts_with("mode ")).unwrap_or_default();
    assert!(line.contains(&format!(" {words}: ")) && line.contains("BLOCK_TCP"), "{}", status.out);
    let value = setup.say("status --json").json();
    assert_eq!((&value["mode"]["name"], &value["mode"]["words"]), (&name.into(), &words.into()), "{value}");
    let top = setup.say("top --once").out;
    assert!(top.contains(words), "{top}");
    let metrics = lab.host.run("curl", &["-s", &format!("http://{ADDRESS}/metrics")]);
    let of = |name: &str, value: u8| format!("portsentry_mode{{mode=\"{name}\"}} {value}");
    assert!(metrics.lines().any(|line| line == of(name, 1)), "{metrics}");
    let modes = metrics.lines().filter(|line| line.starts_with("portsentry_mode{"));
    assert_eq!(modes.filter(|line| line.ends_with(" 1")).count(), 1, "{metrics}");
}

#[test]
fn the_mode_is_named_everywhere_and_follows_a_reload() {
    let lab = Lab::new();
    let setup = lab.portsentry("-stcp -sudp").with("METRICS_LISTEN", ADDRESS).with("BLOCK_UNPROVEN", "0");
    let observing = setup.clone().with("BLOCK_TCP", "0").with("BLOCK_UDP", "0");
    let daemon = observing.start();
    let first = daemon.log().lines().first().cloned().unwrap_or_default();
    let version = env!("CARGO_PKG_VERSION");
    assert!(first.contains(&format!("portsentry {version}: {OBSERVING}: ")), "{first}");
    assert_says(&lab, &observing, OBSERVING, "observing");
    // The columns are as wide as their texts.
    let doctor = |setup: &Portsentry<'_>| {
        let page = setup.say("-i eth0 doctor").out;
        page.lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ") + "\n")
            .collect::<String>()
    };
    let page = doctor(&observing);
    assert!(page.contains(&format!("warning mode {OBSERVING}\n")), "{page}");
    let check = observing.say("-stcp -sudp check").out;
    assert!(check.contains(OBSERVING), "{check}");

    // A change of the file alone has no effect.
    let armed = setup.clone().with("CHALLENGE", "1");
    armed.write();
    assert_says(&lab, &armed, OBSERVING, "observing");
    assert_eq!(armed.say("reload").code, 0);
    assert_says(&lab, &armed, "fencing and blocking", "fencing_and_blocking");
    daemon.log().wait_for("Mode: fencing and blocking: ");
    let page = doctor(&armed);
    assert!(page.contains("ok mode fencing and blocking: "), "{page}");

    setup.write();
    assert_eq!(setup.say("reload").code, 0);
    assert_says(&lab, &setup, "fencing", "fencing");
    // Without a daemon, the configuration determines the mode.
    daemon.kill();
    let status = setup.say("status").out;
    assert!(status.lines().any(|line| line.starts_with("mode         fencing: ")), "{status}");
}

#[test]
fn observing_says_what_would_have_happened() {
    let lab = Lab::new();
    let dry = lab.portsentry("-stcp -sudp").with("BLOCK_TCP", "0").with("BLOCK_UDP", "0");
    for (setup, words) in [(dry.clone().with("BLOCK_UNPROVEN", "0"), "fenced"), (dry, "blocked")] {
        let daemon = setup.start();
        let (tcp, udp) = (lab.source(Family::V4), lab.source(Family::V4));
        lab.nmap(tcp, "-sS -p 11");
        daemon.log().wait_for(&format!("Host {tcp} would have been {words} with BLOCK_TCP=\"1\""));
        let _probe = Probe::udp(&lab.scanner, udp, SocketAddr::new(Family::V4.host(), 69));
        daemon.log().wait_for(&format!("Host {udp} would have been {words} with BLOCK_UDP=\"1\""));
        assert!(daemon.blocked().is_empty() && daemon.fenced().is_empty());
        daemon.terminate();
    }
}

/// A connection to a trap proves something, and an observing daemon counts as an armed one does.
#[test]
fn observing_counts_the_connections_to_traps() {
    let lab = Lab::new();
    let setup = lab.portsentry("-tcp").with("BLOCK_TCP", "0").without("PROOF_TRAPS");
    let daemon = setup.with("BLOCK_UNPROVEN", "0").start();
    for family in FAMILIES {
        let source = lab.source(family);
        for (port, words) in [(11, "fenced"), (79, "blocked")] {
            lab.nmap(source, &format!("-sT -p {port}"));
            daemon.log().wait_for(&format!("from host: {source}/{source} to TCP port: {port}"));
            daemon.wait_until(&format!("{port}: {words}"), || {
                let last = daemon.log().lines_about(source).pop().unwrap_or_default();
                last.contains(&format!("Host {source} would have been {words} with BLOCK_TCP=\"1\""))
            });
        }
    }
    assert!(daemon.blocked().is_empty() && daemon.fenced().is_empty());
}
