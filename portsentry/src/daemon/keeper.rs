//! Keeps the kernel's blocked map, the files and the log in step, on a thread of its own so that a slow disk
//! never holds up the ring.
//!
//! It must not decide: what follows from a sighting or a difference is `policy`'s.

use std::{
    net::IpAddr,
    sync::mpsc::{Receiver, RecvTimeoutError},
    time::{Duration, Instant, SystemTime},
};

use ipnet::IpNet;
use portsentry_common::{
    block::{Block, Origin},
    classify::Protocol,
    counter::{Counter, Counters},
};

use super::{files::Files, host::Host, journal::Journal, territory};
use crate::{
    kernel::{self, Kernel},
    policy::{Action, Hold, Ledger, Record, Sighting, Standing, TakeOver, respond},
};

/// How often the map is compared with the ledger, and files that could not be written are tried again.
const TICK: Duration = Duration::from_millis(500);

/// What the keeper is told.
#[derive(Debug)]
pub enum Message {
    /// The kernel told of a probe.
    Sighting(Sighting),
    /// The host's addresses, gateways or resolvers may have changed.
    Host(Host),
    /// The ring's reader had to leave out this many sightings, because the keeper was behind.
    Lost(u64),
    /// Write what is left, detach, and end.
    Stop,
}

/// The thread's state.
pub struct Keeper {
    kernel: Kernel,
    journal: Journal,
    files: Files,
    ledger: Ledger,
    ignored: Vec<IpNet>,
    protected: Vec<IpNet>,
    host: Host,
    counted: Counters,
}

impl Keeper {
    /// Takes over what an earlier run left in the files and the kernel's map, and makes the two agree.
    pub fn start(
        kernel: Kernel,
        journal: Journal,
        files: Files,
        host: Host,
        (ignored, protected): (Vec<IpNet>, Vec<IpNet>),
    ) -> Result<Self, kernel::Error> {
        let counted = kernel.counters()?;
        let ledger = Ledger::default();
        let mut keeper = Self { kernel, journal, files, ledger, ignored, protected, host, counted };
        keeper.set_territory()?;
        keeper.take_over()?;
        Ok(keeper)
    }

    /// The kernel's side, to attach it.
    pub fn kernel(&mut self) -> &mut Kernel {
        &mut self.kernel
    }

    /// The log.
    pub fn journal(&mut self) -> &mut Journal {
        &mut self.journal
    }

    /// Does what it is told until it is told to stop, or nobody is left to tell it anything.
    pub fn run(mut self, messages: &Receiver<Message>) {
        let mut next = Instant::now() + TICK;
        loop {
            match messages.recv_timeout(next.saturating_duration_since(Instant::now())) {
                Ok(Message::Sighting(sighting)) => self.on_sighting(&sighting),
                Ok(Message::Host(host)) => self.on_host(host),
                Ok(Message::Lost(count)) => self.journal.lost(count),
                Err(RecvTimeoutError::Timeout) => {}
                Ok(Message::Stop) | Err(RecvTimeoutError::Disconnected) => break,
            }
            if Instant::now() >= next {
                self.on_tick();
                next = Instant::now() + TICK;
            }
        }
        self.stop();
    }

    fn on_sighting(&mut self, sighting: &Sighting) {
        for action in respond(&mut self.ledger, sighting) {
            match action {
                Action::Attack => self.journal.attack(sighting),
                Action::Notice => self.journal.notice(sighting),
                Action::LeaveAlone => self.journal.left_alone(sighting.protocol),
                Action::Full => self.journal.full(sighting.source),
                Action::Record => {
                    let hold =
                        Hold { since: sighting.time, port: sighting.port, protocol: sighting.protocol };
                    self.record(Record { source: sighting.source, hold }, Some(sighting));
                }
            }
        }
    }

    /// Writes down a block. The files are written on the next tick, or before the next message that waits.
    fn record(&mut self, record: Record, sighting: Option<&Sighting>) {
        if let Err(problem) = self.files.record(record, sighting) {
            self.journal.trouble(&problem);
        }
        if let Some(line) = self.files.deny(record.source) {
            self.journal.denied(record.source, &line);
        }
    }

    fn on_host(&mut self, host: Host) {
        if host == self.host {
            return;
        }
        self.host = host;
        if let Err(error) = self.set_territory() {
            self.journal.trouble(&error);
        }
        let exempt = territory::exempt(&self.host, &self.ignored);
        let freed: Vec<IpAddr> =
            self.ledger.sources().filter(|source| territory::is_exempt(&exempt, *source)).collect();
        for source in freed {
            self.lift(source);
        }
    }

