//! The OCI image, the manifest for Kubernetes, and the role for Ansible. Their tools are no part of the gate: `cargo xtask test
//! deployments:: -- --ignored` installs them.

use std::{fs, process::Command};

use portsentry_tests::{
    document,
    lab::{Family, Lab, Machine, Reach, binary},
};

/// What podman needs in a machine that is itself under an overlay, in a sandbox without all resource limits.
const PODMAN: &str = r#"
mkdir -p /etc/containers /srv/store
mount -t tmpfs none /srv/store
printf '[storage]\ndriver="vfs"\ngraphroot="/srv/store/graph"\nrunroot="/run/store"\n' > /etc/containers/storage.conf
printf '[containers]\ncgroups="disabled"\ndefault_ulimits=["nofile=1024:4096","nproc=1024:2048"]\n[engine]\ncgroup_manager="cgroupfs"\nevents_logger="file"\nruntime="crun"\n' > /etc/containers/containers.conf
dpkg --purge --force-depends portsentry portsentry-xdp || :
rm -rf /etc/portsentry /var/lib/portsentry /run/portsentry
mkdir -p /var/lib/portsentry /run/portsentry /etc/portsentry
"#;

/// Returns the commands of a document that begin with `words`.
fn commands(path: &str, words: &str) -> Vec<String> {
    let text = document::read(path);
    let lines = text.lines().filter_map(|line| line.strip_prefix("    "));
    lines.filter(|line| line.starts_with(words)).map(str::to_owned).collect()
}

fn bring(machine: &Machine, from: &str, to: &str) {
    let file = fs::File::open(from).unwrap_or_else(|error| panic!("{from}: {error}"));
    machine.write(to, file);
}

#[test]
#[ignore = "needs podman: `cargo xtask test deployments:: -- --ignored`"]
fn the_image_runs_with_the_documented_rights() {
    let lab = Lab::new();
    let machine = lab.boot();
    let service = lab.serve_tcp(8080);
    machine.run(PODMAN);
    let image = binary().ancestors().nth(2).expect("a directory of targets").join("image");
    let version = env!("CARGO_PKG_VERSION");
    let image = image.join(format!("portsentry-{version}-amd64-debug.tar"));
    bring(&machine, &image.display().to_string(), &format!("/srv/portsentry-{version}-amd64.tar"));
    // The shipped configuration only observes.
    let shipped = document::read("etc/portsentry.conf");
    fs::write(lab.files().join("conf"), shipped).expect("a file");
    bring(&machine, &lab.files().join("conf").display().to_string(), "/etc/portsentry/portsentry.conf");
    machine.run("mkdir /etc/portsentry/portsentry.conf.d; : > /etc/portsentry/portsentry.ignore");
    machine.run(
        "printf 'BLOCK_TCP=\"1\"\\nBLOCK_UDP=\"1\"\\n' > /etc/portsentry/portsentry.conf.d/10-test.conf",
    );

    let documented = commands("docs/container.md", "podman");
    let [load, run, status, block, list, down, notify] = &documented[..] else { panic!("{documented:?}") };
    let logs = || machine.run("podman logs portsentry 2>&1");
    machine.run(&format!("cd /srv; {load}"));
    machine.run(run);
    machine.wait_until("it is at work", || {
        let exited = machine.run("podman ps --all --filter status=exited --quiet");
        assert_eq!(exited, "", "{}", logs());
        logs().contains("active and listening")
    });
    assert!(machine.run(status).contains("fencing and blocking"), "{}", logs());
    let process = machine.run("podman inspect --format '{{.State.Pid}}' portsentry").trim().to_owned();
    let status = machine.run(&format!("cat /proc/{process}/status"));
    // capabilities(7): BPF, PERFMON, NET_ADMIN.
    assert!(
        status.contains("CapEff:\t000000c000001000\n") && status.contains("CapBnd:\t000000c000001000\n"),
        "{status}"
    );
    assert!(!logs().contains("error"), "{}", logs());

    let source = lab.source(Family::V4);
    lab.nmap(source, "-sT -p 79,109 --max-retries 2");
    machine.run(block);
    machine.wait_until("the scanner is blocked", || {
        let listed = machine.run(list);
        listed.contains(&source.to_string()) && listed.contains("198.51.100.77")
    });
    service.assert_open_to_bystander(&lab);

    // A new container takes over without a gap.
    let sender = lab.keep_sending(source);
    machine.run("podman stop portsentry; podman rm portsentry");
    assert!(!service.answers(&lab.scanner, source, Reach::Unexpected), "{source} gets through");
    machine.run(run);
    machine.wait_until("it is at work", || logs().contains("active and listening"));
    machine.wait_until("it knows the block", || machine.run(list).contains(&source.to_string()));
    let (sent, answered) = sender.end();
    assert!(sent > 10 && answered == 0, "{answered} of {sent} packets of a blocked source got through");
    machine.run(down);
    assert!(!lab.is_attached());
    assert!(service.answers(&lab.scanner, source, Reach::Expected));

    let version_of = notify.replace("--detach --name portsentry-notify", "--rm") + " --version";
    assert!(machine.run(&version_of).contains(version));
}

