//! BPF instructions (RFC 9669): decoding and arithmetic.

#![expect(clippy::cast_possible_truncation, reason = "narrow instructions use the lower halves of registers")]

use anyhow::{Result, bail};
use aya_obj::generated::bpf_insn;

/// A register, or an immediate value.
#[derive(Clone, Copy, Debug)]
pub(super) enum Operand {
    Register(usize),
    Immediate(u64),
}

/// An instruction. Jumps are relative to the next one.
#[derive(Clone, Copy, Debug)]
pub(super) enum Instruction {
    Alu { wide: bool, operation: u8, to: usize, operand: Operand },
    Swap { to: usize, bits: i32 },
    Load { to: usize, from: usize, offset: i64, size: usize },
    Store { to: usize, offset: i64, size: usize, operand: Operand },
    Atomic { to: usize, offset: i64, size: usize, operation: i32, register: usize },
    Constant { to: usize, value: u64 },
    Jump { wide: bool, condition: u8, left: usize, right: Operand, by: isize },
    Helper { number: i32 },
    Call { by: isize },
    Exit,
    Unknown(u8),
}

/// Operations of instruction classes 4 to 7 with special handling.
const JA: u8 = 0x00;
const CALL: u8 = 0x80;
const EXIT: u8 = 0x90;
const END: u8 = 0xd0;
const MOV: u8 = 0xb0;
/// Value of a call's source register for a call within the program.
const PSEUDO_CALL: u8 = 1;

impl Instruction {
    /// Decodes an instruction, except constants of two words, which the program resolves.
    pub(super) fn decode(raw: bpf_insn) -> Self {
        let (class, operation) = (raw.code & 7, raw.code & 0xf0);
        let (to, from) = (usize::from(raw.dst_reg()), usize::from(raw.src_reg()));
        let immediate = Operand::Immediate(sign_extend(raw.imm));
        let operand = if raw.code & 8 == 0 { immediate } else { Operand::Register(from) };
        let offset = i64::from(raw.off);
        let size = [4, 2, 1, 8][usize::from(raw.code >> 3 & 3)];
        match (class, operation) {
            (4, END) if raw.code & 8 != 0 => Self::Swap { to, bits: raw.imm },
            (4 | 7, _) => Self::Alu { wide: class == 7, operation, to, operand },
            (1, _) if raw.code & 0xe0 == 0x60 => Self::Load { to, from, offset, size },
            (2, _) => Self::Store { to, offset, size, operand: immediate },
            (3, _) if raw.code & 0xe0 == 0x60 => {
                Self::Store { to, offset, size, operand: Operand::Register(from) }
            }
            (3, _) if raw.code & 0xe0 == 0xc0 => {
                Self::Atomic { to, offset, size, operation: raw.imm, register: from }
            }
            (5, CALL) if raw.src_reg() == PSEUDO_CALL => Self::Call { by: raw.imm as isize },
            (5, CALL) => Self::Helper { number: raw.imm },
            (5, EXIT) => Self::Exit,
            // The long jump has its offset in the immediate.
            (6, JA) => {
                Self::Jump { wide: true, condition: JA, left: to, right: operand, by: raw.imm as isize }
            }
            (5 | 6, _) => Self::Jump {
                wide: class == 5,
                condition: operation,
                left: to,
                right: operand,
                by: raw.off.into(),
            },
            _ => Self::Unknown(raw.code),
        }
    }
}

/// Returns the result of an arithmetic instruction.
pub(super) fn alu(operation: u8, wide: bool, left: u64, right: u64) -> Option<u64> {
    let bits = if wide { 64 } else { 32 };
    let narrow = |value: u64| if wide { value } else { value & 0xffff_ffff };
    let (left, right) = (narrow(left), narrow(right));
    let shift = u32::try_from(right % bits).ok()?;
    let value = match operation {
        0x00 => left.wrapping_add(right),
        0x10 => left.wrapping_sub(right),
        0x20 => left.wrapping_mul(right),
        0x30 => left.checked_div(right).unwrap_or(0),
        0x40 => left | right,
        0x50 => left & right,
        0x60 => left << shift,
        0x70 => left >> shift,
        0x80 => left.wrapping_neg(),
        0x90 => left.checked_rem(right).unwrap_or(left),
        0xa0 => left ^ right,
        MOV => right,
        0xc0 if wide => (left.cast_signed() >> shift).cast_unsigned(),
        0xc0 => u64::from(((left as u32).cast_signed() >> shift).cast_unsigned()),
        _ => return None,
    };
    Some(narrow(value))
}

/// Returns the lowest `bits` of `value` with their bytes reversed.
pub(super) fn swap(value: u64, bits: i32) -> u64 {
    match bits {
        16 => u64::from((value as u16).swap_bytes()),
        32 => u64::from((value as u32).swap_bytes()),
        _ => value.swap_bytes(),
    }
}

/// Returns the result of an atomic instruction, and whether it fetches the old value.
pub(super) fn atomic(operation: i32, old: u64, operand: u64) -> Result<(u64, bool)> {
    let new = match operation & !1 {
        0x00 => old.wrapping_add(operand),
        0x40 => old | operand,
        0x50 => old & operand,
        0xa0 => old ^ operand,
        0xe0 => operand,
        _ => bail!("no atomic operation {operation:#x}"),
    };
    Ok((new, operation & 1 != 0))
}

/// Whether a jump is taken.
pub(super) fn compare(condition: u8, wide: bool, left: u64, right: u64) -> Option<bool> {
    let narrow = |value: u64| if wide { value } else { value & 0xffff_ffff };
    let signed =
        |value: u64| if wide { value.cast_signed() } else { i64::from((value as u32).cast_signed()) };
    let (unsigned, signed) = ((narrow(left), narrow(right)), (signed(left), signed(right)));
    Some(match condition {
        JA => true,
        0x10 => unsigned.0 == unsigned.1,
        0x20 => unsigned.0 > unsigned.1,
        0x30 => unsigned.0 >= unsigned.1,
        0x40 => unsigned.0 & unsigned.1 != 0,
        0x50 => unsigned.0 != unsigned.1,
        0x60 => signed.0 > signed.1,
        0x70 => signed.0 >= signed.1,
        0xa0 => unsigned.0 < unsigned.1,
        0xb0 => unsigned.0 <= unsigned.1,
        0xc0 => signed.0 < signed.1,
        0xd0 => signed.0 <= signed.1,
        _ => return None,
    })
}

fn sign_extend(immediate: i32) -> u64 {
    i64::from(immediate).cast_unsigned()
}
