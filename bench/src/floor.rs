//! A program that returns at once: what every measurement starts from.
//!
//! It must not look at the frame.

use aya::{Ebpf, programs::Xdp};
use object::{
    Architecture, BinaryFormat, Endianness, SectionKind, SymbolFlags, SymbolKind, SymbolScope,
    write::{Object, Symbol, SymbolSection},
};

/// An XDP program that answers every frame with `action`.
pub struct Floor(Ebpf);
impl Floor {
    pub fn load(action: u32) -> Self {
        let mut ebpf = Ebpf::load(&object(action)).unwrap();
        let p: &mut Xdp = ebpf.program_mut("floor").unwrap().try_into().unwrap();
        p.load().unwrap();
        Self(ebpf)
    }
    pub fn program(&self) -> &Xdp {
        self.0.program("floor").unwrap().try_into().unwrap()
    }
}

fn object(action: u32) -> Vec<u8> {
    let mut object = Object::new(BinaryFormat::Elf, Architecture::Bpf, Endianness::Little);
    let text = object.add_section(Vec::new(), b"xdp".to_vec(), SectionKind::Text);
    // r0 = action; exit
    let mut code = vec![0xb7, 0, 0, 0];
    code.extend(action.to_le_bytes());
    code.extend([0x95, 0, 0, 0, 0, 0, 0, 0]);
    object.append_section_data(text, &code, 8);
    object.add_symbol(Symbol {
        name: b"floor".to_vec(),
        value: 0,
        size: code.len() as u64,
        kind: SymbolKind::Text,
        scope: SymbolScope::Dynamic,
        weak: false,
        section: SymbolSection::Section(text),
        flags: SymbolFlags::None,
    });
    let license = object.add_section(Vec::new(), b"license".to_vec(), SectionKind::Data);
    object.append_section_data(license, b"GPL\0", 1);
    object.write().unwrap()
}
