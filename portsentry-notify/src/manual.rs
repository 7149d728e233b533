//! The manual page of `notify.conf`, in roff.

use std::fmt::Write as _;

use crate::{config::keys::KEYS, template::NAMES};

const DESCRIPTION: &str = "/etc/portsentry/notify.conf has the settings of portsentry-notify(8). They are written KEY=\"value\", one per \
    line. Lines that start with # are comments. A line [name] begins a channel, a way to send events; the settings below it are its \
    own. An invalid file is refused with all errors and their lines; \"portsentry notify --check\" validates it, and \
    \"portsentry notify --test\" sends a test message to every channel. The file may hold passwords: only root and the group \
    portsentry-notify may read it. Restart the service after a change.";
const EXAMPLE: &str = "[mail]\nCHANNEL=\"mail\"\nTO=\"admin@example.org\"\nSERVER=\"mail.example.org:587\"\nUSER=\"web1\"\nPASSWORD=\"secret\"\n\
    \n[chat]\nCHANNEL=\"slack\"\nURL=\"https://hooks.slack.com/services/T000/B000/XXXX\"\nSEVERITY=\"warning\"";

/// Returns the page.
pub fn page() -> String {
    let mut page = format!(
        ".TH portsentry-notify.conf 5 \"\" \"portsentry {}\"\n.SH NAME\nportsentry-notify.conf \\- notify.conf, settings of \
         portsentry-notify(8)\n.SH DESCRIPTION\n{}\n",
        env!("CARGO_PKG_VERSION"),
        plain(DESCRIPTION)
    );
    let mut settings = |title: &str, is_global: bool| {
        // Writing to a string never fails.
        let _ = writeln!(page, ".SH {title}");
        for key in KEYS.iter().filter(|key| key.channels.is_empty() == is_global) {
            let of = match key.channels {
                "" | "*" => String::new(),
                channels => format!(" Channels: {channels}."),
            };
            let default =
                if key.default.is_empty() { String::new() } else { format!(" Default: {}.", key.default) };
            let (name, form, meaning) = (plain(key.name), plain(key.form), plain(key.meaning));
            let _ = writeln!(
                page,
                ".TP\n\\fB{name}\\fR=\\fI{form}\\fR\n{meaning}{}{}",
                plain(&default),
                plain(&of)
            );
        }
    };
    settings("SETTINGS BEFORE THE CHANNELS", true);
    settings("SETTINGS OF A CHANNEL", false);
    page.push_str(".SH NAMES IN TEMPLATES\nIn BODY_FILE and HEADER these stand for a value:\n");
    for (name, meaning) in NAMES {
        let _ = writeln!(page, ".TP\n\\fB${}$\\fR\n{}", plain(name), plain(meaning));
    }
    let _ = writeln!(
        page,
        ".SH EXAMPLE\n.nf\n{}\n.fi\n.SH SEE ALSO\n\\fBportsentry-notify\\fR(8), \\fBportsentry.conf\\fR(5)",
        plain(EXAMPLE)
    );
    page
}

/// Returns a text without meaning for roff. Code is not marked.
fn plain(text: &str) -> String {
    let text = text.replace('`', "").replace('\\', "\\e").replace('-', "\\-");
    let lines = text
        .lines()
        .map(|line| if line.starts_with(['.', '\'']) { format!("\\&{line}") } else { line.to_owned() });
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_is_in_it_and_no_text_is_a_request() {
        let page = page();
        for key in KEYS {
            assert!(page.contains(&format!("\n\\fB{}\\fR=", plain(key.name))), "{}", key.name);
        }
        assert_eq!(plain(".a `b` c-d\n'e \\f"), "\\&.a b c\\-d\n\\&'e \\ef");
        let requests = [".TH", ".SH", ".TP", ".nf", ".fi"];
        let wrong = page.lines().find(|line| {
            line.starts_with('.') && !requests.contains(&line.split(' ').next().unwrap_or_default())
        });
        assert_eq!(wrong, None);
    }
}
