//! Downloads block lists at intervals, into files that the daemon reads (`BLOCK_LISTS`). A list that can't be downloaded
//! or read leaves the last good one in place.

mod validators;

use std::{
    fs::{self, DirBuilder, File},
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    thread,
    time::{Duration, SystemTime},
};

use portsentry::{
    config::{foreign, lists::LARGEST},
    sink,
};
use ureq::http::Request;

use self::validators::Validators;
use crate::{channel::Client, log::LOG};

/// Directory of the lists, in `SPOOL_DIRECTORY`.
pub const DIRECTORY: &str = "lists";
/// Mode of a list: it holds no secret.
const MODE: u32 = 0o644;
/// Pause after a failure, unless the list is due earlier.
const RETRY: Duration = Duration::from_mins(15);
/// Longest sleep, in case the clock is set.
const IDLE: Duration = Duration::from_mins(1);

/// A list to download.
#[derive(Clone, Debug)]
pub struct ListSource {
    /// Name of its section, and of its file.
    pub name: String,
    /// `LIST`
    pub url: String,
    /// `EVERY`
    pub every: Duration,
    /// `HEADER`
    pub header: Option<(String, String)>,
}

/// What a download did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fetched {
    /// The server has no newer list.
    Unchanged,
    /// A new list with so many hosts and networks.
    New(usize, usize),
}

/// Downloads the lists at their intervals, for ever.
pub fn run(sources: &[ListSource], directory: &Path, client: &Client) {
    let mut failed: Vec<Option<SystemTime>> = vec![None; sources.len()];
    loop {
        for (source, failed) in sources.iter().zip(&mut failed) {
            let now = SystemTime::now();
            if !is_due(source, &path(directory, source), *failed, now) {
                continue;
            }
            *failed = match fetch(source, directory, client) {
                Ok(Fetched::Unchanged) => None,
                Ok(Fetched::New(hosts, networks)) => {
                    let name = &source.name;
                    LOG.notice(&format!("[{name}] downloaded: {hosts} hosts, {networks} networks"));
                    None
                }
                Err(problem) => {
                    LOG.warning(&format!("[{}] {problem}; the last good list stays", source.name));
                    Some(now)
                }
            };
        }
        thread::sleep(IDLE.min(sources.iter().map(|source| source.every).min().unwrap_or(IDLE)));
    }
}

/// Returns a list's file.
fn path(directory: &Path, source: &ListSource) -> PathBuf {
    directory.join(format!("{}.list", source.name))
}

/// Whether a list should be downloaded, according to the time of its file and of the last failure.
fn is_due(source: &ListSource, path: &Path, failed: Option<SystemTime>, now: SystemTime) -> bool {
    // A time in the future counts as over: the clock was set.
    let is_over = |since: SystemTime, pause: Duration| {
        now.duration_since(since).is_ok_and(|it| it >= pause) || since > now
    };
    let modified = fs::metadata(path).and_then(|found| found.modified()).ok();
    failed.is_none_or(|failed| is_over(failed, RETRY.min(source.every)))
        && modified.is_none_or(|modified| is_over(modified, source.every))
}

/// Downloads a list, and replaces its file if the new content is a list.
pub fn fetch(source: &ListSource, directory: &Path, client: &Client) -> Result<Fetched, String> {
    let path = path(directory, source);
    let failed = |error: io::Error| format!("{}: {error}", path.display());
    DirBuilder::new().recursive(true).mode(0o755).create(directory).map_err(failed)?;
    let mut request = Request::get(&source.url);
    if let Some((name, value)) = &source.header {
        request = request.header(name, value);
    }
    let old = Validators::of(&path, &source.url);
    for (name, value) in old.iter().flat_map(Validators::conditions) {
        request = request.header(name, value);
    }
    let request = request.body(()).map_err(|error| error.to_string())?;
    // A header that may hold a key goes to no other server.
    let found = client.download(request, LARGEST, source.header.is_none())?;
    match found.status {
        200 => {}
        304 if old.is_some() => {
            File::options()
                .append(true)
                .open(&path)
                .and_then(|file| file.set_modified(SystemTime::now()))
                .map_err(failed)?;
            return Ok(Fetched::Unchanged);
        }
        status => return Err(format!("HTTP status {status}")),
    }
    let text = String::from_utf8(found.body).map_err(|_| "the list is not UTF-8".to_owned())?;
    let (list, report) = foreign::parse(&text, &source.name);
    if let Some(problem) = report.iter().next() {
        return Err(problem.in_one_line());
    }
    if list.is_empty() {
        return Err("the list is empty".into());
    }
    // Until the new list is written, the old validators must not declare it unchanged.
    let validators = Validators::new(&source.url, &found.headers);
    Validators::forget(&path).map_err(failed)?;
    sink::update(&path, MODE, |_| Some(text.clone().into_bytes())).map_err(|error| error.to_string())?;
    validators.write(&path).map_err(failed)?;
    Ok(Fetched::New(list.hosts.len(), list.networks.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_due_after_its_interval_and_soon_after_a_failure() {
        let directory = tempfile::tempdir().unwrap();
        let hour = Duration::from_hours(1);
        let source = ListSource { name: "a".into(), url: String::new(), every: hour, header: None };
        let file = path(directory.path(), &source);
        let now = SystemTime::now();
        assert!(is_due(&source, &file, None, now), "there is none yet");
        assert!(!is_due(&source, &file, Some(now), now));
        assert!(is_due(&source, &file, Some(now), now + RETRY));
        File::create(&file).unwrap().set_modified(now).unwrap();
        for (later, expected) in [(Duration::ZERO, false), (hour / 2, false), (hour, true)] {
            assert_eq!(is_due(&source, &file, None, now + later), expected, "{later:?}");
        }
        assert!(is_due(&source, &file, None, now - 2 * hour), "the clock was set back");
    }
}