    /// The kernel's network maps follow the host.
    fn set_territory(&mut self) -> Result<(), kernel::Error> {
        self.kernel.ignored.replace(&territory::exempt(&self.host, &self.ignored))?;
        self.kernel.local.replace(&territory::local(&self.host, &self.protected))
    }

    fn lift(&mut self, source: IpAddr) {
        if let Err(error) = self.kernel.blocked.remove(source) {
            self.journal.trouble(&error);
            return;
        }
        self.ledger.lift(source);
        self.files.lift(source);
        self.journal.lifted(source);
    }

    fn on_tick(&mut self) {
        if let Err(error) = self.sweep() {
            self.journal.trouble(&error);
        }
        self.flush();
    }

    /// Finds blocks that the kernel made and whose events were not told, and reports what the ring left out.
    fn sweep(&mut self) -> Result<(), kernel::Error> {
        let counters = self.kernel.counters()?;
        let grown = |counter: Counter| counters.get(counter).wrapping_sub(self.counted.get(counter));
        let untold = grown(Counter::OverRate) + grown(Counter::RingFull);
        let is_untold = untold > 0;
        self.counted = counters;
        if is_untold {
            self.journal.untold(untold);
            self.record_unrecorded()?;
        }
        Ok(())
    }

    fn record_unrecorded(&mut self) -> Result<(), kernel::Error> {
        for standing in standings(&self.kernel)? {
            if !standing.mirrored && self.ledger.enter(standing.source, standing.hold) {
                self.record(Record { source: standing.source, hold: standing.hold }, None);
            }
        }
        Ok(())
    }

    /// Writes the files that need it, and marks in the map what they show now.
    fn flush(&mut self) {
        match self.files.flush(&self.ledger) {
            Ok(shown) => {
                for source in shown {
                    if let Err(error) = self.mark(source) {
                        self.journal.trouble(&error);
                    }
                }
            }
            Err(problem) => self.journal.trouble(&problem),
        }
    }

    fn mark(&mut self, source: IpAddr) -> Result<(), kernel::Error> {
        match self.kernel.blocked.get(source)? {
            Some(block) if block.mirrored == 0 => {
                self.kernel.blocked.insert(source, &Block { mirrored: 1, ..block })
            }
            _ => Ok(()),
        }
    }

    fn take_over(&mut self) -> Result<(), kernel::Error> {
        let (lines, faults) = self.files.read();
        for fault in faults {
            self.journal.trouble(&fault);
        }
        let exempt = territory::exempt(&self.host, &self.ignored);
        let standings = standings(&self.kernel)?;
        let is_exempt = |source| territory::is_exempt(&exempt, source);
        let TakeOver { block, lift, record } = self.ledger.take_over(lines.as_deref(), &standings, is_exempt);
        for Record { source, hold } in block {
            if let Err(error) = self.kernel.blocked.insert(source, &restored(&hold)) {
                self.journal.trouble(&error);
            }
        }
        for source in lift {
            self.lift(source);
        }
        for found in record {
            self.record(found, None);
        }
        for source in self.ledger.sources().collect::<Vec<_>>() {
            self.files.deny(source);
        }
        self.flush();
        Ok(())
    }

    fn stop(mut self) {
        self.on_tick();
        if let Err(error) = self.kernel.detach_all_but(&[]) {
            self.journal.trouble(&error);
        }
        self.journal.stopping();
    }
}

/// The blocks in the kernel's map that aren't over.
fn standings(kernel: &Kernel) -> Result<Vec<Standing>, kernel::Error> {
    let now = u64::try_from(kernel::monotonic_ns()).unwrap_or_default();
    let blocks = kernel.blocked.read()?.into_iter();
    Ok(blocks
        .filter(|(_, block)| !block.is_over(now))
        .map(|(source, block)| Standing {
            source,
            hold: Hold {
                since: kernel::wall_time(block.since_ns),
                port: block.port,
                protocol: Protocol::try_from(block.protocol).unwrap_or(Protocol::Tcp),
            },
            mirrored: block.mirrored != 0,
        })
        .collect())
}

/// The block of a source that the blocked file names.
fn restored(hold: &Hold) -> Block {
    Block {
        since_ns: kernel::monotonic_at(hold.since.min(SystemTime::now())),
        port: hold.port,
        protocol: hold.protocol as u8,
        origin: Origin::File as u8,
        mirrored: 1,
        ..bytemuck::Zeroable::zeroed()
    }
}
