//! Mail, by SMTP or by a program.

use std::{iter, path::PathBuf, time::Duration};

use lettre::{
    Message as Mail, SmtpTransport, Transport,
    message::{Mailbox, header},
    transport::smtp::{
        authentication::Credentials,
        client::{Tls, TlsParameters},
        extension::ClientId,
    },
};

use super::{Channel, Outcome, sendmail::Sendmail};
use crate::message::Message;

/// Maximum time for a step.
const PATIENCE: Duration = Duration::from_secs(20);

/// `SERVER_TLS`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Security {
    /// No encryption.
    Off,
    /// STARTTLS, and nothing without it.
    #[default]
    Starttls,
    /// TLS from the start.
    Tls,
}

/// A mail server, and how to send mail to it.
#[derive(Clone, Debug)]
pub struct Server {
    /// Name of the server.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Encryption.
    pub security: Security,
    /// User and password.
    pub login: Option<(String, String)>,
}

/// The way of a mail.
#[derive(Clone, Debug)]
pub enum Way {
    /// To a server.
    Server(Server),
    /// Through this program.
    Program(PathBuf),
}

/// The channel.
pub struct MailChannel {
    from: Mailbox,
    to: Vec<Mailbox>,
    host: String,
    transport: Opened,
}

enum Opened {
    Server(SmtpTransport),
    Program(Sendmail),
}

impl MailChannel {
    /// Creates the channel. `host` is this host's name.
    pub fn new(way: &Way, from: Mailbox, to: Vec<Mailbox>, host: &str) -> Result<Self, String> {
        let transport = match way {
            Way::Server(server) => Opened::Server(smtp(server, host)?),
            Way::Program(program) => Opened::Program(Sendmail(program.clone())),
        };
        Ok(Self { from, to, host: host.into(), transport })
    }

    fn mail(&self, message: &Message) -> Result<Mail, String> {
        let date = message.events.last().and_then(crate::event::Event::time).map(std::time::SystemTime::from);
        let mail = Mail::builder()
            .from(self.from.clone())
            .subject(message.subject())
            // A second delivery of the same message is recognised by it.
            .message_id(Some(format!("<{}.portsentry@{}>", message.key, self.host)))
            .date(date.unwrap_or_else(std::time::SystemTime::now))
            .header(AutoSubmitted)
            .header(header::ContentType::TEXT_PLAIN);
        let mail = self.to.iter().fold(mail, |mail, to| mail.to(to.clone()));
        mail.body(message.text()).map_err(|error| error.to_string())
    }
}

/// Returns the connection to a server, which is opened once it is needed.
fn smtp(server: &Server, host: &str) -> Result<SmtpTransport, String> {
    // With the system's certificates.
    let parameters = || TlsParameters::new(server.host.clone()).map_err(|error| error.to_string());
    let tls = match server.security {
        Security::Off => Tls::None,
        Security::Starttls => Tls::Required(parameters()?),
        Security::Tls => Tls::Wrapper(parameters()?),
    };
    let mut transport = SmtpTransport::builder_dangerous(&server.host)
        .port(server.port)
        .tls(tls)
        .hello_name(ClientId::Domain(host.into()))
        .timeout(Some(PATIENCE));
    if let Some((user, password)) = &server.login {
        transport = transport.credentials(Credentials::new(user.clone(), password.clone()));
    }
    Ok(transport.build())
}

/// Hands a mail to the program, with the line ends of files.
fn hand_over(program: &Sendmail, mail: &Mail) -> Outcome {
    let envelope = mail.envelope();
    let from = envelope.from().map(ToString::to_string).unwrap_or_default();
    let to: Vec<String> = envelope.to().iter().map(ToString::to_string).collect();
    let text = String::from_utf8_lossy(&mail.formatted()).replace("\r\n", "\n");
    program.send(&from, &to, text.into_bytes())
}

impl Channel for MailChannel {
    fn send(&mut self, message: &Message) -> Outcome {
        let mail = match self.mail(message) {
            Ok(mail) => mail,
            Err(problem) => return Outcome::Refused(problem),
        };
        let transport = match &self.transport {
            Opened::Server(transport) => transport,
            Opened::Program(program) => return hand_over(program, &mail),
        };
        match transport.send(&mail) {
            Ok(_) => Outcome::Sent,
            Err(error) => {
                let causes = iter::successors(std::error::Error::source(&error), |cause| cause.source());
                let problem = causes.fold(error.to_string(), |text, cause| {
                    let cause = cause.to_string();
                    if text.contains(&cause) { text } else { format!("{text}: {cause}") }
                });
                // 535: the password is wrong, which is no fault of the message.
                let is_login = error.status().is_some_and(|code| code.to_string().starts_with("53"));
                if error.is_permanent() && !is_login {
                    Outcome::Refused(problem)
                } else {
                    Outcome::Later(problem, None)
                }
            }
        }
    }
}

/// `Auto-Submitted: auto-generated` (RFC 3834): nobody on vacation answers it.
#[derive(Clone)]
struct AutoSubmitted;

impl header::Header for AutoSubmitted {
    fn name() -> header::HeaderName {
        header::HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> header::HeaderValue {
        header::HeaderValue::new(Self::name(), "auto-generated".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::tests::message;

    #[test]
    fn the_same_message_is_the_same_mail() {
        let server = Server { host: "localhost".into(), port: 25, security: Security::Off, login: None };
        let [from, to] = ["portsentry@web1", "Admins <a@example.org>"].map(|text| text.parse().unwrap());
        let channel = MailChannel::new(&Way::Server(server), from, vec![to], "web1").unwrap();
        let [one, two] = [9..10, 9..10].map(|last| channel.mail(&message(last)).unwrap().formatted());
        assert_eq!(one, two);
        let text = String::from_utf8(one).unwrap();
        for line in [
            "From: portsentry@web1",
            "To: Admins <a@example.org>",
            "Subject: [portsentry] web1: Host 192.0.2.9: block",
            "Message-ID: <test-1.portsentry@web1>",
            "Date: Mon, 23 Nov 2026 09:30:12 +0000",
            "Auto-Submitted: auto-generated",
        ] {
            assert!(text.contains(&format!("{line}\r\n")), "{line} in {text}");
        }
    }
}
