//! The kernel program's debug messages.

use std::sync::mpsc::{Receiver, Sender, channel};

use aya::Ebpf;
use aya_log::EbpfLogger;
use log::{Log, Metadata, Record};

use super::Error;

/// The map that carries them.
const MAP: &str = "AYA_LOGS";

/// The program's messages. It writes one per reported probe, so that `EVENT_RATE` limits them, too.
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

    /// Returns the messages since the last call.
    pub fn read(&mut self) -> Vec<String> {
        self.log.flush();
        self.lines.try_iter().collect()
    }
}

/// Receives messages from aya's decoder.
struct Lines(Sender<String>);

impl Log for Lines {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        // The same struct holds the receiver.
        let _ = self.0.send(record.args().to_string());
    }

    fn flush(&self) {}
}