#[test]
#[ignore = "needs ansible: `cargo xtask test deployments:: -- --ignored`"]
fn the_role_installs_and_configures_and_then_changes_nothing() {
    let root = document::root().canonicalize().expect("the tree");
    let linted = Command::new("ansible-lint")
        .args(["--offline", "--nocolor", "--strict", "site.yml", "roles"])
        .current_dir(root.join("deploy/ansible"))
        .output()
        .expect("ansible-lint");
    assert!(linted.status.success(), "{}", String::from_utf8_lossy(&linted.stdout));
    let lab = Lab::new();
    let machine = lab.boot();
    machine.run("dpkg --purge --force-depends portsentry portsentry-xdp || :; rm -rf /etc/portsentry");
    machine.bring_package(1, "/srv/package.deb");
    // A source that has the package, for this machine's apt.
    machine.run(
        "rm -rf /etc/apt/sources.list /etc/apt/sources.list.d; mkdir /etc/apt/sources.list.d /srv/p; mv /srv/package.deb /srv/p; \
         cd /srv/p; apt-ftparchive packages . > Packages; \
         echo 'deb [trusted=yes] file:/srv/p ./' > /etc/apt/sources.list; apt-get update",
    );
    let directory = root.join("deploy/ansible");
    let play = |settings: &str| {
        machine.run(&format!(
            "cd {}; ANSIBLE_NOCOLOR=1 ansible-playbook --inventory localhost, --connection local site.yml --extra-vars '{settings}' 2>&1",
            directory.display()
        ))
    };
    let settings = r#"{"portsentry_repository": "", "portsentry_settings": {"BLOCK_TCP": "1", "BLOCK_UDP": "1"}, "portsentry_ignore": [{"network": "192.0.2.3"}]}"#;
    let said = play(settings);
    assert!(said.contains("failed=0"), "{said}");
    machine.wait_until("it blocks", || machine.run("portsentry status").contains("fencing and blocking"));
    assert!(machine.run("portsentry check").contains("192.0.2.3/32"));
    let said = play(settings);
    assert!(said.contains("changed=0 ") && said.contains("failed=0"), "{said}");
    // A wrong setting fails the play, and the running daemon keeps the old ones.
    let wrong = settings.replace("\"BLOCK_UDP\": \"1\"", "\"BLOCK_UDP\": \"7\"");
    let said = machine.try_run(&format!(
        "cd {}; ansible-playbook --inventory localhost, --connection local site.yml --extra-vars '{wrong}' 2>&1",
        directory.display()
    ));
    assert!(said.is_err_and(|said| said.contains("50-ansible.conf")));
    assert!(machine.run("portsentry status").contains("fencing and blocking"));
}

#[test]
#[ignore = "needs kubernetes-validate: `cargo xtask test deployments:: -- --ignored`"]
fn the_manifest_has_kubernetes_form() {
    let tools = binary().ancestors().nth(2).expect("a directory of targets").join("tools/kubernetes");
    let tool = tools.join("bin/kubernetes-validate");
    let manifest = document::root().join("deploy/kubernetes/portsentry.yaml");
    let checked = Command::new(&tool).env("PYTHONPATH", &tools).arg("--strict").arg(&manifest).output();
    let checked = checked.unwrap_or_else(|error| panic!("{}: {error}", tool.display()));
    let said = [checked.stdout, checked.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(checked.status.success() && said.matches(" passed ").count() == 3, "{said}");
}

/// The image, the document and the manifest name the same rights and directories.
#[test]
fn the_manifest_agrees_with_the_document() {
    let manifest = document::read("deploy/kubernetes/portsentry.yaml");
    let run = &commands("docs/container.md", "podman run")[0];
    let capabilities =
        run.split("--cap-add ").nth(1).and_then(|rest| rest.split(' ').next()).expect("capabilities");
    let quoted: Vec<_> = capabilities.split(',').map(|name| format!("\"{name}\"")).collect();
    assert!(manifest.contains(&format!("add: [{}]", quoted.join(", "))), "{capabilities}");
    for path in ["/sys/fs/bpf", "/var/lib/portsentry", "/run/portsentry"] {
        assert!(
            manifest.contains(&format!("mountPath: {path}\n"))
                && manifest.contains(&format!("path: {path}\n"))
        );
        assert!(run.contains(&format!("--volume {path}:{path} ")), "{path}");
    }
    assert!(manifest.contains(&format!("portsentry:{}\n", env!("CARGO_PKG_VERSION"))));
}
