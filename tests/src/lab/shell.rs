//! An interactive shell on a machine, in a terminal of its own.

use std::{
    io::{Read, Write},
    process::{Child, ChildStdin, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::{Duration, Instant},
};

use super::Machine;

/// Starts a shell in a terminal of the usual size. Its prompt shows the last exit status.
const SHELL: &str = r"exec script --quiet --return --command \
    'stty rows 24 cols 80; exec env PS1=\<\$?\>\  bash --norc --noprofile --noediting -i' /dev/null";

/// A shell that is typed to. It ends when dropped.
#[derive(Debug)]
pub struct Shell {
    child: Child,
    input: ChildStdin,
    output: Receiver<Vec<u8>>,
}

impl Machine {
    /// Opens a terminal.
    pub fn shell(&self) -> Shell {
        let mut command = self.command(SHELL);
        command.env("TERM", "dumb").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("`script` of bsdutils");
        let input = child.stdin.take().expect("a pipe");
        let mut shown = child.stdout.take().expect("a pipe");
        let (sender, output) = channel();
        thread::spawn(move || {
            let mut bytes = vec![0; 4096];
            while let Ok(length) = shown.read(&mut bytes) {
                if length == 0 || sender.send(bytes[..length].to_vec()).is_err() {
                    break;
                }
            }
        });
        let mut shell = Shell { child, input, output };
        shell.read(Duration::from_secs(20), &[]);
        shell
    }
}

impl Shell {
    /// Types a command, and an answer to each question whose end is in `answers`. Returns all that the terminal shows
    /// until the next prompt, or the same as an error if the command fails.
    ///
    /// # Panics
    ///
    /// If there is no prompt within `patience`.
    pub fn run(
        &mut self,
        line: &str,
        answers: &[(&str, &str)],
        patience: Duration,
    ) -> Result<String, String> {
        writeln!(self.input, "{line}").expect("the terminal takes a line");
        let (text, status) = self.read(patience, answers);
        // The first line is the command itself.
        let text = text.split_once('\n').map_or("", |(_, text)| text).to_owned();
        if status == "0" { Ok(text) } else { Err(text) }
    }

    /// Reads until the prompt. Returns the text before it, and the exit status that it shows.
    fn read(&mut self, patience: Duration, answers: &[(&str, &str)]) -> (String, String) {
        let deadline = Instant::now() + patience;
        let (mut bytes, mut answered) = (Vec::new(), 0);
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let text = String::from_utf8_lossy(&bytes).replace('\r', "");
            if let Some((text, status)) = text.strip_suffix("> ").and_then(|text| text.rsplit_once('<'))
                && status.bytes().all(|byte| byte.is_ascii_digit())
                && (text.is_empty() || text.ends_with('\n'))
            {
                return (text.into(), status.into());
            }
            if let Some((_, answer)) =
                answers.iter().find(|(question, _)| text[answered..].ends_with(question))
            {
                answered = text.len();
                writeln!(self.input, "{answer}").expect("the terminal takes an answer");
            }
            let more = self.output.recv_timeout(left);
            bytes.extend(more.unwrap_or_else(|_| panic!("no prompt within {patience:?}:\n{text}")));
        }
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
