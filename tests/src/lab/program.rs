//! Programs that tests write and run.

use std::{
    io::Write,
    path::PathBuf,
    process::{Command, Stdio},
};

use super::Lab;

impl Lab {
    /// Creates an executable file with this content in the lab's directory.
    ///
    /// Another process writes it. A child that another thread starts meanwhile would inherit this process's open file,
    /// and the kernel runs no program that is open for writing (ETXTBSY).
    pub fn program(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.files().join(name);
        let mut install = Command::new("install")
            .args(["-m", "755", "/dev/stdin"])
            .arg(&path)
            .stdin(Stdio::piped())
            .spawn()
            .expect("`install` of coreutils");
        install.stdin.take().expect("a pipe").write_all(content.as_ref()).expect("`install` reads");
        assert!(install.wait().expect("`install` ends").success(), "{}", path.display());
        path
    }
}
