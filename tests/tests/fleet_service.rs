//! The companion's service on a machine with systemd, its file, and its documentation.

use std::{fs::File, process::Command, time::Duration};

use portsentry_tests::{
    document,
    lab::{Lab, fleet, wait_within},
};

const PATIENCE: Duration = Duration::from_secs(30);

/// The commands of docs/fleet.md for a gateway.
const STEPS: &str = "chown root:portsentry-share /etc/portsentry/share.conf /etc/portsentry/gateway.key
chmod 0640 /etc/portsentry/share.conf /etc/portsentry/gateway.key
portsentry share --check
systemctl restart portsentry
systemctl enable --now portsentry-share
portsentry peers
";

#[test]
fn the_service_shares_without_privileges() {
    assert!(document::read("docs/fleet.md").contains(STEPS), "docs/fleet.md has other commands");
    let lab = Lab::new();
    let machine = lab.boot();
    machine.run("dpkg --purge --force-depends portsentry portsentry-xdp || :; rm -rf /etc/portsentry");
    machine.bring_package(1, "/tmp/package.deb");
    machine.run("dpkg --install --force-confold /tmp/package.deb");
    assert_eq!(machine.run("systemctl is-enabled portsentry-share || :"), "disabled\n");
    machine.run("cd /root; portsentry share init --gateway gw1 gw2 --server 127.0.0.1");
    let server = document::root().join("target/tools/bin/nats-server");
    machine.write("/root/nats-server", File::open(server).expect("run `cargo xtask setup`"));
    machine.run(
        "chmod +x /root/nats-server; systemd-run --unit nats --working-directory /root/fleet/servers/127.0.0.1 \
         /root/nats-server --config nats-server.conf",
    );
    let created = machine.run("cd /root; portsentry share --file fleet/administrator/share.conf create");
    assert!(created.contains("PS-gw1: created\nPS-gw2: created\n"), "{created}");
    machine.run("cp /root/fleet/gateways/gw1/* /etc/portsentry");
    machine.run(
        "sed -i 's|^SHARE_SOCKET=.*|SHARE_SOCKET=\"/run/portsentry/share.sock\"|; s|^#GATEWAY_NAME=|GATEWAY_NAME=|; \
         s|^#PEERS=.*|PEERS=\"gw2\"|' /etc/portsentry/portsentry.conf",
    );
    let said = machine.run(&format!("set -e\n{STEPS}"));
    assert!(said.contains("OK. 2 gateways, 1 servers\n") && said.contains("this is gateway gw1"), "{said}");
    let journal = "systemctl status portsentry-share; journalctl --unit portsentry-share --output cat --no-pager; \
                   portsentry status; portsentry peers; ls -l /etc/portsentry /run/portsentry";
    let complaint =
        || format!("in vain: the companion connects\n{}", machine.run(&format!("({journal}) 2>&1 || :")));
    wait_within(PATIENCE, complaint, || {
        machine.run("portsentry status || :").contains("connected to 1 of 1 servers")
    });
    assert!(machine.run("portsentry doctor || :").contains("if that server fails"));
    let status =
        machine.run("cat /proc/$(systemctl show --property MainPID --value portsentry-share)/status");
    let user = machine.run("id --user portsentry-share").trim().to_owned();
    assert!(status.contains(&format!("Uid:\t{user}\t{user}\t{user}\t{user}\n")), "{status}");
    for set in ["CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert!(status.contains(&format!("{set}:\t0000000000000000\n")), "{status}");
    }
    let journal = machine.run("journalctl --unit portsentry-share --output cat --no-pager");
    assert!(journal.contains("confined by Landlock") || journal.contains("has no Landlock"), "{journal}");
    // Routes need CAP_NET_ADMIN, in a process of their own.
    machine.run(
        "echo 'ROUTES_OUT=\"80\"' >> /etc/portsentry/share.conf; systemctl enable --now portsentry-routes",
    );
    machine.run("sed -i 's|^#*SHARE_BLOCKS=.*|SHARE_BLOCKS=\"all\"|' /etc/portsentry/portsentry.conf");
    machine.run("systemctl restart portsentry portsentry-share; portsentry block 203.0.113.9");
    let routes = || machine.run("ip route show table 80 2>/dev/null || :");
    machine.wait_until("the block is a route", || routes().contains("blackhole 203.0.113.9 proto 80"));
    let status =
        machine.run("cat /proc/$(systemctl show --property MainPID --value portsentry-routes)/status");
    assert!(status.contains(&format!("Uid:\t{user}\t")), "{status}");
    assert!(status.contains("CapEff:\t0000000000001000\n"), "{status}");
    machine.run("systemctl stop portsentry-routes");
    assert_eq!(routes(), "");
    machine.run("systemctl kill --signal KILL portsentry-share");
    machine.wait_until("systemd starts it anew", || {
        machine.run("systemctl show --property NRestarts --value portsentry-share").trim() == "1"
    });
    machine.run("dpkg --purge portsentry-xdp");
    assert_eq!(machine.run("find /etc /usr -name '*portsentry-share*' -o -name '*portsentry-routes*'"), "");
}

/// systemd's rating of the unit's hardening, from 0 (best) to 10 (none).
#[test]
fn the_unit_is_hardened() {
    for unit in ["pkg/portsentry-share.service", "pkg/portsentry-routes.service"] {
        let mut command = Command::new("systemd-analyze");
        command.args(["security", "--offline=true", "--threshold=20", "--no-pager"]);
        let checked = command.arg(document::root().join(unit)).output().expect("`systemd-analyze`");
        assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stdout));
    }
}

#[test]
fn the_documentation_has_every_setting() {
    let output = Command::new(fleet::program()).arg("--reference").output().expect("the companion starts");
    let table = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(document::read("docs/fleet.md").contains(table.trim_end()), "docs/fleet.md lacks:\n{table}");
}
