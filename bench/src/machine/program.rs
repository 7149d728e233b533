//! The kernel program's object, relocated and decoded.

use std::collections::{BTreeMap, HashMap, HashSet};

use anyhow::{Context, Result};
use aya_obj::{Map, Object, generated::bpf_insn};
use portsentry_common::settings::Settings;

use super::instruction::Instruction;

/// The opcode for loading a two-word constant. The source register gives the constant's kind.
const CONSTANT: u8 = 0x18;
const MAP: u8 = 1;
const MAP_VALUE: u8 = 2;

/// A program and its maps.
#[derive(Debug)]
pub struct Program {
    pub(super) instructions: Vec<Instruction>,
    pub(super) maps: Vec<(String, Map)>,
}

impl Program {
    /// Parses the program called `name` in `object`, with `settings`.
    pub fn parse(object: &[u8], name: &str, settings: &Settings) -> Result<Self> {
        let mut object = Object::parse(object).context("the object can't be parsed")?;
        object
            .patch_map_data(HashMap::from([("SETTINGS", (bytemuck::bytes_of(&settings.paced()), true))]))?;
        let maps: BTreeMap<_, _> = object.maps.drain().collect();
        let maps: Vec<_> = maps.into_iter().collect();
        let sections: HashSet<_> = object.functions.keys().map(|(section, _)| *section).collect();
        let numbered = (0..).zip(&maps).map(|(number, (name, map))| (name.as_str(), number, map));
        object.relocate_maps(numbered, &sections)?;
        object.relocate_calls(&sections)?;
        let program = object.programs.get(name).with_context(|| format!("no program {name}"))?;
        let function = object.functions.get(&program.function_key()).context("a program without code")?;
        let raw = &function.instructions;
        let instructions = (0..raw.len()).map(|at| decode(raw, at)).collect();
        Ok(Self { instructions, maps })
    }
}

impl Program {
    /// Gives the map called `name` this many entries.
    pub fn enlarge(&mut self, name: &str, entries: u32) {
        self.maps
            .iter_mut()
            .filter(|(other, _)| other == name)
            .for_each(|(_, map)| map.set_max_entries(entries));
    }
}

/// Returns the address of a data section's value, or the number by which helpers know a map.
pub(super) fn value_address(map: u32) -> u64 {
    u64::from(map + 1) << 24
}

/// Returns the argument that stands for a map.
pub(super) fn handle(map: u32) -> u64 {
    0xffff_0000_0000 | u64::from(map)
}

fn decode(raw: &[bpf_insn], at: usize) -> Instruction {
    let first = &raw[at];
    if first.code != CONSTANT {
        return Instruction::decode(*first);
    }
    let low = u64::from(first.imm.cast_unsigned());
    let high = raw.get(at + 1).map_or(0, |second| u64::from(second.imm.cast_unsigned()));
    let value = match first.src_reg() {
        MAP => handle(first.imm.cast_unsigned()),
        MAP_VALUE => value_address(first.imm.cast_unsigned()) + high,
        _ => high << 32 | low,
    };
    Instruction::Constant { to: first.dst_reg().into(), value }
}
