//! The cases to measure: packets, and the programs that process them.

use std::{
    net::{IpAddr, SocketAddr},
    ops::Range,
};

use anyhow::{Context, Result};
use aya::{Ebpf, programs::Xdp};
use portsentry_common::{
    block::Block,
    settings::{ScanDetection, Settings},
};
use portsentry_tests::frames::{SYN, tcp};

use crate::{
    bed::{Bed, Making, blocked_name},
    bytecode::{Code, Leader, MapDefinition, own},
    paths::{FENCED, OWN, Path, UNWATCHED, paths},
    runs::Walk,
    sources::{FAMILIES, Family, HONEST},
    suspects::{ANSWERED, DROPPED, Response, Suspect},
    turns::Contender,
    xdp_filter::XdpFilter,
};

pub(crate) const DROP: u32 = 1;
pub(crate) const PASS: u32 = 2;

/// Prefix of the name of a path measured in Debian's program.
pub(crate) const PEER: &str = "xdp-filter: ";
/// The most frequent packet.
pub(crate) const DATA: &str = "TCP data to a service";
/// The dropped probe in another copy of the program.
const AGAIN: &str = "a probe, dropped by a copy";
/// The cost of the first case above the second.
pub(crate) const CHALLENGE: &str = "a challenge";
/// The cost of the third case above the second: the difference between two copies that only have different
/// addresses.
pub(crate) const NO_CHALLENGE: &str = "a challenge that isn't made";
/// A SYN from another source each time to an own port that is neither watched nor served.
pub(crate) const UNSERVED: &str = "an unserved SYN";
/// The same with `SCAN_DETECTION="report"`.
pub(crate) const DETECTED: &str = "an unserved SYN, noted";
/// Both with their settings.
pub(crate) const UNSERVED_SYNS: [(&str, ScanDetection); 2] =
    [(UNSERVED, ScanDetection::Off), (DETECTED, ScanDetection::Report)];
/// Number of runs in a sample.
pub(crate) const REPEAT: u32 = 20_000;

/// A program that returns at once, with and without multi-buffer support.
pub(crate) struct Floors {
    pub(crate) frags: Ebpf,
    pub(crate) plain: Ebpf,
}

impl Floors {
    pub(crate) fn load(action: u32) -> Result<Self> {
        let code = Code::default().answer(action);
        Ok(Self { frags: code.load_as("xdp.frags", &[])?, plain: code.load_as("xdp", &[])? })
    }
}

/// A program, with the one that passes frames to it, and the latter's own cost.
pub(crate) struct Led {
    name: String,
    own: Leader,
    floor: Leader,
    frame: Vec<u8>,
    action: u32,
    walk: Option<Walk>,
}

/// All loaded programs.
pub(crate) struct Cases {
    floors: Floors,
    bed: Bed,
    filter: Option<XdpFilter>,
    led: Vec<Led>,
    // Programs to which others pass frames.
    _others: (Vec<Bed>, [Ebpf; 2], Option<XdpFilter>),
}

impl Cases {
    /// Loads all programs, with this number of blocked sources per address family.
    pub(crate) fn load(blocked: u32) -> Result<Self> {
        let floors = Floors::load(PASS)?;
        let bed = Making::new(blocked).load()?;
        let large = XdpFilter::load(blocked)?;
        let [bare_v4, bare_v6] = FAMILIES.map(|family| bare_look_up(&bed, family));
        let bare = [bare_v4?, bare_v6?];
        let [quiet, challenging, open] = Response::ALL.map(|response| suspecting(response, blocked));
        let beds = vec![quiet?, challenging?, open?, suspecting(Response::Drop, blocked)?];
        let mut led = Vec::new();
        for (family, bare) in FAMILIES.into_iter().zip(&bare) {
            let walk = |what: &str, program, action, sources| {
                Led::walk(family, in_family(what, family), (program, &floors.frags), action, sources)
            };
            led.push(walk("honest sources at random", bed.program()?, PASS, blocked..blocked + HONEST)?);
            if blocked > 0 {
                led.push(walk("blocked sources at random", bed.program()?, DROP, 0..blocked)?);
                led.push(walk("one look-up at random", own(bare)?, DROP, 0..blocked)?);
                if let Some(large) = &large {
                    let name = in_family(&format!("{PEER}blocked sources at random"), family);
                    let programs = (large.program()?, &floors.plain);
                    led.push(Led::walk(family, name, programs, DROP, 0..blocked)?);
                }
            }
        }
        let unserving = UNSERVED_SYNS.into_iter().map(|(_, scans)| detecting(scans));
        let unserving = unserving.collect::<Result<Vec<Bed>>>()?;
        for family in FAMILIES {
            for ((name, _), bed) in UNSERVED_SYNS.into_iter().zip(&unserving) {
                led.push(Led::unserved(family, in_family(name, family), bed, &floors)?);
            }
        }
        for (name, suspect) in Suspect::named() {
            let bed = &beds[suspect.response as usize];
            if suspect.name == DROPPED {
                led.push(Led::suspect(name.replace(DROPPED, AGAIN), &suspect, &beds[3], &floors)?);
            }
            led.push(Led::suspect(name, &suspect, bed, &floors)?);
        }
        let beds = beds.into_iter().chain(unserving).collect();
        Ok(Self { floors, bed, filter: XdpFilter::load(0)?, led, _others: (beds, bare, large) })
    }

