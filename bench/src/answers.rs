//! The cost of packets that leave, with and without learning from answers.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    ops::Range,
};

use anyhow::{Context, Result};
use aya::Ebpf;

use crate::{
    bed::{Bed, Making},
    bytecode::{Code, Leader, own_leaving},
    cases::REPEAT,
    leaving::{LEAVES, Leaving},
    runs::{Judging, Walk},
    sources::Family,
    turns::Contender,
};

/// Number of answers in a sample from known ports, and from new ones. The rate limit (20,000 a second) allows no more
/// new ones. Of the questions before a sample, the table of questions (65,536) keeps nearly all.
const KNOWN: u32 = 4096;
const NEW: u32 = 256;
/// Ports, least significant byte first. The map of learned ports forgets them before they return.
const PORTS: Range<u32> = 1..60_000;
const ENTRIES: u32 = 4096;

/// The programs.
pub(crate) struct Leavers {
    floor: Ebpf,
    beds: BTreeMap<String, Bed>,
    led: Vec<Led>,
}

/// An answer from or to another port each time.
struct Led {
    name: String,
    leaving: Leaving,
    own: Leader,
    floor: Leader,
    asking: Leader,
    walk: Walk,
}

impl Leavers {
    /// Loads all programs.
    pub(crate) fn load() -> Result<Self> {
        let floor = Code::default().answer(LEAVES).load_leaving(&[])?;
        let (mut beds, mut led) = (BTreeMap::new(), Vec::new());
        for (name, family, leaving) in Leaving::named() {
            let bed = match beds.entry(bed_of(&leaving)) {
                Entry::Occupied(bed) => bed.into_mut(),
                Entry::Vacant(vacant) => {
                    let settings = leaving.settings();
                    let making = Making { settings, ports: 0, entries: ENTRIES, ..Making::new(0) };
                    let mut bed = making.load()?;
                    bed.kernel.load_egress()?;
                    vacant.insert(bed)
                }
            };
            if leaving.question.is_some() {
                led.push(Led::load(name.clone(), family, leaving, bed, &floor).context(name)?);
            }
        }
        Ok(Self { floor, beds, led })
    }

    /// Returns all cases, to be measured in turns.
    pub(crate) fn contenders(&self) -> Result<Vec<Contender<'_>>> {
        let mut contenders = Vec::new();
        for (name, _, leaving) in Leaving::named().filter(|(_, _, leaving)| leaving.question.is_none()) {
            let bed = self.beds.get(&bed_of(&leaving)).context("a bed")?;
            let judging = |program| Judging::Leaving { program, is_forwarded: leaving.is_forwarded };
            contenders.push(Contender {
                name,
                program: judging(bed.egress()?),
                floor: judging(own_leaving(&self.floor)?),
                frame: leaving.frame,
                action: leaving.result,
                walk: None,
                questions: None,
                repeat: REPEAT,
            });
        }
        for led in &self.led {
            contenders.push(led.contender()?);
        }
        Ok(contenders)
    }
}

/// Returns the name of the bed. Each kind of answer has its own, so that it learns no ports from the others.
fn bed_of(leaving: &Leaving) -> String {
    let name = if leaving.question.is_some() { leaving.name } else { "" };
    format!("{name}{:?}", leaving.answers)
}

impl Led {
    /// Each answer is to another client's port or, if the port is to be new each time, from another port.
    fn load(name: String, family: Family, leaving: Leaving, bed: &Bed, floor: &Ebpf) -> Result<Self> {
        const FREE: u8 = 5;
        let transport = if family == Family::V4 { 34 } else { 54 };
        let [client, port] = [transport + 2, transport];
        let slot = if leaving.is_known { client } else { port };
        let walk = Walk { slot, question_slot: client + port - slot, width: 2, numbers: PORTS };
        let count = |code: Code, slot: usize| -> Result<Code> {
            Ok(code.count_up(i16::try_from(slot)?, &walk.numbers, FREE))
        };
        let leave = || count(Code::with_leaving(transport + 4), walk.slot);
        let ask = count(Code::with_frame(transport + 4), walk.question_slot)?;
        Ok(Self {
            own: Leader::load_leaving(leave()?, bed.egress()?)?,
            floor: Leader::load_leaving(leave()?, own_leaving(floor)?)?,
            asking: Leader::load(ask, bed.program()?, true)?,
            name,
            leaving,
            walk,
        })
    }

    fn contender(&self) -> Result<Contender<'_>> {
        let Leaving { frame, question, is_known, result, is_forwarded, .. } = &self.leaving;
        let judging = |program| Judging::Leaving { program, is_forwarded: *is_forwarded };
        let question = question.clone().context("a question")?;
        Ok(Contender {
            name: self.name.clone(),
            program: judging(self.own.leaving()?),
            floor: judging(self.floor.leaving()?),
            frame: frame.clone(),
            action: *result,
            walk: Some(self.walk.clone()),
            questions: Some((self.asking.program()?.into(), question)),
            repeat: if *is_known { KNOWN } else { NEW },
        })
    }
}
