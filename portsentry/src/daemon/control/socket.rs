//! The control socket's file, and its permissions.

use std::{
    fs::{self, DirBuilder, File, Metadata, OpenOptions, Permissions},
    io,
    os::unix::{
        fs::{DirBuilderExt, FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt, chown},
        net::UnixStream,
    },
    path::{Path, PathBuf},
};

use nix::{
    fcntl::OFlag,
    unistd::{Group, geteuid},
};
use tokio::net::UnixListener;

/// Reason why the socket can't be used.
#[derive(Debug, thiserror::Error)]
#[error("{setting} {path} can't be used: {problem}")]
pub struct Error {
    setting: &'static str,
    path: PathBuf,
    problem: String,
}

impl Error {
    /// Creates an error about the path of this setting.
    pub fn new(setting: &'static str, path: &Path, problem: String) -> Self {
        Self { setting, path: path.into(), problem }
    }
}

/// The socket's file, removed when this is dropped.
#[derive(Debug)]
pub struct ControlSocket {
    path: PathBuf,
    /// While it is open, no other file can have its inode.
    file: File,
}

impl ControlSocket {
    /// Listens at `path`, for `group` or for every user. Removes a dead process's socket.
    pub fn take(path: &Path, group: Option<&str>) -> Result<(Self, UnixListener), Error> {
        Self::take_for("CONTROL_SOCKET", path, group)
    }

    /// Listens at the path of this setting.
    pub fn take_for(
        setting: &'static str,
        path: &Path,
        group: Option<&str>,
    ) -> Result<(Self, UnixListener), Error> {
        let at = |problem: String| Error::new(setting, path, problem);
        let failed = |error: io::Error| at(error.to_string());
        let group = group.map(|name| number(name).ok_or_else(|| at(format!("there is no group {name}"))));
        let group = group.transpose()?;
        make_room(path).map_err(at)?;
        let listener = UnixListener::bind(path).map_err(failed)?;
        // Until here only its owner could connect, unless the umask is unusual.
        if group.is_some() {
            chown(path, None, group).map_err(failed)?;
        }
        let mode = if group.is_some() { 0o660 } else { 0o666 };
        fs::set_permissions(path, Permissions::from_mode(mode)).map_err(failed)?;
        let flags = (OFlag::O_PATH | OFlag::O_NOFOLLOW).bits();
        let file = OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(failed)?;
        Ok((Self { path: path.into(), file }, listener))
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        // Another process's socket is left alone.
        let [found, own] = [fs::symlink_metadata(&self.path), self.file.metadata()];
        if found.is_ok_and(|found| own.is_ok_and(|own| identity(&own) == identity(&found))) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Returns device and inode.
fn identity(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

fn number(group: &str) -> Option<u32> {
    let named = || Group::from_name(group).ok().flatten().map(|group| group.gid.as_raw());
    group.parse().ok().or_else(named)
}

/// Creates the directory if it is missing, and removes a socket on which no process listens.
fn make_room(path: &Path) -> Result<(), String> {
    let directory = path.parent().ok_or("it has no directory")?;
    let problem = |error: io::Error| error.to_string();
    if !directory.exists() {
        DirBuilder::new().recursive(true).mode(0o755).create(directory).map_err(problem)?;
    }
    let found = fs::metadata(directory).map_err(problem)?;
    let is_ours = [0, geteuid().as_raw()].contains(&found.uid());
    let is_open = found.mode() & 0o022 != 0 && found.mode() & 0o1000 == 0;
    if !is_ours || is_open {
        return Err(format!("other users may write to {}", directory.display()));
    }
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(problem(error)),
        Ok(found) if !found.file_type().is_socket() => Err("the path exists and is not a socket".into()),
        Ok(_) if UnixStream::connect(path).is_ok() => Err("another process listens there".into()),
        Ok(_) => fs::remove_file(path).map_err(problem),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(path: &Path) -> Result<(ControlSocket, UnixListener), Error> {
        ControlSocket::take(path, None)
    }

    #[tokio::test]
    async fn a_place_is_made_and_left() {
        let files = tempfile::tempdir().unwrap();
        let path = files.path().join("run/control.sock");
        let (place, listener) = take(&path).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o7777;
        assert_eq!((mode(path.parent().unwrap()), mode(&path)), (0o755, 0o666));
        assert!(take(&path).unwrap_err().to_string().contains("another process listens"));
        drop(listener);
        let (second, _listener) = take(&path).unwrap();
        drop(place);
        assert!(path.exists(), "it is another's now");
        drop(second);
        assert!(!path.exists());
        let group = nix::unistd::getegid().to_string();
        let (_place, _listener) = ControlSocket::take(&path, Some(&group)).unwrap();
        assert_eq!(mode(&path), 0o660);
        assert!(
            ControlSocket::take(&path, Some("no-such-group")).unwrap_err().to_string().contains("no group")
        );
    }

    #[tokio::test]
    async fn what_others_could_have_put_there_is_refused() {
        let files = tempfile::tempdir().unwrap();
        let path = files.path().join("control.sock");
        fs::write(&path, "precious").unwrap();
        assert!(take(&path).unwrap_err().to_string().contains("is not a socket"));
        fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink(files.path().join("elsewhere"), &path).unwrap();
        assert!(take(&path).is_err());
        fs::remove_file(&path).unwrap();
        fs::set_permissions(files.path(), Permissions::from_mode(0o777)).unwrap();
        assert!(take(&path).unwrap_err().to_string().contains("other users may write"));
    }
}
