//! The OCI image, the manifest for Kubernetes, and the role for Ansible. Their tools are no part of the gate: `cargo xtask test
//! deployments:: -- --ignored` installs them.

use std::{
    fs,
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    time::Duration,
};

use portsentry_tests::{
    document,
    lab::{Family, Lab, Reach, binary, wait_within},
};

/// The engine's files and the container's directories in `$1`, for a mount namespace in which nothing else is changed. Here,
/// control groups and limits can't be set.
const ENGINE: &str = r#"
umount --recursive /sys/fs/cgroup || :
mount -t cgroup2 none /sys/fs/cgroup
mount -t bpf bpf /sys/fs/bpf
mkdir -p "$1/lib" "$1/run" "$1/etc/portsentry.conf.d" "$1/containers" "$1/store" /var/lib/portsentry /run/portsentry /etc/portsentry /etc/containers
mount --bind "$1/lib" /var/lib/portsentry
mount --bind "$1/run" /run/portsentry
mount --bind "$1/etc" /etc/portsentry
mount --bind "$1/containers" /etc/containers
printf '[storage]\ndriver="vfs"\ngraphroot="%s/graph"\nrunroot="%s/run"\n' "$1/store" "$1/store" > /etc/containers/storage.conf
printf '{"default":[{"type":"insecureAcceptAnything"}]}' > /etc/containers/policy.json
printf '[containers]\ncgroups="disabled"\ndefault_ulimits=["nofile=1024:4096","nproc=1024:2048"]\n[engine]\ncgroup_manager="cgroupfs"\nevents_logger="file"\nruntime="crun"\n' > /etc/containers/containers.conf
echo ready
exec sleep 1000000
"#;

/// A mount namespace in which podman runs, on the lab's host. Dropping it removes its containers.
struct Engine {
    child: Child,
}