    /// Returns all cases, to be measured in turns.
    pub(crate) fn contenders(&self) -> Result<Vec<Contender<'_>>> {
        let floor = own(&self.floors.frags)?;
        let mut contenders = Vec::new();
        for path in paths() {
            contenders.push(hot(&path, path.name.into(), self.bed.program()?, floor));
        }
        if let Some(filter) = &self.filter {
            for path in paths().iter().filter(|path| is_comparable(path)) {
                let name = format!("{PEER}{}", path.name);
                contenders.push(hot(path, name, filter.program()?, own(&self.floors.plain)?));
            }
        }
        for led in &self.led {
            contenders.push(led.contender()?);
        }
        for family in FAMILIES {
            let led = |what| {
                let name = in_family(what, family);
                self.led.iter().find(|led| led.name == name).with_context(|| name.clone())
            };
            let floor = led(DROPPED)?.own.program()?.into();
            for (name, what) in [(CHALLENGE, ANSWERED), (NO_CHALLENGE, AGAIN)] {
                let name = in_family(name, family);
                contenders.push(Contender { name, floor, ..led(what)?.contender()? });
            }
        }
        Ok(contenders)
    }
}

/// Returns a case's name in an address family.
pub(crate) fn in_family(what: &str, family: Family) -> String {
    format!("{what}, {}", family.name())
}

/// Whether Debian's program, which ignores ports, does comparable work for the packet.
fn is_comparable(path: &Path) -> bool {
    ["TCP data to a service, IP", "UDP to a service", "a blocked source"]
        .iter()
        .any(|start| path.name.starts_with(start) && !path.name.ends_with("VLAN"))
}

pub(crate) fn hot<'a>(path: &Path, name: String, program: &'a Xdp, floor: &'a Xdp) -> Contender<'a> {
    let action = if path.passes { PASS } else { DROP };
    Contender {
        name,
        program: program.into(),
        floor: floor.into(),
        frame: path.packet.frame(0),
        action,
        walk: None,
        questions: None,
        repeat: REPEAT,
    }
}

/// Returns a bed with this response, in which each family has a fenced source.
fn suspecting(response: Response, blocked: u32) -> Result<Bed> {
    let mut bed = Making { settings: response.settings(), ..Making::new(blocked) }.load()?;
    FENCED.into_iter().try_for_each(|source| bed.fence(source))?;
    Ok(bed)
}

/// Returns a bed with this detection of scans.
fn detecting(scans: ScanDetection) -> Result<Bed> {
    /// As for a `SCAN_MEMORY` of 20 MiB.
    const SETS: u32 = 1 << 16;
    let making = Making::new(0);
    let settings =
        Settings { scans: scans as u8, scan_key: 7, scan_mask: SETS - 1, ..making.settings }.paced();
    Making { settings, scan_sets: SETS, ..making }.load()
}

/// Returns a program that only looks the source up in the blocked map: the cost of an uncached look-up.
fn bare_look_up(bed: &Bed, family: Family) -> Result<Ebpf> {
    let name = blocked_name(family);
    let (pin, entries) = bed.blocked_map(name);
    let value = u32::try_from(size_of::<Block>())?;
    let words = family.words();
    let map = MapDefinition::pinned(name, 4 * u32::try_from(words)?, value, entries, pin);
    let code = Code::with_frame(54).look_up(name, family.place(), words).answer(DROP);
    code.load_as("xdp.frags", &[map]).context(name)
}

impl Led {
    /// Returns a case for data to a service from one source after another.
    pub(crate) fn walk(
        family: Family,
        name: String,
        (program, floor): (&Xdp, &Ebpf),
        action: u32,
        sources: Range<u32>,
    ) -> Result<Self> {
        let start = in_family(DATA, family);
        let path = paths().into_iter().find(|path| path.name == start).context("a path")?;
        let frame = path.packet.frame(0);
        let slot = frame.len() - 4;
        let lead = || family.walk(slot, &sources);
        let frags = !name.starts_with(PEER);
        Ok(Self {
            own: Leader::load(lead(), program, frags).with_context(|| name.clone())?,
            floor: Leader::load(lead(), own(floor)?, frags)?,
            name,
            frame,
            action,
            walk: Some(Walk::sources(slot, sources)),
        })
    }

    /// Returns a case for a SYN to an own port that is neither watched nor served, from one source after another.
    fn unserved(family: Family, name: String, bed: &Bed, floors: &Floors) -> Result<Self> {
        let [from, to] = [(crate::paths::HONEST, 40_000), (OWN, UNWATCHED)].map(|(addresses, port)| {
            addresses[family as usize]
                .parse()
                .map(|address: IpAddr| SocketAddr::new(address, port).to_string())
        });
        let frame = tcp(SYN).from(&from?).to(&to?).payload(100).frame(0);
        let slot = frame.len() - 4;
        let sources = 0..HONEST;
        let lead = || family.walk(slot, &sources);
        Ok(Self {
            own: Leader::load(lead(), bed.program()?, true).with_context(|| name.clone())?,
            floor: Leader::load(lead(), own(&floors.frags)?, true)?,
            name,
            frame,
            action: PASS,
            walk: Some(Walk::sources(slot, sources)),
        })
    }

    /// Returns a case for a suspect's packet. The program may rewrite the frame to answer it, so the frame is
    /// restored each time.
    fn suspect(name: String, suspect: &Suspect, bed: &Bed, floors: &Floors) -> Result<Self> {
        let frame = &suspect.frame;
        let lead = || Code::with_frame(frame.len()).restore(frame);
        Ok(Self {
            name,
            own: Leader::load(lead(), bed.program()?, true)?,
            floor: Leader::load(lead(), own(&floors.frags)?, true)?,
            frame: frame.clone(),
            action: suspect.action,
            walk: None,
        })
    }

    pub(crate) fn contender(&self) -> Result<Contender<'_>> {
        Ok(Contender {
            name: self.name.clone(),
            program: self.own.program()?.into(),
            floor: self.floor.program()?.into(),
            frame: self.frame.clone(),
            action: self.action,
            walk: self.walk.clone(),
            questions: None,
            repeat: REPEAT,
        })
    }
}
