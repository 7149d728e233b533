//! Captures of real traffic, in the formats of tcpdump (`pcap`) and Wireshark (`pcapng`).

mod contacts;
mod packet;
mod summary;

use std::{collections::HashMap, fs::File, path::Path};

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
    let mut frames = 0;
    let mut contacts = Contacts::new(network);
    let mut links = Links::default();
    loop {
        match reader.next() {
            Ok((length, block)) => {
                if let Some((seconds, link, data)) = links.frame(&block) {
                    frames += 1;
                    if let Some(packet) = parse(link, data).as_ref().and_then(Packet::of) {
                        contacts.read(seconds, &packet);
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
    Ok(Capture { frames, events, sources })
}

/// The link types and clocks that a capture has declared.
#[derive(Debug, Default)]
struct Links {
    legacy: Option<Linktype>,
    /// Of each interface: its link type, the offset of its times, and their resolution.
    interfaces: Vec<(Linktype, u64, u64)>,
}

impl Links {
    /// Returns the time of a frame in seconds, its link type and its bytes.
    fn frame<'block>(&mut self, block: &'block PcapBlockOwned<'_>) -> Option<(f64, Linktype, &'block [u8])> {
        match block {
            PcapBlockOwned::LegacyHeader(header) => {
                self.legacy = Some(header.network);
                None
            }
            PcapBlockOwned::Legacy(frame) => Some((f64::from(frame.ts_sec), self.legacy?, frame.data)),
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

fn parse(link: Linktype, data: &[u8]) -> Option<LaxSlicedPacket<'_>> {
    match link {
        Linktype::ETHERNET => LaxSlicedPacket::from_ethernet(data).ok(),
        Linktype::RAW | Linktype::IPV4 | Linktype::IPV6 => LaxSlicedPacket::from_ip(data).ok(),
        Linktype::LINUX_SLL => LaxSlicedPacket::from_ip(data.get(SLL_HEADER..)?).ok(),
        Linktype::LINUX_SLL2 => LaxSlicedPacket::from_ip(data.get(SLL2_HEADER..)?).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
