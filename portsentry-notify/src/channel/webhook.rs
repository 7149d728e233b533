//! Webhooks: a request with a body by a template. Slack, Discord, ntfy and Matrix are such templates.

use ureq::http::Request;

use super::{Channel, Client, Outcome};
use crate::{
    message::Message,
    template::{Escape, fill},
};

/// A kind of webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Preset {
    /// Its name in `CHANNEL`.
    pub name: &'static str,
    /// Name of the setting that completes the URL; empty if `URL` is complete.
    pub room: &'static str,
    method: &'static str,
    /// Appended to `URL`; `$ROOM$` is the room.
    path: &'static str,
    content: &'static str,
    headers: &'static [(&'static str, &'static str)],
    body: &'static str,
    escape: Escape,
    /// Maximum length of a text in characters.
    most: usize,
}

/// Every kind.
pub const PRESETS: [Preset; 5] = [
    Preset {
        name: "webhook",
        room: "",
        method: "POST",
        path: "",
        content: "application/json",
        headers: &[],
        body: r#"{"key":"$KEY$","host":"$HOST$","text":"$TEXT$","lost":$LOST$,"events":$EVENTS$}"#,
        escape: Escape::Json,
        most: usize::MAX,
    },
    Preset {
        name: "slack",
        room: "",
        method: "POST",
        path: "",
        content: "application/json",
        headers: &[],
        body: r#"{"text":"$SUBJECT$\n```$TEXT$```"}"#,
        escape: Escape::Slack,
        most: 3000,
    },
    Preset {
        name: "discord",
        room: "",
        method: "POST",
        path: "",
        content: "application/json",
        headers: &[],
        // No name that an event has may call people.
        body: r#"{"content":"```$TEXT$```","allowed_mentions":{"parse":[]}}"#,
        escape: Escape::Json,
        most: 1900,
    },
    Preset {
        name: "ntfy",
        room: "",
        method: "POST",
        path: "",
        content: "text/plain; charset=utf-8",
        headers: &[("Title", "$SUBJECT$"), ("Priority", "$PRIORITY$"), ("Tags", "portsentry,$LEVEL$")],
        body: "$TEXT$",
        escape: Escape::Plain,
        most: 3000,
    },
    Preset {
        name: "matrix",
        room: "ROOM",
        method: "PUT",
        path: "/_matrix/client/v3/rooms/$ROOM$/send/m.room.message/$KEY$",
        content: "application/json",
        headers: &[],
        body: r#"{"msgtype":"m.notice","body":"$TEXT$"}"#,
        escape: Escape::Json,
        most: 30_000,
    },
];

/// A webhook.
#[derive(Debug)]
pub struct Webhook {
    /// Its kind.
    pub preset: Preset,
    /// `URL`
    pub url: String,
    /// `ROOM`
    pub room: String,
    /// `TOKEN`, for the header `Authorization`.
    pub token: Option<String>,
    /// `HEADER`
    pub header: Option<(String, String)>,
    /// The content of `BODY_FILE`, and `CONTENT_TYPE`.
    pub body: Option<(String, String)>,
    /// Sends the requests.
    pub client: Client,
}

