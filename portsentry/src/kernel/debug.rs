//! The kernel program's own debugging messages.

use std::sync::mpsc::{Receiver, Sender, channel};

use aya::Ebpf;
use aya_log::EbpfLogger;
use log::{Log, Metadata, Record};

use super::Error;

/// The map that they come in.
const MAP: &str = "AYA_LOGS";

/// The messages, as the program writes them. It writes one for each probe that it tells of, so that `EVENT_RATE` bounds
/// them, too.
pub struct DebugLog {
    log: EbpfLogger<Lines>,
    lines: Receiver<String>,
}

impl DebugLog {
    pub(super) fn of(ebpf: &mut Ebpf) -> Result<Self, Error> {
        let (sender, lines) = channel();
        let log = EbpfLogger::init_with_logger(ebpf, Lines(sender));
        Ok(Self { log: log.map_err(|_| Error::Missing(MAP.into()))?, lines })
    }

    /// What has come since it was last asked.
    pub fn read(&mut self) -> Vec<String> {
        self.log.flush();
        self.lines.try_iter().collect()
    }
}

/// Takes messages from aya's decoder.
struct Lines(Sender<String>);

impl Log for Lines {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        // Its other end is beside it.
        let _ = self.0.send(record.args().to_string());
    }

    fn flush(&self) {}
}
