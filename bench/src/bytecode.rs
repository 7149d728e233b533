//! Small kernel programs for measurements, written instruction by instruction.
//!
//! The instructions are those of RFC 9669. Registers are given by number.

mod elf;

use std::ops::Range;

use anyhow::{Context, Result};
use aya::{
    Ebpf, EbpfLoader,
    maps::ProgramArray,
    programs::{ProgramFd, SchedClassifier, Xdp},
};

pub(crate) use self::elf::MapDefinition;

/// Arithmetic operations.
pub(crate) mod operation {
    pub(crate) const ADD: u8 = 0x00;
    pub(crate) const MULTIPLY: u8 = 0x20;
    pub(crate) const AND: u8 = 0x50;
    pub(crate) const SHIFT_RIGHT: u8 = 0x70;
    pub(crate) const REMAINDER: u8 = 0x90;
    pub(crate) const XOR: u8 = 0xa0;
    pub(crate) const MOVE: u8 = 0xb0;
}

/// A program under construction.
#[derive(Clone, Debug, Default)]
pub(crate) struct Code {
    bytes: Vec<u8>,
    /// Offsets of map addresses, and the maps.
    maps: Vec<(usize, &'static str)>,
}

/// Registers that [`Code::with_frame`] fills: the context and the start of the frame.
pub(crate) const CONTEXT: u8 = 6;
pub(crate) const FRAME: u8 = 7;

impl Code {
    fn push(mut self, code: u8, registers: (u8, u8), offset: i16, immediate: i32) -> Self {
        self.bytes.extend([code, registers.0 | registers.1 << 4]);
        self.bytes.extend(offset.to_le_bytes());
        self.bytes.extend(immediate.to_le_bytes());
        self
    }

    /// Returns `action`.
    pub(crate) fn answer(self, action: u32) -> Self {
        self.push(0xb7, (0, 0), 0, action.cast_signed()).push(0x95, (0, 0), 0, 0)
    }

    /// Starts with a received frame of at least `length` bytes. A shorter one is aborted (`XDP_ABORTED`).
    pub(crate) fn with_frame(length: usize) -> Self {
        Self::with_bounds([0, 4], length)
    }

    /// Starts with a packet of at least `length` bytes that leaves. A shorter one gets the result 0.
    pub(crate) fn with_leaving(length: usize) -> Self {
        Self::with_bounds([76, 80], length)
    }

    /// Starts with a frame whose bounds are at these offsets in the context.
    fn with_bounds([start, end]: [i16; 2], length: usize) -> Self {
        let length = i32::try_from(length).unwrap_or(i32::MAX);
        Self::default()
            .push(0xbf, (CONTEXT, 1), 0, 0)
            .load(4, FRAME, CONTEXT, start)
            .load(4, 3, CONTEXT, end)
            .push(0xbf, (2, FRAME), 0, 0)
            .push(0x07, (2, 0), 0, length)
            .push(0xbd, (2, 3), 2, 0)
            .answer(0)
    }

    /// `to = *(from + offset)`, `size` bytes.
    pub(crate) fn load(self, size: u8, to: u8, from: u8, offset: i16) -> Self {
        self.push(0x61 | width(size), (to, from), offset, 0)
    }

    /// `*(to + offset) = from`, `size` bytes.
    pub(crate) fn store(self, size: u8, to: u8, offset: i16, from: u8) -> Self {
        self.push(0x63 | width(size), (to, from), offset, 0)
    }

    /// `to = value`.
    pub(crate) fn constant(self, to: u8, value: u64) -> Self {
        let [a, b, c, d, rest @ ..] = value.to_le_bytes();
        let [low, high] = [[a, b, c, d], rest].map(i32::from_le_bytes);
        self.push(0x18, (to, 0), 0, low).push(0, (0, 0), 0, high)
    }

    /// `to =` the map.
    fn map(mut self, to: u8, name: &'static str) -> Self {
        self.maps.push((self.bytes.len(), name));
        self.constant(to, 0)
    }

    /// Adds an arithmetic operation on the register's lower half, with a constant.
    pub(crate) fn alu32(self, operation: u8, to: u8, constant: i32) -> Self {
        self.push(0x04 | operation, (to, 0), 0, constant)
    }

