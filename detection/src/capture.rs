//! Captures of real traffic, in the formats of tcpdump (`pcap`) and Wireshark (`pcapng`).

mod contacts;
mod packet;
mod summary;

use std::{
    collections::{BTreeMap, HashMap},
    fs::File,
    path::Path,
};

use anyhow::{Context, Result, bail};
use etherparse::LaxSlicedPacket;
use ipnet::IpNet;
use pcap_parser::{Block, Linktype, PcapBlockOwned, PcapError, create_reader, traits::PcapNGPacketBlock};

pub use self::summary::summarize;
use self::{contacts::Contacts, packet::Packet};
use crate::event::Event;

/// Size of the reader's buffer: more than a frame.
const BUFFER: usize = 1 << 20;
/// Length of the header of a `LINUX_SLL2` frame (`tcpdump -i any`).
const SLL2_HEADER: usize = 20;
/// The same of a `LINUX_SLL` one.
const SLL_HEADER: usize = 16;

/// The first contacts in a capture.
#[derive(Debug)]
pub struct Capture {
    /// Number of frames.
    pub frames: u64,
    /// Number of frames that were not read, by their unknown link type.
    pub unread: BTreeMap<i32, u64>,
    /// The contacts, ordered by the time of the SYN.
    pub events: Vec<Event>,
    /// The addresses by the number of [`Event::source`].
    pub sources: HashMap<u64, String>,
}

/// Reads the contacts with `network`, or with all addresses, from a capture.
///
/// # Errors
///
/// The file can't be read, or is no capture.
pub fn read(path: &Path, network: Option<IpNet>) -> Result<Capture> {
    let file = File::open(path).with_context(|| format!("{}: can't open it", path.display()))?;
    let no_capture = |error: &dyn std::fmt::Debug| format!("{}: no capture: {error:?}", path.display());
    let mut reader = match create_reader(BUFFER, file) {
        Ok(reader) => reader,
        Err(error) => bail!(no_capture(&error)),
    };
    let (mut frames, mut unread) = (0, BTreeMap::new());
    let mut contacts = Contacts::new(network);
    let mut links = Links::default();
    loop {
        match reader.next() {
            Ok((length, block)) => {
                if let Some((seconds, link, data)) = links.frame(&block) {
                    frames += 1;
                    match parse(link, data) {
                        Ok(frame) => {
                            if let Some(packet) = frame.as_ref().and_then(Packet::of) {
                                contacts.read(seconds, &packet);
                            }
                        }
                        Err(Unknown) => *unread.entry(link.0).or_default() += 1,
                    }
                }
                reader.consume(length);
                continue;
            }
            Err(PcapError::Incomplete(_)) => {}
            // A capture whose last frame is cut off is read up to it.
            Err(PcapError::Eof | PcapError::UnexpectedEof) => break,
            Err(error) => bail!(no_capture(&error)),
        }
        if let Err(error) = reader.refill() {
            bail!("{}: can't read it: {error:?}", path.display());
        }
    }
    let (events, sources) = contacts.finish();
    Ok(Capture { frames, unread, events, sources })
}

/// The link types and clocks that a capture has declared.
#[derive(Debug, Default)]
struct Links {
    /// Of a `pcap` file: its link type, and the parts of a second in which its times are.
    legacy: Option<(Linktype, f64)>,
    /// Of each interface: its link type, the offset of its times, and their resolution.
    interfaces: Vec<(Linktype, u64, u64)>,
}

impl Links {
    /// Returns the time of a frame in seconds, its link type and its bytes.
    fn frame<'block>(&mut self, block: &'block PcapBlockOwned<'_>) -> Option<(f64, Linktype, &'block [u8])> {
        match block {
            PcapBlockOwned::LegacyHeader(header) => {
                let parts = if header.is_nanosecond_precision() { 1e9 } else { 1e6 };
                self.legacy = Some((header.network, parts));
                None
            }
            PcapBlockOwned::Legacy(frame) => {
                let (link, parts) = self.legacy?;
                // The field's name is wrong for nanoseconds.
                let seconds = f64::from(frame.ts_sec) + f64::from(frame.ts_usec) / parts;
                Some((seconds, link, frame.data))
            }
            PcapBlockOwned::NG(Block::SectionHeader(_)) => {
                self.interfaces.clear();
                None
            }
            PcapBlockOwned::NG(Block::InterfaceDescription(interface)) => {
                let resolution = interface.ts_resolution().unwrap_or(1_000_000);
                self.interfaces.push((interface.linktype, interface.ts_offset().cast_unsigned(), resolution));
                None
            }
            PcapBlockOwned::NG(Block::EnhancedPacket(frame)) => {
                let (link, offset, resolution) = *self.interfaces.get(frame.if_id as usize)?;
                Some((frame.decode_ts_f64(offset, resolution), link, frame.packet_data()))
            }
            PcapBlockOwned::NG(_) => None,
        }
    }
}

/// The link type is unknown.
#[derive(Debug)]
struct Unknown;

/// Returns the packet in a frame, or `None` if it is damaged.
fn parse(link: Linktype, data: &[u8]) -> Result<Option<LaxSlicedPacket<'_>>, Unknown> {
    let header = match link {
        Linktype::ETHERNET => return Ok(LaxSlicedPacket::from_ethernet(data).ok()),
        Linktype::RAW | Linktype::IPV4 | Linktype::IPV6 => 0,
        Linktype::LINUX_SLL => SLL_HEADER,
        Linktype::LINUX_SLL2 => SLL2_HEADER,
        _ => return Err(Unknown),
    };
    Ok(data.get(header..).and_then(|ip| LaxSlicedPacket::from_ip(ip).ok()))
}

#[cfg(test)]
mod tests;