impl Webhook {
    fn request(&self, message: &Message) -> Result<Request<String>, String> {
        let preset = &self.preset;
        let path =
            preset.path.replace("$ROOM$", &encoded(&self.room)).replace("$KEY$", &encoded(&message.key));
        let url = if path.is_empty() {
            self.url.clone()
        } else {
            format!("{}{path}", self.url.trim_end_matches('/'))
        };
        let own = self.body.as_ref().map(|(template, content)| (template.as_str(), content.as_str()));
        let (template, content) = own.unwrap_or((preset.body, preset.content));
        let escape = match own {
            Some((_, content)) if content.contains("json") => Escape::Json,
            Some(_) => Escape::Plain,
            None => preset.escape,
        };
        let mut request = Request::builder().method(preset.method).uri(url).header("Content-Type", content);
        // draft-ietf-httpapi-idempotency-key-header: a string in quotes.
        request = request.header("Idempotency-Key", format!("\"{}\"", message.key));
        for (name, template) in preset.headers {
            let value: String =
                fill(template, message, Escape::Line, 200).chars().filter(char::is_ascii).collect();
            request = request.header(*name, value);
        }
        if let Some(token) = &self.token {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        if let Some((name, value)) = &self.header {
            request = request.header(name.as_str(), value.as_str());
        }
        request.body(fill(template, message, escape, preset.most)).map_err(|error| error.to_string())
    }
}

impl Channel for Webhook {
    fn send(&mut self, message: &Message) -> Outcome {
        match self.request(message).and_then(|request| self.client.send(request)) {
            Ok(answer) => answer.outcome(),
            Err(problem) => Outcome::Later(problem, None),
        }
    }
}

/// Returns a text as a segment of a URL's path or a value of a form (RFC 3986 section 2.1).
pub(super) fn encoded(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let encode = |byte: u8| if is_plain(byte) { char::from(byte).into() } else { format!("%{byte:02X}") };
    text.bytes().map(encode).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::message::tests::message;

    fn webhook(name: &str) -> Webhook {
        let preset = *PRESETS.iter().find(|preset| preset.name == name).unwrap();
        let (url, room) = ("https://chat.example/".into(), "!a:chat.example".into());
        let token = (name == "matrix").then(|| "secret".into());
        Webhook { preset, url, room, token, header: None, body: None, client: Client::new() }
    }

    #[test]
    fn each_kind_has_its_request() {
        for name in ["webhook", "slack", "discord", "matrix"] {
            let request = webhook(name).request(&message(9..10)).unwrap();
            let body: Value = serde_json::from_str(request.body()).unwrap();
            let text = ["text", "content", "body"].iter().find_map(|key| body[key].as_str()).unwrap();
            assert!(text.contains("2026-11-23T09:30:12Z Host 192.0.2.9: block"), "{body}");
            assert_eq!(request.headers()["Idempotency-Key"], "\"test-1\"");
        }
        let matrix = webhook("matrix").request(&message(9..10)).unwrap();
        let path = "/_matrix/client/v3/rooms/%21a%3Achat.example/send/m.room.message/test-1";
        assert_eq!((matrix.method().as_str(), matrix.uri().path()), ("PUT", path));
        assert_eq!(matrix.headers()["Authorization"], "Bearer secret");
        let ntfy = webhook("ntfy").request(&message(9..10)).unwrap();
        assert_eq!(
            (&ntfy.headers()["Priority"], &ntfy.headers()["Title"]),
            (&"4".parse().unwrap(), &"[portsentry] web1: Host 192.0.2.9: block".parse().unwrap())
        );
    }

    #[test]
    fn an_own_body_is_escaped_by_its_type() {
        let mut own = webhook("webhook");
        for (content, expected) in [("application/json", json!("a\\nb")), ("text/plain", json!("a\nb"))] {
            own.body = Some(("$TEXT$".into(), content.into()));
            let mut two = message(9..11);
            two.events.iter_mut().zip(["a", "b"]).for_each(|(event, text)| {
                let mut value = event.value().clone();
                value["message"] = text.into();
                value["@timestamp"] = Value::Null;
                *event = crate::event::Event::of(value);
            });
            assert_eq!(json!(own.request(&two).unwrap().body()), expected);
        }
    }

    #[test]
    fn long_texts_are_cut() {
        let mut long = message(1..31);
        let mut value = long.events[0].value().clone();
        value["message"] = "x".repeat(9000).into();
        long.events[0] = crate::event::Event::of(value);
        let request = webhook("discord").request(&long).unwrap();
        let body: Value = serde_json::from_str(request.body()).unwrap();
        assert!(body["content"].as_str().unwrap().chars().count() <= 2000);
    }
}
