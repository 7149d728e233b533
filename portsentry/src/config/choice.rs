//! Settings that are one word out of a few.
//! Must not act on any of them.

use super::{report::Report, span::Span};

/// A setting with a fixed set of words.
pub(super) trait Choice: Copy + 'static {
    /// Every word that is understood, the proper one of each value first.
    const WORDS: &'static [(&'static str, Self)];
}

/// Reads one of the words, in upper or lower case.
pub(super) fn choice<T: Choice>(value: Span<'_>, report: &mut Report) -> Option<T> {
    let word = value.trim();
    choose(word.text()).or_else(|| {
        let known: Vec<_> = T::WORDS.iter().map(|(word, _)| *word).collect();
        let message = format!("\"{}\" is not one of the choices", word.text().escape_debug());
        report.error(word, message).help(format!("choose one of: {}", known.join(", ")));
        None
    })
}

/// Like [`choice`], also with the names of `syslog.h`, as 1.x was compiled with (`LOG_DAEMON`).
pub(super) fn syslog_choice<T: Choice>(value: Span<'_>, report: &mut Report) -> Option<T> {
    let word = value.trim();
    let prefix = word.text().get(..4).filter(|prefix| prefix.eq_ignore_ascii_case("LOG_"));
    choice(word.split_at(prefix.map_or(0, str::len)).1, report)
}

fn choose<T: Choice>(word: &str) -> Option<T> {
    T::WORDS.iter().find(|(known, _)| known.eq_ignore_ascii_case(word)).map(|(_, it)| *it)
}

macro_rules! choices {
    ($($(#[$doc:meta])* $name:ident {
        $($(#[$value_doc:meta])* $value:ident $(= $code:literal)? : $($word:literal)|+,)+
    })+) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name {
            $($(#[$value_doc])* $value $(= $code)?,)+
        }

        impl Choice for $name {
            const WORDS: &'static [(&'static str, Self)] = &[$($(($word, Self::$value)),+),+];
        }

        /// As in the configuration.
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                Self::WORDS.iter().find(|(_, it)| it == self).map_or(Ok(()), |(word, _)| f.write_str(word))
            }
        }
    )+};
}

