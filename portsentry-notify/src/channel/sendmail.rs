//! Mail by a program that takes it as sendmail(8) does.

use std::{
    fs::File,
    io::{self, Read, Seek, Write},
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use nix::sys::memfd::{MFdFlags, memfd_create};

use super::Outcome;

/// Maximum time for the program.
const PATIENCE: Duration = Duration::from_mins(1);
/// Interval of checks whether it has ended.
const PAUSE: Duration = Duration::from_millis(20);
/// Maximum length of its complaint that is kept, in bytes.
const LONGEST: u64 = 1 << 10;
/// Exit statuses of programs that would refuse the same mail again: data, user or host unknown (sysexits.h).
const PERMANENT: [i32; 3] = [65, 67, 68];

/// The program.
#[derive(Clone, Debug)]
pub(super) struct Sendmail(pub(super) PathBuf);

impl Sendmail {
    /// Hands a mail over. No address is taken for an option.
    pub(super) fn send(&self, from: &str, to: &[String], mail: Vec<u8>) -> Outcome {
        let mut command = Command::new(&self.0);
        // -i: a line with only a dot doesn't end the mail.
        command.args(["-i", "-f", from, "--"]).args(to);
        let started = memory().and_then(|complaint| {
            let stderr = Stdio::from(complaint.try_clone()?);
            let child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(stderr).spawn()?;
            Ok((Running(child), complaint))
        });
        let (mut child, complaint) = match started {
            Ok(started) => started,
            Err(error) => return Outcome::Later(format!("{}: {error}", self.0.display()), None),
        };
        let stdin = child.0.stdin.take();
        // It may end before it reads everything.
        let written = thread::spawn(move || stdin.is_some_and(|mut pipe| pipe.write_all(&mail).is_ok()));
        let Some(status) = child.wait() else {
            return Outcome::Later(format!("{} did not end within a minute", self.0.display()), None);
        };
        self.outcome(status, written.join().unwrap_or_default(), &beginning(complaint))
    }

    fn outcome(&self, status: ExitStatus, has_all: bool, complaint: &str) -> Outcome {
        // A program that accepts a mail without its end has lost it.
        if status.success() && has_all {
            return Outcome::Sent;
        }
        let complaint = if complaint.is_empty() { String::new() } else { format!(": {complaint}") };
        let problem = format!("{}: {status}{complaint}", self.0.display());
        match status.code() {
            Some(code) if PERMANENT.contains(&code) => Outcome::Refused(problem),
            _ => Outcome::Later(problem, None),
        }
    }
}

/// Returns a file in memory. Unlike a pipe, it takes any length, and a process in the background may keep it open.
fn memory() -> io::Result<File> {
    Ok(memfd_create("complaint", MFdFlags::MFD_CLOEXEC)?.into())
}

/// Returns the beginning of a text.
fn beginning(mut file: File) -> String {
    let mut text = Vec::new();
    let _ = file.rewind().and_then(|()| file.take(LONGEST).read_to_end(&mut text));
    String::from_utf8_lossy(&text).trim().to_owned()
}

/// A program that is killed when this is dropped.
struct Running(Child);

impl Running {
    /// Waits until it ends; `None` if that takes too long.
    fn wait(&mut self) -> Option<ExitStatus> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Ok(Some(status)) = self.0.try_wait() {
                return Some(status);
            }
            thread::sleep(PAUSE);
        }
        None
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended before.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;

    /// Runs a shell script as the program. Returns the outcome, and the file that it may have written.
    fn sent(script: &str) -> (Outcome, String) {
        let directory = tempfile::tempdir().unwrap();
        let (program, out) = (directory.path().join("sendmail"), directory.path().join("out"));
        let script = format!("#!/bin/sh\n{}\n", script.replace("OUT", &out.display().to_string()));
        fs::write(&program, script).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let to = ["root@example.org".into(), "-oQ/tmp@example.org".into()];
        let outcome =
            Sendmail(program).send("portsentry@web1", &to, b"Subject: a\r\n\r\n.\r\nb\r\n".to_vec());
        (outcome, fs::read_to_string(out).unwrap_or_default())
    }

    #[test]
    fn it_gets_the_addresses_and_the_mail() {
        let (outcome, out) = sent("echo \"$@\" > OUT; cat >> OUT");
        assert_eq!(outcome, Outcome::Sent);
        assert_eq!(
            out,
            "-i -f portsentry@web1 -- root@example.org -oQ/tmp@example.org\nSubject: a\r\n\r\n.\r\nb\r\n"
        );
    }

    #[test]
    fn it_may_complain_at_length_and_leave_a_process_behind() {
        for script in
            ["cat > /dev/null; head -c 200000 /dev/zero >&2 || exit 1", "cat > /dev/null; sleep 30 & exit 0"]
        {
            let begun = Instant::now();
            assert_eq!(sent(script).0, Outcome::Sent, "{script}");
            assert!(begun.elapsed() < PATIENCE / 4, "{script}");
        }
    }

    #[test]
    fn its_status_says_whether_another_attempt_makes_sense() {
        for (script, is_refused, words) in [
            ("cat > /dev/null; echo 'queue full' >&2; exit 75", false, "exit status: 75: queue full"),
            ("cat > /dev/null; exit 67", true, "exit status: 67"),
            ("cat > /dev/null; kill -9 $$", false, "signal: 9"),
        ] {
            let (outcome, _) = sent(script);
            match outcome {
                Outcome::Refused(problem) if is_refused => assert!(problem.contains(words), "{problem}"),
                Outcome::Later(problem, None) if !is_refused => assert!(problem.contains(words), "{problem}"),
                other => panic!("{script}: {other:?}"),
            }
        }
        let missing = Sendmail("/no/such/program".into()).send("a@b", &[], Vec::new());
        assert!(matches!(missing, Outcome::Later(problem, None) if problem.contains("No such file")));
    }
}