    /// Adds an arithmetic operation on the lower halves of two registers.
    pub(crate) fn alu32_by(self, operation: u8, to: u8, from: u8) -> Self {
        self.push(0x0c | operation, (to, from), 0, 0)
    }

    /// Calls helper number `helper`. Register 0 gets the result, and registers 1 to 5 are clobbered.
    pub(crate) fn call(self, helper: i32) -> Self {
        self.push(0x85, (0, 0), 0, helper)
    }

    /// Ends by sending the frame out of an interface.
    pub(crate) fn send(self, interface: u32) -> Self {
        const REDIRECT: i32 = 23;
        self.constant(1, interface.into()).constant(2, 0).call(REDIRECT).push(0x95, (0, 0), 0, 0)
    }

    /// Sets `register` back to `start` when its lower half reaches `end`.
    pub(crate) fn wrap(self, register: u8, start: u32, end: u32) -> Self {
        let [start, end] = [start, end].map(u32::cast_signed);
        self.push(0xa6, (register, 0), 1, end).push(0xb4, (register, 0), 0, start)
    }

    /// Writes these bytes, an even number of them, to the start of the frame. Clobbers register 5.
    pub(crate) fn restore(self, bytes: &[u8]) -> Self {
        const VALUE: u8 = 5;
        let number = |bytes: &[u8]| bytes.iter().rev().fold(0_u64, |word, byte| word << 8 | u64::from(*byte));
        let words = bytes.chunks_exact(8);
        let rest = words.remainder().chunks(2);
        let end = i16::try_from(bytes.len() - words.remainder().len()).unwrap_or(i16::MAX);
        let code = words.zip(0..).fold(self, |code, (word, place)| {
            code.constant(VALUE, number(word)).store(8, FRAME, 8 * place, VALUE)
        });
        rest.zip(0..).fold(code, |code, (pair, place)| {
            code.constant(VALUE, number(pair)).store(2, FRAME, end + 2 * place, VALUE)
        })
    }

    /// Increases the little-endian number of two bytes at `offset` in the frame, from its greatest value in `numbers` to
    /// the least. Clobbers `free`.
    pub(crate) fn count_up(self, offset: i16, numbers: &Range<u32>, free: u8) -> Self {
        self.load(2, free, FRAME, offset)
            .alu32(operation::ADD, free, 1)
            .wrap(free, numbers.start, numbers.end)
            .store(2, FRAME, offset, free)
    }

    /// Loads the number in `map`, an array of one number that survives runs, and replaces it there by the next one below
    /// `end`, or by 0. Clobbers registers 0 to 5.
    pub(crate) fn next_number(self, to: u8, map: &'static str, end: u32) -> Self {
        const LOOK_UP: i32 = 1;
        const KEY: i16 = -4;
        self.constant(1, 0)
            .store(4, 10, KEY, 1)
            .map(1, map)
            .push(0xbf, (2, 10), 0, 0)
            .push(0x07, (2, 0), 0, KEY.into())
            .push(0x85, (0, 0), 0, LOOK_UP)
            .push(0x55, (0, 0), 2, 0)
            .answer(0)
            .load(4, to, 0, 0)
            .alu32(operation::ADD, to, 1)
            .wrap(to, 0, end)
            .store(4, 0, 0, to)
    }

    /// Passes the frame to the program in slot 0 of the map called [`NEXT`].
    pub(crate) fn hand_over(self) -> Self {
        const TAIL_CALL: i32 = 12;
        self.push(0xbf, (1, CONTEXT), 0, 0).map(2, NEXT).push(0xb7, (3, 0), 0, 0).call(TAIL_CALL).answer(0)
    }

    /// Looks up a key in `map`. The key consists of whole words at `offset` in the frame.
    pub(crate) fn look_up(mut self, map: &'static str, offset: i16, words: i16) -> Self {
        const LOOK_UP: i32 = 1;
        for word in 0..words {
            let place = -4 * words + 4 * word;
            self = self.load(4, 1, FRAME, offset + 4 * word).store(4, 10, place, 1);
        }
        self.map(1, map).push(0xbf, (2, 10), 0, 0).push(0x07, (2, 0), 0, -4 * i32::from(words)).push(
            0x85,
            (0, 0),
            0,
            LOOK_UP,
        )
    }

