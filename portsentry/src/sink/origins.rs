//! Countries and networks (autonomous systems) of sources, from files in MaxMind's format (`GEOIP_COUNTRY`,
//! `GEOIP_ASN`).

use std::{
    fmt,
    net::IpAddr,
    path::{Path, PathBuf},
};

use maxminddb::{MaxMindDbError, Reader};
use serde::{Deserialize, Serialize};

use crate::{
    config::{Config, LoadError, trusted},
    sanitize::sanitize,
};

/// Maximum size of a file in bytes. The largest public file, which has cities, takes 60 MB.
const LARGEST: u64 = 512 << 20;
/// Maximum length of an organisation's name, in characters.
const LONGEST: usize = 64;

/// The origin of a source, as far as known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Origin {
    /// The country's code (ISO 3166-1 alpha-2).
    pub country: Option<String>,
    /// The number of the autonomous system that announces its network.
    pub asn: Option<u32>,
    /// The name of that system's organisation, safe to show.
    pub organization: Option<String>,
}

impl Origin {
    /// Whether nothing is known.
    #[must_use]
    pub const fn is_unknown(&self) -> bool {
        self.country.is_none() && self.asn.is_none() && self.organization.is_none()
    }
}

/// Formats as `DE AS64500 Example Net`.
impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let asn = self.asn.map(|asn| format!("AS{asn}"));
        let parts: Vec<&str> =
            [&self.country, &asn, &self.organization].into_iter().flatten().map(String::as_str).collect();
        formatter.write_str(&if parts.is_empty() { "-".into() } else { parts.join(" ") })
    }
}

/// An error in one of the files.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file can't be read, or isn't trusted.
    #[error("{setting}: {source}")]
    Load {
        /// The setting.
        setting: &'static str,
        /// The reason.
        source: LoadError,
    },
    /// The file is damaged, or of another format.
    #[error("{setting}: {path} is no valid file in MaxMind's format: {source}; install it again")]
    Format {
        /// The setting.
        setting: &'static str,
        /// The file.
        path: PathBuf,
        /// The reason.
        source: MaxMindDbError,
    },
    /// The file holds something else.
    #[error("{setting}: {path} has the type \"{found}\", but must hold {wanted}")]
    Kind {
        /// The setting.
        setting: &'static str,
        /// The file.
        path: PathBuf,
        /// The file's own type, safe to show.
        found: String,
        /// The contents that the setting needs.
        wanted: &'static str,
    },
}

/// A file's content.
type Content = Reader<Vec<u8>>;

/// The kinds of files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Country,
    Asn,
}

impl Kind {
    const fn setting(self) -> &'static str {
        match self {
            Self::Country => "GEOIP_COUNTRY",
            Self::Asn => "GEOIP_ASN",
        }
    }

    const fn wanted(self) -> &'static str {
        match self {
            Self::Country => "countries",
            Self::Asn => "autonomous systems",
        }
    }

    fn path(self, config: &Config) -> Option<&Path> {
        match self {
            Self::Country => config.geoip_country.as_deref(),
            Self::Asn => config.geoip_asn.as_deref(),
        }
    }

    /// Reads a file.
    fn open(self, path: &Path) -> Result<Content, Error> {
        let setting = self.setting();
        let bytes = trusted(path, LARGEST).map_err(|source| Error::Load { setting, source })?;
        let format = |source| Error::Format { setting, path: path.into(), source };
        let content = Reader::from_source(bytes).map_err(format)?;
        let found = &content.metadata().database_type;
        // Types are words such as `GeoLite2-ASN`, `GeoIP2-Country` and `DBIP-City-Lite`.
        if (self == Self::Asn) != found.to_ascii_lowercase().contains("asn") {
            let (found, wanted) = (shown(found), self.wanted());
            return Err(Error::Kind { setting, path: path.into(), found, wanted });
        }
        Ok(content)
    }
}

/// A configured file, and its content unless it had an error.
struct Place {
    kind: Kind,
    path: PathBuf,
    content: Option<Content>,
}

/// The files.
#[derive(Default)]
pub struct Origins {
    places: Vec<Place>,
}

