//! The ring of events, from the kernel's record to a [`Sighting`].

use std::{
    io,
    net::{IpAddr, Ipv6Addr},
    num::NonZeroUsize,
    os::fd::{AsFd, OwnedFd},
    path::Path,
};

use aya::maps::{MapData, RingBuf};
use nix::{
    sys::mman::{MapFlags, ProtFlags, mmap, munmap},
    unistd::{SysconfVar, sysconf},
};
use portsentry_common::{
    block::Proof,
    classify::{Kind, Protocol},
    decide::Verdict,
    event::{Event, ScanEvent},
};
use tokio::io::{Interest, unix::AsyncFd};

use super::{Error, clock};
use crate::policy::Sighting;

/// The reader of the ring.
pub struct Ring {
    ring: RingBuf<MapData>,
    unreadable: u64,
}

impl std::fmt::Debug for Ring {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Ring").field("unreadable", &self.unreadable).finish_non_exhaustive()
    }
}

impl Ring {
    pub(super) fn new(ring: RingBuf<MapData>) -> Self {
        Self { ring, unreadable: 0 }
    }

    /// Returns the next sighting, if there is one. Unreadable records are counted and skipped.
    pub fn next_sighting(&mut self) -> Option<Sighting> {
        loop {
            let item = self.ring.next()?;
            match decode(&item) {
                Some(sighting) => return Some(sighting),
                None => self.unreadable += 1,
            }
        }
    }

    /// Returns the ring's wake-ups: the kernel program wakes the reader for blocks of proven sources.
    pub fn wake_ups(&self) -> io::Result<WakeUps> {
        let ring = self.ring.as_fd().try_clone_to_owned()?;
        // SAFETY: an `OwnedFd` stays open, and the same, as long as the `AsyncFd` owns it.
        Ok(WakeUps(unsafe { AsyncFd::register_with_interest(ring, Interest::READABLE) }?))
    }

    /// Returns the number of unreadable records.
    #[must_use]
    pub fn unreadable(&self) -> u64 {
        self.unreadable
    }
}

/// The ring's wake-ups.
#[derive(Debug)]
pub struct WakeUps(AsyncFd<OwnedFd>);

impl WakeUps {
    /// Waits for the next one. Several may be one. An error lasts, and leaves the reader to its timer.
    pub async fn next(&self) {
        match self.0.readable().await {
            Ok(mut guard) => guard.clear_ready(),
            Err(_) => std::future::pending().await,
        }
    }
}

/// Returns the sighting of a ring record, or `None` if its size or one of its numbers is unknown.
#[must_use]
pub fn decode(record: &[u8]) -> Option<Sighting> {
    let event: Event = match bytemuck::try_pod_read_unaligned::<ScanEvent>(record) {
        Ok(ScanEvent { event, evidence }) => {
            let sighting = Sighting { scan: Some(evidence.into()), ..sighting(&event)? };
            let is_known = !matches!(sighting.verdict, Verdict::Block | Verdict::Full | Verdict::Ignored);
            return is_known.then_some(sighting);
        }
        Err(_) => bytemuck::try_pod_read_unaligned(record).ok()?,
    };
    sighting(&event)
}

fn sighting(event: &Event) -> Option<Sighting> {
    let kind = Kind::try_from(event.kind).ok()?;
    let verdict = Verdict::try_from(event.verdict).ok()?;
    Some(Sighting {
        time: clock::wall_time(i64::try_from(event.time_ns).ok()?),
        source: address(event.source.octets),
        destination: address(event.destination.octets),
        source_port: event.source_port,
        port: event.port,
        protocol: Protocol::try_from(event.protocol).ok()?,
        kind,
        flags: event.flags,
        options: Some(event.options != 0),
        interface: event.interface,
        vlan: event.vlan,
        length: event.length,
        ttl: event.ttl,
        hits: event.hits,
        verdict,
        prefix: event.prefix,
        // In a report of the kernel program, a completed connection is an acknowledged cookie. A fenced source has
        // not yet proven enough.
        proof: if kind == Kind::Connect && verdict != Verdict::Fence { Proof::Cookie } else { Proof::None },
        scan: None,
    })
}

/// The ring's size and its unread data, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Waiting {
    /// Its size.
    pub size: u32,
    /// Unread data.
    pub used: u32,
}