    /// Loads the program into the kernel, with `xdp.frags` if it passes frames to PortSentry's.
    pub(crate) fn load_as(&self, section: &str, maps: &[MapDefinition]) -> Result<Ebpf> {
        let mut ebpf = self.open(section, maps)?;
        xdp_mut(&mut ebpf, elf::PROGRAM)?.load().context("verifying one of the bench's programs")?;
        Ok(ebpf)
    }

    /// Loads the program for packets that leave into the kernel.
    pub(crate) fn load_leaving(&self, maps: &[MapDefinition]) -> Result<Ebpf> {
        let mut ebpf = self.open("classifier", maps)?;
        let program = ebpf.program_mut(elf::PROGRAM).context("a program of the bench's own")?;
        let program: &mut SchedClassifier = program.try_into()?;
        program.load().context("verifying one of the bench's programs")?;
        Ok(ebpf)
    }

    fn open(&self, section: &str, maps: &[MapDefinition]) -> Result<Ebpf> {
        let object = elf::write(&self.bytes, &self.maps, section, maps)?;
        let mut loader = EbpfLoader::new();
        for map in maps {
            if let Some(pin) = &map.pin {
                loader.map_pin_path(map.name, pin);
            }
        }
        loader.load(&object).context("loading one of the bench's programs")
    }
}

/// Name of the map with the program that gets the frames.
pub(crate) const NEXT: &str = "NEXT";

/// A program that passes frames to another after changing them.
#[derive(Debug)]
pub(crate) struct Leader(Ebpf);

impl Leader {
    /// Loads `code` with a final jump to `next`. Either both must support multi-buffer frames, or neither.
    pub(crate) fn load(code: Code, next: &Xdp, takes_buffers: bool) -> Result<Self> {
        Self::load_with(code, &[], next, takes_buffers)
    }

    /// Does the same with a program that uses these maps.
    pub(crate) fn load_with(
        code: Code,
        maps: &[MapDefinition],
        next: &Xdp,
        takes_buffers: bool,
    ) -> Result<Self> {
        let section = if takes_buffers { "xdp.frags" } else { "xdp" };
        let maps = [maps, &[MapDefinition::programs(NEXT)]].concat();
        Self::follow(code.hand_over().load_as(section, &maps)?, next.fd()?)
    }

    /// Does the same for packets that leave.
    pub(crate) fn load_leaving(code: Code, next: &SchedClassifier) -> Result<Self> {
        Self::follow(code.hand_over().load_leaving(&[MapDefinition::programs(NEXT)])?, next.fd()?)
    }

    fn follow(mut ebpf: Ebpf, next: &ProgramFd) -> Result<Self> {
        let map = ebpf.map_mut(NEXT).context("a program array")?;
        ProgramArray::try_from(map)?.set(0, next, 0).context("handing over to a program")?;
        Ok(Self(ebpf))
    }

    pub(crate) fn program(&self) -> Result<&Xdp> {
        own(&self.0)
    }

    /// Returns the program of [`Self::load_leaving`].
    pub(crate) fn leaving(&self) -> Result<&SchedClassifier> {
        own_leaving(&self.0)
    }
}

/// Returns the program of [`Code::load_leaving`].
pub(crate) fn own_leaving(ebpf: &Ebpf) -> Result<&SchedClassifier> {
    Ok(ebpf.program(elf::PROGRAM).context("a program of the bench's own")?.try_into()?)
}

/// Returns the program of [`Code::load_as`].
pub(crate) fn own(ebpf: &Ebpf) -> Result<&Xdp> {
    Ok(ebpf.program(elf::PROGRAM).context("a program of the bench's own")?.try_into()?)
}

/// Returns the program of [`Code::load_as`], mutable.
pub(crate) fn own_mut(ebpf: &mut Ebpf) -> Result<&mut Xdp> {
    xdp_mut(ebpf, elf::PROGRAM)
}

pub(crate) fn xdp_mut<'a>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut Xdp> {
    Ok(ebpf.program_mut(name).with_context(|| format!("no program {name}"))?.try_into()?)
}

/// Returns the bits of a load or store that encode its width.
const fn width(size: u8) -> u8 {
    match size {
        1 => 0x10,
        2 => 0x08,
        8 => 0x18,
        _ => 0x00,
    }
}
