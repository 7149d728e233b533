//! Settings that take one of a few words.

use portsentry_common::settings::{AckProbes, Answers, FencedDatagrams, ScanDetection};

use super::{report::Report, span::Span};

/// A setting with a fixed set of words.
pub(super) trait Choice: Copy + 'static {
    /// All accepted words. Each value's canonical word comes first.
    const WORDS: &'static [(&'static str, Self)];
}

/// Reads one of the words, in upper or lower case.
pub(super) fn choice<T: Choice>(value: Span<'_>, report: &mut Report) -> Option<T> {
    let word = value.trim();
    choose(word.text()).or_else(|| {
        let known: Vec<_> = T::WORDS.iter().map(|(word, _)| *word).collect();
        let message = format!("\"{}\" is not a valid choice", word.text().escape_debug());
        report.error(word, message).help(format!("choose one of: {}", known.join(", ")));
        None
    })
}

/// Like [`choice`], but also accepts the names of `syslog.h`, with which 1.x was compiled (`LOG_DAEMON`).
pub(super) fn syslog_choice<T: Choice>(value: Span<'_>, report: &mut Report) -> Option<T> {
    let word = value.trim();
    let prefix = word.text().get(..4).filter(|prefix| prefix.eq_ignore_ascii_case("LOG_"));
    choice(word.split_at(prefix.map_or(0, str::len)).1, report)
}

fn choose<T: Choice>(word: &str) -> Option<T> {
    T::WORDS.iter().find(|(known, _)| known.eq_ignore_ascii_case(word)).map(|(_, it)| *it)
}

/// `ACK_PROBES`
impl Choice for AckProbes {
    const WORDS: &'static [(&'static str, Self)] =
        &[("off", Self::Off), ("log", Self::Report), ("count", Self::Count)];
}

/// `FENCE_UDP`
impl Choice for FencedDatagrams {
    const WORDS: &'static [(&'static str, Self)] = &[("sessions", Self::Drop), ("pass", Self::Pass)];
}

/// `ANSWERS`
impl Choice for Answers {
    const WORDS: &'static [(&'static str, Self)] =
        &[("off", Self::Off), ("observe", Self::Observe), ("enforce", Self::Enforce)];
}

/// `SCAN_DETECTION`
impl Choice for ScanDetection {
    const WORDS: &'static [(&'static str, Self)] = &Self::WORDS;
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

        /// Formats the value as in the configuration.
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                Self::WORDS.iter().find(|(_, it)| it == self).map_or(Ok(()), |(word, _)| f.write_str(word))
            }
        }
    )+};
}

choices! {
    /// `SHARE_BLOCKS`
    ShareBlocks {
        /// Nothing.
        Off: "off",
        /// Blocks of proven sources.
        Proven: "proven",
        /// Also administrators' blocks of hosts.
        All: "all",
    }

    /// `BLOCK_TCP`, `BLOCK_UDP`: the response to a source that reached the trigger.
    Response {
        /// Log it.
        LogOnly: "0",
        /// Block it, and run the `KILL_*` actions.
        Block: "1",
        /// Run `KILL_RUN_CMD`, nothing else.
        CommandOnly: "2",
    }

    /// `KILL_ON_PROOF`: whether the `KILL_*` actions wait for proof.
    KillOnProof {
        /// Where a source can prove itself.
        Auto: "auto",
        /// Never.
        Never: "0",
        /// Always.
        Always: "1",
    }

    /// `FENCE`: the treatment of a fenced source's SYNs.
    Fence {
        /// Every port answers: services as usual, all others with a cookie.
        Open: "open",
        /// They are dropped. With `CHALLENGE`, watched ports without a service answer with a cookie.
        Drop: "drop",
    }

    /// `XDP_MODE`: the place where the kernel program runs.
    XdpMode {
        /// In the driver if it supports that, otherwise after it.
        Auto: "auto",
        /// In the driver only.
        Native: "native",
        /// After the driver.
        Generic: "generic",
    }

    /// `ON_STOP`: the treatment of the kernel program when the daemon stops.
    OnStop {
        /// The program is detached; the maps stay for the next start.
        Detach: "detach",
        /// The program stays attached and continues to drop.
        Keep: "keep",
        /// The program is detached, and all pins are removed.
        Remove: "remove",
    }

    /// `LOG_FORMAT`: the format of log lines.
    LogFormat {
        /// The format of the PortSentry whose command line flags are used.
        Auto: "auto",
        /// 1.2's.
        Classic: "classic",
        /// 2.x's.
        Revival: "revival",
    }

    /// `LOG_OUTPUT`: the target of log lines.
    LogOutput {
        /// The output of the PortSentry whose command line flags are used.
        Auto: "auto",
        /// Standard output.
        Stdout: "stdout",
        /// The system log.
        Syslog: "syslog",
        /// systemd's journal, with fields.
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
    /// Returns its number (RFC 5424 section 6.2.1), not multiplied by eight.
    #[must_use]
    pub fn code(self) -> u8 {
        self as u8
    }
}

impl Level {
    /// Returns its number (RFC 5424 section 6.2.1).
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
