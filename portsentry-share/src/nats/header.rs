//! The headers of a message.

/// First line of headers.
const VERSION: &str = "NATS/1.0";

/// The headers of a message, and its status.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers {
    /// The server's status, such as 404.
    pub status: Option<u16>,
    fields: Vec<(String, String)>,
}

impl Headers {
    /// Reads headers. Returns `None` if they are malformed.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let (first, rest) = text.split_once("\r\n")?;
        let status = first.strip_prefix(VERSION)?.split_whitespace().next().and_then(|it| it.parse().ok());
        let lines = rest.split("\r\n").take_while(|line| !line.is_empty());
        let fields =
            lines.map(|line| line.split_once(':').map(|(key, value)| (key.into(), value.trim().into())));
        Some(Self { status, fields: fields.collect::<Option<_>>()? })
    }

    /// Returns the last value of a field. What the server adds stands behind what the sender wrote.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.fields.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// Returns headers with one field.
pub(super) fn write(name: &str, value: &str) -> String {
    format!("{VERSION}\r\n{name}: {value}\r\n\r\n")
}
