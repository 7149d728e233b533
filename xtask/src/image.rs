//! `cargo xtask image`: an OCI image from scratch, with nothing but the static programs and the shipped configuration. Needs no
//! container engine. The same sources and compiler give the same image.

use std::{fs, path::Path, process::Command};

use anyhow::{Context, Result};
use clap::Args;
use serde_json::{Value, json};

use crate::{
    arch::{Arch, Target},
    build_ebpf,
    daemon::{PROGRAMS, static_programs},
    paths, setup, shell,
};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// The files of the image besides the programs: those in the tree, and their places.
const FILES: [(&str, &str); 5] = [
    ("etc/portsentry.conf", "etc/portsentry/portsentry.conf"),
    ("etc/portsentry.conf.d/README", "etc/portsentry/portsentry.conf.d/README"),
    ("etc/portsentry.ignore", "etc/portsentry/portsentry.ignore"),
    ("LICENSE-APACHE", "usr/share/doc/portsentry-xdp/LICENSE-APACHE"),
    ("LICENSE-MIT", "usr/share/doc/portsentry-xdp/LICENSE-MIT"),
];
/// Its empty directories, in which volumes can be mounted.
const DIRECTORIES: [&str; 7] = [
    "var/lib/portsentry",
    "var/lib/portsentry-notify",
    "run/portsentry",
    "etc/ssl/certs",
    "proc",
    "sys/fs/bpf",
    "tmp",
];

/// The image to make.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Arguments {
    /// Pack an unoptimised build
    #[arg(long)]
    debug: bool,
    /// Build for this architecture, with Debian's cross compiler
    #[arg(long)]
    arch: Option<Arch>,
}

/// For the tests.
pub(crate) const FOR_TESTS: Arguments = Arguments { debug: true, arch: None };

/// Builds the programs and packs them. Writes an archive that `podman load` and `ctr images import` read.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let target = Target::new(arguments.arch);
    setup::cross(target)?;
    build_ebpf::run()?;
    let programs = static_programs(target, !arguments.debug)?;
    let version = env!("CARGO_PKG_VERSION");
    let work = tempfile::tempdir().context("a directory for the image")?;
    let root = work.path().join("root");
    fill(&root, &programs, target)?;
    let layout = work.path().join("layout");
    write_layout(&layout, &root, work.path(), version, target.debian())?;
    let output = paths::target().join("image");
    fs::create_dir_all(&output).with_context(|| output.display().to_string())?;
    let archive = output.join(format!(
        "portsentry-{version}-{}{}.tar",
        target.debian(),
        if arguments.debug { "-debug" } else { "" }
    ));
    tar(&layout, &archive)?;
    shell::step(&format!("{} is ready: podman load -i {}", archive.display(), archive.display()));
    Ok(())
}

/// Fills the image's root directory.
fn fill(root: &Path, programs: &Path, target: Target) -> Result<()> {
    for directory in DIRECTORIES {
        let path = root.join(directory);
        fs::create_dir_all(&path).with_context(|| path.display().to_string())?;
    }
    let programs = PROGRAMS.map(|name| (programs.join(name), format!("usr/sbin/{name}"), "755"));
    let files = FILES.map(|(from, to)| (paths::root().join(from), to.to_owned(), "644"));
    for (from, to, mode) in programs.into_iter().chain(files) {
        shell::run(Command::new("install").args(["-D", "--mode", mode]).arg(from).arg(root.join(to)))?;
    }
    let strip: Vec<_> = PROGRAMS.map(|name| root.join("usr/sbin").join(name)).into();
    shell::run(Command::new(target.tool("strip")).args(strip))?;
    // `USER` and `portsentry` show names of users.
    fs::write(root.join("etc/passwd"), "root:x:0:0:root:/:/sbin/nologin\n").context("etc/passwd")?;
    fs::write(root.join("etc/group"), "root:x:0:\n").context("etc/group")
}

/// Writes the image in the form of OCI's image-spec 1.0 ("image-layout").
fn write_layout(layout: &Path, root: &Path, work: &Path, version: &str, architecture: &str) -> Result<()> {
    let blobs = layout.join("blobs/sha256");
    fs::create_dir_all(&blobs).with_context(|| blobs.display().to_string())?;
    let plain = work.join("layer.tar");
    tar(root, &plain)?;
    let difference = shell::digest(&plain)?;
    // Without a name and a time.
    shell::run(Command::new("gzip").arg("--no-name").arg(&plain))?;
    let layer = store(&blobs, &work.join("layer.tar.gz"), LAYER)?;
    let config = stored(&blobs, work, &config(version, &difference, architecture), CONFIG)?;
    let manifest = json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer] });
    let mut manifest = stored(&blobs, work, &manifest, MANIFEST)?;
    manifest["annotations"] =
        json!({ "org.opencontainers.image.ref.name": format!("localhost/portsentry:{version}") });
    manifest["platform"] = json!({ "architecture": architecture, "os": "linux" });
    let index = json!({ "schemaVersion": 2, "manifests": [manifest] });
    let write = |name: &str, content: &Value| {
        fs::write(layout.join(name), content.to_string()).with_context(|| name.to_owned())
    };
    write("oci-layout", &json!({ "imageLayoutVersion": "1.0.0" }))?;
    write("index.json", &index)
}