impl Engine {
    fn start(lab: &Lab) -> Self {
        let mut command = lab.host.command("unshare");
        command.args(["--mount", "sh", "-euc", ENGINE, "sh"]).arg(lab.files());
        let mut child = command.stdout(Stdio::piped()).spawn().expect("unshare");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("its output")).read_line(&mut line).expect("a line");
        assert_eq!(line, "ready\n");
        Self { child }
    }

    fn try_run(&self, script: &str) -> Result<String, String> {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.child.id().to_string(), "--mount", "--net", "sh", "-euc", script]);
        let output = command.stdin(Stdio::null()).output().expect("nsenter");
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        if output.status.success() { Ok(said) } else { Err(format!("{script}: {}\n{said}", output.status)) }
    }

    fn run(&self, script: &str) -> String {
        self.try_run(script).unwrap_or_else(|problem| {
            panic!("{problem}\n{}", self.try_run("podman logs portsentry 2>&1").unwrap_or_else(|error| error))
        })
    }

    fn wait_until(&self, what: &str, holds: impl Fn() -> bool) {
        let shown = || format!("in vain: {what}\n{}", self.run("podman logs portsentry 2>&1"));
        wait_within(Duration::from_mins(1), shown, holds);
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let _ = self.try_run("podman kill --all; podman rm --all --force");
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns the commands of a document that begin with `words`.
fn commands(path: &str, words: &str) -> Vec<String> {
    let text = document::read(path);
    let lines = text.lines().filter_map(|line| line.strip_prefix("    "));
    lines.filter(|line| line.starts_with(words)).map(str::to_owned).collect()
}

#[test]
#[ignore = "needs podman: `cargo xtask test deployments:: -- --ignored`"]
fn the_image_runs_with_the_documented_rights() {
    let lab = Lab::new();
    let service = lab.serve_tcp(8080);
    let engine = Engine::start(&lab);
    let image = binary().ancestors().nth(2).expect("a directory of targets").join("image");
    let version = env!("CARGO_PKG_VERSION");
    let image = image.join(format!("portsentry-{version}-amd64-debug.tar"));
    let archive = lab.files().join(format!("portsentry-{version}-amd64.tar"));
    fs::copy(&image, &archive).unwrap_or_else(|error| panic!("{}: {error}", image.display()));
    // The shipped configuration only observes.
    let etc = lab.files().join("etc");
    fs::write(etc.join("portsentry.conf"), document::read("etc/portsentry.conf")).expect("a file");
    fs::write(etc.join("portsentry.ignore"), "").expect("a file");
    fs::write(etc.join("portsentry.conf.d/10-test.conf"), "BLOCK_TCP=\"1\"\nBLOCK_UDP=\"1\"\n")
        .expect("a file");

    let documented = commands("docs/container.md", "podman");
    let [load, run, status, block, list, stop, down, notify] = &documented[..] else {
        panic!("{documented:?}")
    };
    let logs = || engine.run("podman logs portsentry 2>&1");
    engine.run(&format!("cd {}; {load}", lab.files().display()));
    engine.run(run);
    engine.wait_until("it is at work", || {
        let exited = engine.run("podman ps --all --filter status=exited --quiet");
        assert_eq!(exited, "", "{}", logs());
        logs().contains("active and listening")
    });
    assert!(engine.run(status).contains("fencing and blocking"), "{}", logs());
    let process = engine.run("podman inspect --format '{{.State.Pid}}' portsentry").trim().to_owned();
    let status = engine.run(&format!("cat /proc/{process}/status"));
    // capabilities(7): BPF, PERFMON, NET_ADMIN.
    assert!(
        status.contains("CapEff:\t000000c000001000\n") && status.contains("CapBnd:\t000000c000001000\n"),
        "{status}"
    );
    assert!(!logs().contains("error"), "{}", logs());

    let source = lab.source(Family::V4);
    lab.nmap(source, "-sT -p 79,109 --max-retries 2");
    engine.run(block);
    engine.wait_until("the scanner is blocked", || {
        let listed = engine.run(list);
        listed.contains(&source.to_string()) && listed.contains("198.51.100.77")
    });
    service.assert_open_to_bystander(&lab);

    // A new container takes over without a gap.
    let sender = lab.keep_sending(source);
    engine.run(&format!("{stop}; podman rm portsentry"));
    assert!(!service.answers(&lab.scanner, source, Reach::Unexpected), "{source} gets through");
    engine.run(run);
    engine.wait_until("it is at work", || logs().contains("active and listening"));
    engine.wait_until("it knows the block", || engine.run(list).contains(&source.to_string()));
    let (sent, answered) = sender.end();
    assert!(sent > 10 && answered == 0, "{answered} of {sent} packets of a blocked source got through");
    engine.run(stop);
    engine.run(down);
    assert!(!lab.is_attached());
    assert!(service.answers(&lab.scanner, source, Reach::Expected));

    let version_of = notify.replace("--detach --name portsentry-notify", "--rm") + " --version";
    assert!(engine.run(&version_of).contains(version));
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
        "rm -rf /etc/apt/sources.list /etc/apt/sources.list.d; mkdir /etc/apt/sources.list.d; mkdir -p /srv/p; mv /srv/package.deb /srv/p; \
         cd /srv/p; apt-ftparchive packages . > Packages; \
         echo 'deb [trusted=yes] file:/srv/p ./' > /etc/apt/sources.list; apt-get update",
    );
    let archive = lab.files().join("ansible.tar");
    let packed = Command::new("tar")
        .arg("-cf")
        .arg(&archive)
        .arg("-C")
        .arg(root.join("deploy"))
        .arg("ansible")
        .status();
    assert!(packed.is_ok_and(|status| status.success()));
    machine.write("/srv/ansible.tar", fs::File::open(archive).expect("the archive"));
    machine.run("tar -xf /srv/ansible.tar -C /srv");
    let play = |settings: &str| {
        machine.try_run(&format!(
            "cd /srv/ansible; ANSIBLE_NOCOLOR=1 HOME=/root ansible-playbook --inventory localhost, --connection local site.yml \
             --extra-vars '{settings}' 2>&1"
        ))
    };
    let settings = r#"{"portsentry_repository": "", "portsentry_settings": {"BLOCK_TCP": "1", "BLOCK_UDP": "1"}, "portsentry_ignore": [{"network": "192.0.2.3"}]}"#;
    let said = play(settings).unwrap_or_else(|said| panic!("{said}"));
    assert!(said.contains("failed=0"), "{said}");
    machine.wait_until("it blocks", || machine.run("portsentry status").contains("fencing and blocking"));
    assert!(machine.run("portsentry check").contains("192.0.2.3/32"));
    let said = play(settings).unwrap_or_else(|said| panic!("{said}"));
    assert!(said.contains("changed=0 ") && said.contains("failed=0"), "{said}");
    // A wrong setting fails the play, and the old ones stay, on the disk and in the running daemon.
    let wrong = settings.replace("\"BLOCK_UDP\": \"1\"", "\"BLOCK_UDP\": \"7\"");
    let said = play(&wrong);
    assert!(said.is_err_and(|said| said.contains("BLOCK_UDP=")), "the error shows the setting");
    assert!(machine.run("portsentry check").contains("fencing and blocking"), "the invalid file isn't there");
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
