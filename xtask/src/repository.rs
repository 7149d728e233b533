//! `cargo xtask repository`: a signed apt repository of the Debian packages, as a directory for any web server.

mod key;

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};
use clap::Args;

use self::key::Key;
use crate::{
    arch::{Arch, Target},
    package, paths, setup, shell,
};

/// The suite: the newest packages for all of Debian's versions.
const SUITE: &str = "stable";
const COMPONENT: &str = "main";
/// The address at which tests serve a repository.
const FOR_TESTS: &str = "http://192.0.2.2:8000";

/// The repository to make.
#[derive(Args, Clone, Debug)]
pub(crate) struct Arguments {
    /// Address at which the directory will be served
    #[arg(long, default_value = "https://packages.example.org/portsentry")]
    url: String,
    /// Directory of the repository. Packages that are in it stay
    #[arg(long, value_name = "DIRECTORY")]
    output: Option<PathBuf>,
    /// Sign with this key of your own keyring
    #[arg(long, value_name = "FINGERPRINT")]
    key: Option<String>,
    /// Otherwise, sign with the key in this directory; without one, a key is made. Default: ~/.portsentry-repository-key
    #[arg(long, value_name = "DIRECTORY", conflicts_with = "key")]
    keyring: Option<PathBuf>,
    /// Build the package for this architecture instead of this machine's; may be given several times
    #[arg(long)]
    arch: Vec<Arch>,
    /// Add this package instead of building one; may be given several times
    #[arg(long = "package", value_name = "FILE", conflicts_with = "arch")]
    packages: Vec<PathBuf>,
}

/// Builds the package, and adds it to the repository.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    setup::repository()?;
    let output = arguments.output.clone().unwrap_or_else(|| paths::target().join("repository"));
    let packages = packages(arguments)?;
    let key = match &arguments.key {
        Some(fingerprint) => Key::own(fingerprint),
        None => Key::find_or_make(&keyring(arguments)?)?,
    };
    add(&output, &packages)?;
    index(&output)?;
    key.sign(&release(&output))?;
    let source = source(&arguments.url, &key.public()?);
    write(&output.join("portsentry.sources"), source.as_bytes())?;
    shell::step(&format!("{} is ready to be served as {}", output.display(), arguments.url));
    println!("{}", commands(&arguments.url));
    Ok(())
}

/// Returns the packages to add.
fn packages(arguments: &Arguments) -> Result<Vec<PathBuf>> {
    if !arguments.packages.is_empty() {
        return Ok(arguments.packages.clone());
    }
    let mut targets: Vec<_> = arguments.arch.iter().map(|arch| Target::new(Some(*arch))).collect();
    if targets.is_empty() {
        targets.push(Target::default());
    }
    targets.into_iter().map(|target| package::build(target, false)).collect()
}

/// Makes the repositories that tests serve: one with the first of their packages, and one with both.
pub(crate) fn for_tests() -> Result<()> {
    let debian = paths::target().join("debian");
    for revision in 1..=2 {
        let output = debian.join(format!("repository-{revision}"));
        if output.exists() {
            fs::remove_dir_all(&output).with_context(|| output.display().to_string())?;
        }
        run(&Arguments {
            url: FOR_TESTS.into(),
            output: Some(output),
            key: None,
            keyring: Some(debian.join("repository-key")),
            arch: Vec::new(),
            packages: (1..=revision).map(|number| debian.join(format!("test-{number}.deb"))).collect(),
        })?;
    }
    Ok(())
}

/// Returns the directory of the key, which must outlive the checkout.
fn keyring(arguments: &Arguments) -> Result<PathBuf> {
    let own = || env::home_dir().map(|home| home.join(".portsentry-repository-key"));
    arguments.keyring.clone().or_else(own).context("there is no home directory: use --keyring")
}

/// Copies packages into the pool.
fn add(output: &Path, packages: &[PathBuf]) -> Result<()> {
    let pool = output.join("pool").join(COMPONENT);
    fs::create_dir_all(&pool).with_context(|| pool.display().to_string())?;
    for package in packages {
        let fields = ["Package", "Version", "Architecture"];
        let said = shell::output(
            Command::new("dpkg-deb")
                .args(["--show", "--showformat"])
                .arg(fields.map(|it| format!("${{{it}}}\n")).concat())
                .arg(package),
        )?;
        let lines: Vec<_> = said.lines().collect();
        // The name of a file in a pool has no epoch.
        let name = format!("{}.deb", lines.join("_").replace(':', "%3a"));
        ensure!(lines.len() == fields.len(), "{} has no name, version or architecture", package.display());
        fs::copy(package, pool.join(&name)).with_context(|| package.display().to_string())?;
    }
    Ok(())
}

