//! What a server said about the version of a list, so that it sends only a newer one (RFC 9110 section 8.8). Kept in a hidden
//! file beside the list.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use ureq::http::HeaderMap;

/// The validators of a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Validators {
    /// Where the list came from. Another server knows nothing of its version.
    url: String,
    /// `ETag`
    tag: Option<String>,
    /// `Last-Modified`, by the server's clock
    modified: Option<String>,
}

impl Validators {
    /// Takes the validators from an answer's headers.
    pub(super) fn new(url: &str, headers: &HeaderMap) -> Self {
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        Self { url: url.into(), tag: header("etag"), modified: header("last-modified") }
    }

    /// Returns those of the list at `path`, if it came from `url` and still exists.
    pub(super) fn of(path: &Path, url: &str) -> Option<Self> {
        let text = path.exists().then(|| fs::read(file(path)).ok())??;
        // An unreadable file costs one download.
        serde_json::from_slice(&text).ok().filter(|it: &Self| it.url == url)
    }

    /// Returns the headers of a conditional request.
    pub(super) fn conditions(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let tag = self.tag.as_deref().map(|tag| ("If-None-Match", tag));
        tag.into_iter().chain(self.modified.as_deref().map(|time| ("If-Modified-Since", time)))
    }

    /// Removes those of the list at `path`.
    pub(super) fn forget(path: &Path) -> io::Result<()> {
        match fs::remove_file(file(path)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Writes those of the list at `path`.
    pub(super) fn write(&self, path: &Path) -> io::Result<()> {
        fs::write(file(path), serde_json::to_vec(self)?)
    }
}

/// Returns the file of a list's validators.
fn file(list: &Path) -> PathBuf {
    let name = list.file_stem().unwrap_or_default();
    list.with_file_name(format!(".{}.validators", name.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn validators_belong_to_a_list_and_the_server_that_it_came_from() {
        let directory = tempfile::tempdir().unwrap();
        let list = directory.path().join("drop.list");
        let mut headers = HeaderMap::new();
        headers.insert("etag", "\"1\"".parse().unwrap());
        headers.insert("last-modified", "Mon, 23 Nov 2026 09:30:00 GMT".parse().unwrap());
        let validators = Validators::new("https://a.example/", &headers);
        validators.write(&list).unwrap();
        assert_eq!(Validators::of(&list, "https://a.example/"), None, "the list was removed");
        fs::write(&list, "192.0.2.1\n").unwrap();
        assert_eq!(Validators::of(&list, "https://b.example/"), None);
        let found = Validators::of(&list, "https://a.example/").unwrap();
        let conditions: Vec<_> = found.conditions().collect();
        assert_eq!(
            conditions,
            [("If-None-Match", "\"1\""), ("If-Modified-Since", "Mon, 23 Nov 2026 09:30:00 GMT")]
        );
        fs::write(file(&list), "garbage").unwrap();
        assert_eq!(Validators::of(&list, "https://a.example/"), None);
        Validators::forget(&list).unwrap();
        Validators::forget(&list).unwrap();
        assert!(!file(&list).exists());
    }

    #[test]
    fn an_answer_without_validators_asks_for_the_whole_list() {
        assert_eq!(Validators::new("https://a.example/", &HeaderMap::new()).conditions().count(), 0);
    }
}
