//! Debian packages that are fetched and unpacked, but not installed, so that no service starts.

use std::{
    fmt::Display,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use crate::{
    arch::{Arch, Target},
    paths, shell,
    trees::MIRROR,
};

/// Debian's next release with backports, which has the newest kernels.
const NEWEST: &str = "trixie-backports";
/// The oldest release that has backports of programs, so that they run on all later ones.
const BACKPORTS: &str = "bookworm-backports";
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Lists of packages.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Lists {
    /// Those of this machine, for an architecture.
    Of(Target),
    /// Those of Debian's newest backports, for this architecture.
    Newest,
    /// Those of backports to Debian 12, for this architecture.
    Backports,
}

impl From<Target> for Lists {
    fn from(target: Target) -> Self {
        Self::Of(target)
    }
}

impl Lists {
    /// Returns their name, unless they are this machine's own.
    fn name(self) -> Option<&'static str> {
        match self {
            Self::Of(target) => target.foreign().map(Arch::debian),
            Self::Newest => Some(NEWEST),
            Self::Backports => Some(BACKPORTS),
        }
    }
}

/// Unpacks a package into `directory`, unless that exists.
pub(crate) fn unpack(package: &str, lists: impl Into<Lists>, directory: &Path) -> Result<()> {
    if directory.exists() {
        return Ok(());
    }
    let fetched = tempfile::tempdir().context("a directory for a package")?;
    let file = fetched.path().join("package.deb");
    fetch(package, lists, &file)?;
    fs::create_dir_all(directory).with_context(|| directory.display().to_string())?;
    shell::run(Command::new("dpkg").arg("-x").arg(file).arg(directory))
}

/// Fetches a package as `file`, unless that exists.
pub(crate) fn fetch(package: &str, lists: impl Into<Lists>, file: &Path) -> Result<()> {
    if file.exists() {
        return Ok(());
    }
    let lists = lists.into();
    shell::step(&format!(
        "fetching {package}{}",
        lists.name().map(|name| format!(" ({name})")).unwrap_or_default()
    ));
    let fetched = tempfile::tempdir().context("a directory for a package")?;
    // apt drops its privileges to fetch, but the directory belongs to root.
    fs::set_permissions(fetched.path(), fs::Permissions::from_mode(0o777)).context("a directory's mode")?;
    let apt = |words: &[&str]| {
        let mut apt = apt("apt-get", lists)?;
        shell::output(apt.current_dir(fetched.path()).arg("-qq").args(words))
    };
    let download = ["download", package];
    // An outdated package list names versions that no longer exist.
    apt(&download).or_else(|_| apt(&["update"]).and_then(|_| apt(&download)))?;
    let found = fs::read_dir(fetched.path())?.next().context("a package")??.path();
    if let Some(directory) = file.parent() {
        fs::create_dir_all(directory).with_context(|| directory.display().to_string())?;
    }
    fs::copy(&found, file).map(drop).with_context(|| file.display().to_string())
}

/// Returns the names of packages that match a regular expression.
pub(crate) fn search(names: &str, lists: impl Into<Lists>) -> Result<Vec<String>> {
    let found = shell::output(apt("apt-cache", lists.into())?.args(["search", "--names-only", names]))?;
    Ok(found.lines().filter_map(|line| line.split_whitespace().next()).map(Into::into).collect())
}

/// Returns one of apt's commands for the packages of `lists`. Lists other than this machine's are kept apart, so that its
/// apt doesn't learn of them.
fn apt(program: &str, lists: Lists) -> Result<Command> {
    let mut command = Command::new(program);
    let Some(name) = lists.name() else { return Ok(command) };
    let directory: PathBuf = paths::tools().join(format!("apt-{name}"));
    let mut set = |option: &str, value: &dyn Display| {
        command.arg("-o").arg(format!("{option}={value}"));
    };
    if let Lists::Of(_) = lists {
        set("APT::Architecture", &name);
        set("APT::Architectures", &name);
    } else {
        set("Dir::Etc::sourcelist", &directory.join("sources.list").display());
        set("Dir::Etc::sourceparts", &"/dev/null");
    }
    for (option, place) in [("Dir::State", "state"), ("Dir::Cache", "cache")] {
        set(option, &directory.join(place).display());
    }
    // Nothing is installed there.
    set("Dir::State::status", &"/dev/null");
    if !directory.join("state/lists").exists() {
        for place in ["state/lists/partial", "cache/archives/partial"] {
            let place = directory.join(place);
            fs::create_dir_all(&place).with_context(|| place.display().to_string())?;
        }
        let source = format!("deb [signed-by={KEYRING}] {MIRROR} {name} main\n");
        fs::write(directory.join("sources.list"), source).context("a list of sources")?;
        let arguments: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
        let updated = shell::output(Command::new("apt-get").args(arguments).args(["-qq", "update"]));
        if updated.is_err() {
            // Empty lists must not pass for those of a mirror.
            let _ = fs::remove_dir_all(&directory);
        }
        updated?;
    }
    Ok(command)
}
