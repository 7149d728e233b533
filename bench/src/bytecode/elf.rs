//! Object files for the bench's own programs.

use std::path::PathBuf;

use anyhow::{Context, Result};
use object::{
    Architecture, BinaryFormat, Endianness, SectionKind, SymbolFlags, SymbolKind, SymbolScope,
    write::{Object, Relocation, Symbol, SymbolSection},
};

/// The name of every program in these files.
pub(super) const PROGRAM: &str = "bench";

/// A map in the format of libbpf's older object files.
#[derive(Clone, Debug)]
pub(crate) struct MapDefinition {
    pub(crate) name: &'static str,
    /// Kind (`enum bpf_map_type`), sizes of key and value, number of entries, and flags.
    pub(crate) numbers: [u32; 5],
    /// Pin of an existing map to use instead.
    pub(crate) pin: Option<PathBuf>,
}

impl MapDefinition {
    /// An array of one program.
    pub(super) fn programs(name: &'static str) -> Self {
        const PROGRAM_ARRAY: u32 = 3;
        Self { name, numbers: [PROGRAM_ARRAY, 4, 4, 1, 0], pin: None }
    }

    /// An array of one 32-bit number.
    pub(crate) fn number(name: &'static str) -> Self {
        const ARRAY: u32 = 2;
        Self { name, numbers: [ARRAY, 4, 4, 1, 0], pin: None }
    }

    /// An existing hash map.
    pub(crate) fn pinned(name: &'static str, key: u32, value: u32, entries: u32, pin: PathBuf) -> Self {
        const HASH: u32 = 1;
        Self { name, numbers: [HASH, key, value, entries, 0], pin: Some(pin) }
    }
}

/// Returns an object file with one program in `section`.
pub(super) fn write(
    code: &[u8],
    uses: &[(usize, &'static str)],
    section: &str,
    maps: &[MapDefinition],
) -> Result<Vec<u8>> {
    /// `R_BPF_64_64`
    const ADDRESS: u32 = 1;
    let mut object = Object::new(BinaryFormat::Elf, Architecture::Bpf, Endianness::Little);
    let text = object.add_section(Vec::new(), section.into(), SectionKind::Text);
    object.append_section_data(text, code, 8);
    object.add_symbol(symbol(PROGRAM, 0, code.len(), SymbolKind::Text, text));
    // The loader rejects a section without a map.
    let mut section_of_maps = None;
    let mut symbols = Vec::new();
    for map in maps {
        let definitions = *section_of_maps
            .get_or_insert_with(|| object.add_section(Vec::new(), b"maps".to_vec(), SectionKind::Data));
        let numbers = map.numbers.map(u32::to_le_bytes);
        let at = object.append_section_data(definitions, numbers.as_flattened(), 4);
        let length = numbers.as_flattened().len();
        let symbol = object.add_symbol(symbol(map.name, at, length, SymbolKind::Data, definitions));
        symbols.push((map.name, symbol));
    }
    for (offset, name) in uses {
        let (_, symbol) =
            symbols.iter().find(|(other, _)| other == name).with_context(|| format!("no map {name}"))?;
        let flags = object::RelocationFlags::Elf { r_type: ADDRESS };
        let offset = u64::try_from(*offset)?;
        object.add_relocation(text, Relocation { offset, symbol: *symbol, addend: 0, flags })?;
    }
    let license = object.add_section(Vec::new(), b"license".to_vec(), SectionKind::Data);
    object.append_section_data(license, b"GPL\0", 1);
    Ok(object.write()?)
}

fn symbol(name: &str, at: u64, length: usize, kind: SymbolKind, section: object::write::SectionId) -> Symbol {
    Symbol {
        name: name.into(),
        value: at,
        size: length as u64,
        kind,
        scope: SymbolScope::Dynamic,
        weak: false,
        section: SymbolSection::Section(section),
        flags: SymbolFlags::None,
    }
}