impl Origins {
    /// Opens the configured files. Also returns the errors. Only [`Origins::verify`] finds all damage.
    #[must_use]
    pub fn open(config: &Config) -> (Self, Vec<Error>) {
        let (mut origins, mut problems) = (Self::default(), Vec::new());
        for kind in [Kind::Country, Kind::Asn] {
            let Some(path) = kind.path(config) else { continue };
            let content = kind.open(path).map_err(|problem| problems.push(problem)).ok();
            origins.places.push(Place { kind, path: path.into(), content });
        }
        (origins, problems)
    }

    /// Checks the whole files. Returns the errors.
    #[must_use]
    pub fn verify(&self) -> Vec<Error> {
        let verify = |place: &Place| verified(place.kind, &place.path, place.content.as_ref()?).err();
        self.places.iter().filter_map(verify).collect()
    }

    /// Whether any file is in use.
    #[must_use]
    pub fn are_any(&self) -> bool {
        self.places.iter().any(|place| place.content.is_some())
    }

    /// Whether countries are known.
    #[must_use]
    pub fn have_countries(&self) -> bool {
        self.content(Kind::Country).is_some()
    }

    /// Reads the file at `path` again. Returns `None` if it is none of these files. After an error the last valid
    /// content stays in use.
    pub fn reread(&mut self, path: &Path) -> Option<Result<(), Error>> {
        let mut result = None;
        for place in self.places.iter_mut().filter(|place| place.path == path) {
            let read = place.kind.open(path).and_then(|content| {
                verified(place.kind, path, &content)?;
                place.content = Some(content);
                Ok(())
            });
            result = Some(result.unwrap_or(Ok(())).and(read));
        }
        result
    }

    fn content(&self, kind: Kind) -> Option<&Content> {
        self.places.iter().find(|place| place.kind == kind)?.content.as_ref()
    }

    /// Returns the origin of an address. An entry that can't be read counts as missing.
    #[must_use]
    pub fn of(&self, address: IpAddr) -> Origin {
        let country: Option<Country> = look_up(self.content(Kind::Country), address);
        let system: Option<System> = look_up(self.content(Kind::Asn), address);
        let organization =
            system.as_ref().and_then(|system| system.autonomous_system_organization.as_deref());
        Origin {
            country: country.and_then(Country::code),
            asn: system.as_ref().and_then(|system| system.autonomous_system_number),
            organization: organization.map(shown).filter(|name| !name.is_empty()),
        }
    }
}

impl fmt::Debug for Origins {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_list().entries(self.places.iter().map(|place| &place.path)).finish()
    }
}

/// Checks a whole file, which takes up to a second.
fn verified(kind: Kind, path: &Path, content: &Content) -> Result<(), Error> {
    let format = |source| Error::Format { setting: kind.setting(), path: path.into(), source };
    content.verify().map_err(format)
}

fn look_up<'a, T: Deserialize<'a>>(content: Option<&'a Content>, address: IpAddr) -> Option<T> {
    content?.lookup(address).ok()?.decode().ok()?
}

/// The used part of an entry with a country.
#[derive(Debug, Deserialize)]
struct Country {
    country: Option<Code>,
    registered_country: Option<Code>,
}

#[derive(Debug, Deserialize)]
struct Code {
    iso_code: Option<String>,
}

impl Country {
    /// Returns the code, if it has the form of one. That also bounds the number of labels in metrics.
    fn code(self) -> Option<String> {
        let codes = [self.country, self.registered_country];
        let mut codes = codes.into_iter().flatten().filter_map(|country| country.iso_code);
        codes.find(|code| code.len() == 2 && code.bytes().all(|byte| byte.is_ascii_uppercase()))
    }
}

/// The used part of an entry with an autonomous system.
#[derive(Debug, Deserialize)]
struct System {
    autonomous_system_number: Option<u32>,
    autonomous_system_organization: Option<String>,
}

/// Returns the beginning of a text from a file, in a form that is safe to show.
fn shown(text: &str) -> String {
    let short: String = text.trim().chars().take(LONGEST).collect();
    sanitize(&short).into_owned()
}