/// Returns the fill level of the ring pinned at `pin`. The read and the write position are the first words of its
/// first two pages (`kernel/bpf/ringbuf.c` in the kernel).
pub(super) fn waiting(pin: &Path) -> Result<Waiting, Error> {
    const NAME: &str = "EVENTS";
    let failed = |source: io::Error| Error::System { what: "looking at the ring", source };
    let data = MapData::from_pin(pin).map_err(Error::map(NAME))?;
    let size = data.info().map_err(Error::map(NAME))?.max_entries();
    let page = sysconf(SysconfVar::PAGE_SIZE).ok().flatten().and_then(|size| usize::try_from(size).ok());
    let page = page.and_then(NonZeroUsize::new).ok_or_else(|| failed(io::ErrorKind::Unsupported.into()))?;
    let word = |offset: i64| -> Result<u64, Error> {
        // SAFETY: a new mapping, with a length other than zero.
        let mapped =
            unsafe { mmap(None, page, ProtFlags::PROT_READ, MapFlags::MAP_SHARED, data.fd(), offset) };
        let mapped = mapped.map_err(|errno| failed(errno.into()))?;
        // SAFETY: a mapping starts at a page boundary and is longer than the word, which only the kernel writes.
        let word = unsafe { mapped.cast::<u64>().read_volatile() };
        // SAFETY: the memory was mapped above with that length, and nothing refers to it.
        let _ = unsafe { munmap(mapped, page.get()) };
        Ok(word)
    };
    let read = word(0)?;
    let written = word(i64::try_from(page.get()).unwrap_or_default())?;
    let used = u32::try_from(written.saturating_sub(read)).unwrap_or(u32::MAX).min(size);
    Ok(Waiting { size, used })
}

fn address(octets: [u8; 16]) -> IpAddr {
    Ipv6Addr::from(octets).to_canonical()
}

#[cfg(test)]
mod tests {
    use bytemuck::Zeroable;
    use portsentry_common::{
        address::{Address, Ipv4},
        scan::Evidence,
    };
    use proptest::prelude::*;

    use super::*;
    use crate::policy::sample_scan;

    fn event() -> Event {
        Event {
            source: Ipv4 { octets: [192, 0, 2, 9] }.to_mapped(),
            destination: Ipv4 { octets: [198, 51, 100, 1] }.to_mapped(),
            port: 11,
            protocol: 6,
            kind: Kind::Xmas as u8,
            verdict: Verdict::Block as u8,
            version: 4,
            ..Event::zeroed()
        }
    }

    #[test]
    fn a_record_becomes_a_sighting() {
        let sighting = decode(bytemuck::bytes_of(&event())).unwrap();
        assert_eq!(sighting.source.to_string(), "192.0.2.9");
        assert_eq!(sighting.destination.to_string(), "198.51.100.1");
        assert_eq!((sighting.port, sighting.kind, sighting.verdict), (11, Kind::Xmas, Verdict::Block));
    }

    #[test]
    fn a_longer_record_has_the_evidence_of_a_scan() {
        let evidence = Evidence { span: 42, score: 1540, failed: 6, form: Evidence::SWEEP };
        let with = |verdict: Verdict| {
            let event = Event { verdict: verdict as u8, ..event() };
            decode(bytemuck::bytes_of(&ScanEvent { event, evidence }))
        };
        for verdict in [Verdict::Noticed, Verdict::Counted, Verdict::Report, Verdict::Fence] {
            let sighting = with(verdict).unwrap();
            assert_eq!((sighting.port, sighting.scan), (11, Some(sample_scan())));
        }
        assert_eq!(with(Verdict::Block), None, "no scan blocks by itself");
    }

    #[test]
    fn unknown_numbers_and_sizes_are_refused() {
        for event in
            [Event { kind: 0, ..event() }, Event { verdict: 99, ..event() }, Event { protocol: 1, ..event() }]
        {
            assert_eq!(decode(bytemuck::bytes_of(&event)), None);
        }
        assert_eq!(decode(&bytemuck::bytes_of(&event())[1..]), None);
    }

    proptest! {
        #[test]
        fn any_record_is_read_without_panic(record in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = decode(&record);
        }
    }
}