/// Returns the image's configuration. It starts as the service of the Debian package does, and a stop leaves the kernel program
/// in place, so that a new container takes over without a gap.
fn config(version: &str, difference: &str, architecture: &str) -> Value {
    json!({
        "architecture": architecture,
        "os": "linux",
        "config": {
            "Entrypoint": ["/usr/sbin/portsentry"],
            "Cmd": ["-stcp", "-sudp", "-l", "stdout"],
            "Env": ["PATH=/usr/sbin"],
            "StopSignal": "SIGUSR2",
            "Labels": {
                "org.opencontainers.image.title": "portsentry",
                "org.opencontainers.image.version": version,
                "org.opencontainers.image.licenses": "MIT OR Apache-2.0",
            },
        },
        "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{difference}")] },
    })
}

/// Stores a JSON text as a blob. Returns its descriptor.
fn stored(blobs: &Path, work: &Path, content: &Value, kind: &str) -> Result<Value> {
    let file = work.join("blob");
    fs::write(&file, content.to_string()).with_context(|| file.display().to_string())?;
    store(blobs, &file, kind)
}

/// Moves a file to the blobs. Returns its descriptor.
fn store(blobs: &Path, file: &Path, kind: &str) -> Result<Value> {
    let digest = shell::digest(file)?;
    let size = file.metadata().with_context(|| file.display().to_string())?.len();
    fs::rename(file, blobs.join(&digest)).with_context(|| file.display().to_string())?;
    Ok(json!({ "mediaType": kind, "digest": format!("sha256:{digest}"), "size": size }))
}

/// Packs a directory. Names are sorted, and nothing depends on the time or the user.
fn tar(directory: &Path, archive: &Path) -> Result<()> {
    let fixed = ["--sort=name", "--mtime=@0", "--owner=0", "--group=0", "--numeric-owner", "--format=ustar"];
    let mut tar = Command::new("tar");
    shell::run(
        tar.args(fixed).arg("--directory").arg(directory).arg("--create").arg("--file").arg(archive).arg("."),
    )
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn packed(version: &str) -> (tempfile::TempDir, Value) {
        let work = tempfile::tempdir().unwrap();
        let root = work.path().join("root");
        fs::create_dir_all(root.join("usr/sbin")).unwrap();
        fs::write(root.join("usr/sbin/portsentry"), "program").unwrap();
        fs::set_permissions(root.join("usr/sbin/portsentry"), fs::Permissions::from_mode(0o755)).unwrap();
        write_layout(&work.path().join("layout"), &root, work.path(), version, "amd64").unwrap();
        let index = fs::read_to_string(work.path().join("layout/index.json")).unwrap();
        (work, serde_json::from_str(&index).unwrap())
    }

    #[test]
    fn every_descriptor_leads_to_its_blob() {
        let (work, index) = packed("1.2.3");
        let read = |descriptor: &Value| {
            let name = descriptor["digest"].as_str().unwrap().strip_prefix("sha256:").unwrap();
            let path = work.path().join("layout/blobs/sha256").join(name);
            assert_eq!(shell::digest(&path).unwrap(), name);
            assert_eq!(path.metadata().unwrap().len(), descriptor["size"].as_u64().unwrap());
            path
        };
        let manifest = read(&index["manifests"][0]);
        let manifest: Value = serde_json::from_str(&fs::read_to_string(manifest).unwrap()).unwrap();
        let config = fs::read_to_string(read(&manifest["config"])).unwrap();
        let config: Value = serde_json::from_str(&config).unwrap();
        let layer = read(&manifest["layers"][0]);
        let plain = Command::new("gzip").args(["--decompress", "--stdout"]).arg(&layer).output().unwrap();
        let unpacked = work.path().join("unpacked");
        fs::write(&unpacked, plain.stdout).unwrap();
        assert_eq!(config["rootfs"]["diff_ids"][0], format!("sha256:{}", shell::digest(&unpacked).unwrap()));
        let listed =
            shell::output(Command::new("tar").args(["--list", "--verbose", "--file"]).arg(unpacked)).unwrap();
        assert!(listed.contains("-rwxr-xr-x 0/0") && listed.contains("./usr/sbin/portsentry"), "{listed}");
    }

    #[test]
    fn the_same_files_give_the_same_image() {
        assert_eq!(packed("1.2.3").1, packed("1.2.3").1);
        assert_ne!(packed("1.2.3").1, packed("1.2.4").1);
    }
}