/// Writes the lists of packages and the list of these lists, under their names and under their hashes, so that a client that
/// reads while they change finds those that belong together.
fn index(output: &Path) -> Result<()> {
    let architectures = architectures(output)?;
    let archive = |words: &[&str]| {
        let mut command = Command::new("apt-ftparchive");
        shell::output(command.current_dir(output).args(words))
    };
    for architecture in &architectures {
        let name = format!("dists/{SUITE}/{COMPONENT}/binary-{architecture}");
        let directory = output.join(&name);
        // By-hash files of earlier lists stay for a client that has just read the list of lists.
        fs::create_dir_all(&directory).with_context(|| directory.display().to_string())?;
        let list = archive(&["--arch", architecture, "packages", "pool"])?;
        ensure!(list.contains("\nFilename: pool/"), "no package for {architecture}");
        write(&directory.join("Packages"), list.as_bytes())?;
        for program in ["gzip", "xz"] {
            shell::run(
                Command::new(program).current_dir(&directory).args(["--keep", "--force", "Packages"]),
            )?;
        }
        for file in ["Packages", "Packages.gz", "Packages.xz"] {
            let hash = shell::digest(&directory.join(file))?;
            let place = directory.join("by-hash/SHA256");
            fs::create_dir_all(&place).with_context(|| place.display().to_string())?;
            fs::copy(directory.join(file), place.join(hash)).with_context(|| place.display().to_string())?;
        }
    }
    let setting = |name: &str, value: &str| format!("-oAPT::FTPArchive::Release::{name}={value}");
    let settings = [
        setting("Origin", "portsentry-xdp"),
        setting("Label", "portsentry-xdp"),
        setting("Suite", SUITE),
        setting("Codename", SUITE),
        setting("Components", COMPONENT),
        setting("Architectures", &architectures.join(" ")),
        setting("Acquire-By-Hash", "yes"),
        "-oAPT::FTPArchive::MD5=false".into(),
        "-oAPT::FTPArchive::SHA1=false".into(),
        // Its own files must not be in it.
        "-oAPT::FTPArchive::Release::Patterns::=*/Packages*".into(),
    ];
    let suite = format!("dists/{SUITE}");
    let words: Vec<_> = settings.iter().map(String::as_str).chain(["release", suite.as_str()]).collect();
    let list = archive(&words)?;
    write(&release(output), list.as_bytes())
}

/// Returns the architectures of the packages in the pool.
fn architectures(output: &Path) -> Result<Vec<String>> {
    let pool = output.join("pool").join(COMPONENT);
    let mut found = Vec::new();
    for entry in fs::read_dir(&pool).with_context(|| pool.display().to_string())? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        found.extend(name.strip_suffix(".deb").and_then(|name| name.rsplit('_').next()).map(str::to_owned));
    }
    found.sort();
    found.dedup();
    Ok(found)
}

fn release(output: &Path) -> PathBuf {
    output.join("dists").join(SUITE).join("Release")
}

/// Returns the file for `/etc/apt/sources.list.d`, with the key in it.
fn source(url: &str, key: &str) -> String {
    let key = key
        .trim_end()
        .lines()
        .map(|line| if line.is_empty() { " .\n".to_owned() } else { format!(" {line}\n") });
    format!(
        "Types: deb\nURIs: {url}\nSuites: {SUITE}\nComponents: {COMPONENT}\nSigned-By:\n{}",
        key.collect::<String>()
    )
}

/// Returns the commands that lead from a new machine to one that blocks.
fn commands(url: &str) -> String {
    format!(
        "/usr/lib/apt/apt-helper download-file {url}/portsentry.sources /etc/apt/sources.list.d/portsentry.sources\n\
         apt-get update && apt-get install --yes portsentry-xdp\n\
         portsentry setup --yes"
    )
}

fn write(path: &Path, content: &[u8]) -> Result<()> {
    fs::write(path, content).with_context(|| path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_in_the_source_as_apt_reads_it() {
        let source = source("https://a.example", "-----BEGIN\n\nabc\n-----END\n");
        assert!(source.ends_with("Signed-By:\n -----BEGIN\n .\n abc\n -----END\n"), "{source}");
    }
}
