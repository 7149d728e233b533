//! The output of a program, collected line by line.

use std::{
    io::{BufRead, BufReader, Read},
    net::IpAddr,
    sync::{Arc, Condvar, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use super::mentions;

/// Time limit for every wait. Far longer than needed, because a passing test never reaches it.
pub(super) const PATIENCE: Duration = Duration::from_mins(1);

/// The lines that a program has printed so far, including errors.
#[derive(Clone, Debug, Default)]
pub struct Log {
    shared: Arc<(Mutex<State>, Condvar)>,
}

#[derive(Debug, Default)]
struct State {
    lines: Vec<String>,
    open: usize,
}

impl Log {
    /// Follows `output` until it ends.
    pub(super) fn follow(&self, output: impl Read + Send + 'static) {
        self.change(|state| state.open += 1);
        let log = self.clone();
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                log.change(|state| state.lines.push(line));
            }
            log.change(|state| state.open -= 1);
        });
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let (state, changed) = &*self.shared;
        change(&mut state.lock().unwrap_or_else(PoisonError::into_inner));
        changed.notify_all();
    }

    /// The lines so far.
    pub fn lines(&self) -> Vec<String> {
        self.shared.0.lock().unwrap_or_else(PoisonError::into_inner).lines.clone()
    }

    /// Returns the lines so far that name `source`.
    pub fn lines_about(&self, source: IpAddr) -> Vec<String> {
        self.lines().into_iter().filter(|line| mentions(line, source)).collect()
    }

    /// Returns the number of lines so far that contain `text`.
    pub fn count(&self, text: &str) -> usize {
        self.lines().iter().filter(|line| line.contains(text)).count()
    }

    /// Waits for the end of the output, and returns all lines.
    pub fn whole(&self) -> Vec<String> {
        self.wait(|state| (state.open == 0).then(|| state.lines.clone()))
            .unwrap_or_else(|lines| panic!("the log does not end:\n{}", lines.join("\n")))
    }

    /// Waits for a line that contains `text`, and returns the lines before it.
    pub fn wait_for(&self, text: &str) -> Vec<String> {
        self.find(text).unwrap_or_else(|lines| {
            panic!("no line with \"{text}\" came; the output is:\n{}", lines.join("\n"))
        })
    }

    /// Waits like [`Log::wait_for`]; returns all lines as the error if none contains `text`.
    pub(super) fn find(&self, text: &str) -> Result<Vec<String>, Vec<String>> {
        let mut searched = 0;
        self.wait(|state| {
            let at = state.lines.iter().skip(searched).position(|line| line.contains(text));
            let before = searched;
            searched = state.lines.len();
            at.map(|at| state.lines[..before + at].to_vec())
        })
    }

    /// Waits until `answer` returns a value. Returns the lines so far as the error if the output ends first.
    fn wait<T>(&self, mut answer: impl FnMut(&State) -> Option<T>) -> Result<T, Vec<String>> {
        let (state, changed) = &*self.shared;
        let deadline = Instant::now() + PATIENCE;
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(answer) = answer(&state) {
                return Ok(answer);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || state.open == 0 {
                return Err(state.lines.clone());
            }
            state = changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}