choices! {
    /// `BLOCK_TCP`, `BLOCK_UDP`: what happens to a source that reached the trigger.
    Response {
        /// It is logged.
        LogOnly: "0",
        /// It is blocked, and the `KILL_*` actions are taken.
        Block: "1",
        /// `KILL_RUN_CMD` is run, nothing else.
        CommandOnly: "2",
    }

    /// `ACK_PROBES`: what becomes of ACK and FIN+ACK (Maimon) packets that belong to no connection. Neither
    /// PortSentry sees them, and stray ones are common, so they don't block unless asked to.
    AckProbes {
        /// They are not looked at.
        Off: "off",
        /// They are logged and never count towards the trigger.
        Log: "log",
        /// They count like any other probe.
        Count: "count",
    }

    /// `XDP_MODE`: where on the way in the kernel program sees packets.
    XdpMode {
        /// In the driver if it can, else after it.
        Auto: "auto",
        /// In the driver, or not at all.
        Native: "native",
        /// After the driver.
        Generic: "generic",
    }

    /// `ON_STOP`: what becomes of the kernel's side when the daemon is told to end.
    OnStop {
        /// The program is detached; the maps stay, and the next start takes them over.
        Detach: "detach",
        /// The program stays attached and goes on dropping.
        Keep: "keep",
        /// The program is detached, and nothing stays pinned.
        Remove: "remove",
    }

    /// `LOG_FORMAT`: whose log lines are written.
    LogFormat {
        /// Those of the PortSentry whose command line flags are used.
        Auto: "auto",
        /// Those of 1.2.
        Classic: "classic",
        /// Those of 2.x.
        Revival: "revival",
    }

    /// `LOG_OUTPUT`: where log lines go.
    LogOutput {
        /// Where the PortSentry whose command line flags are used sends them.
        Auto: "auto",
        /// To standard output.
        Stdout: "stdout",
        /// To the system log.
        Syslog: "syslog",
        /// To systemd's journal, with fields.
        Journald: "journald",
    }

    /// `SYSLOG_FACILITY`, with the numbers of RFC 5424, section 6.2.1.
    Facility {
        /// The kernel.
        Kern = 0: "kern",
        /// User programs.
        User = 1: "user",
        /// Mail.
        Mail = 2: "mail",
        /// Daemons.
        Daemon = 3: "daemon",
        /// Authorisation.
        Auth = 4: "auth" | "security",
        /// The system log itself.
        Syslog = 5: "syslog",
        /// Printing.
        Lpr = 6: "lpr",
        /// Network news.
        News = 7: "news",
        /// UUCP.
        Uucp = 8: "uucp",
        /// Scheduled jobs.
        Cron = 9: "cron",
        /// Authorisation, in private.
        Authpriv = 10: "authpriv",
        /// File transfer.
        Ftp = 11: "ftp",
        /// For local use.
        Local0 = 16: "local0",
        /// For local use.
        Local1 = 17: "local1",
        /// For local use.
        Local2 = 18: "local2",
        /// For local use.
        Local3 = 19: "local3",
        /// For local use.
        Local4 = 20: "local4",
        /// For local use.
        Local5 = 21: "local5",
        /// For local use.
        Local6 = 22: "local6",
        /// For local use.
        Local7 = 23: "local7",
    }

    /// `SYSLOG_LEVEL`, with the numbers of RFC 5424, section 6.2.1.
    Level {
        /// The system can't be used.
        Emerg = 0: "emerg" | "panic",
        /// Act at once.
        Alert = 1: "alert",
        /// Critical.
        Crit = 2: "crit",
        /// An error.
        Err = 3: "err" | "error",
        /// A warning.
        Warning = 4: "warning" | "warn",
        /// Normal, but of note.
        Notice = 5: "notice",
        /// For information.
        Info = 6: "info",
        /// For finding faults.
        Debug = 7: "debug",
    }
}

impl Facility {
    /// Its number (RFC 5424, section 6.2.1), not yet multiplied by eight.
    #[must_use]
    pub fn code(self) -> u8 {
        self as u8
    }
}

impl Level {
    /// Its number (RFC 5424, section 6.2.1).
    #[must_use]
    pub fn code(self) -> u8 {
        self as u8
    }
}

#[cfg(test)]
mod tests {
    use super::super::span::lines;
    use super::*;

    #[test]
    fn words_are_read_in_any_case_and_written_in_the_proper_one() {
        let mut report = Report::new("test");
        let span = |text| lines(text).next().unwrap();
        assert_eq!(choice(span(" Generic"), &mut report), Some(XdpMode::Generic));
        assert_eq!(choice(span("2"), &mut report), Some(Response::CommandOnly));
        assert_eq!(syslog_choice(span("LOG_LOCAL7"), &mut report), Some(Facility::Local7));
        assert_eq!(syslog_choice(span("log_error"), &mut report), Some(Level::Err));
        assert_eq!(syslog_choice(span("panic"), &mut report), Some(Level::Emerg));
        assert_eq!((Facility::Local7.code(), Level::Err.code()), (23, 3));
        assert_eq!((Facility::Auth.to_string(), Level::Emerg.to_string()), ("auth".into(), "emerg".into()));
        assert!(report.is_empty());
    }

    #[test]
    fn another_word_is_an_error_that_lists_the_choices() {
        for text in ["", "3", "1 ", "00", "\u{130}00\u{130}"] {
            let mut report = Report::new("test");
            let span = lines(text).next().unwrap();
            let found: Option<Response> = syslog_choice(span, &mut report);
            assert_eq!(found.is_none(), text != "1 ", "{text:?}");
            assert!(report.iter().all(|d| d.help() == Some("choose one of: 0, 1, 2")));
        }
    }
}
