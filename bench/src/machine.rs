//! A BPF interpreter that counts instructions: it measures the length of a path through the kernel program without
//! noise.
//!
//! Integers are little-endian, as in the object.

mod helpers;
mod instruction;
mod memory;
mod program;

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail, ensure};

use self::instruction::Instruction;
pub use self::{helpers::Environment, program::Program};

/// Result of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Run {
    /// The program's return value.
    pub action: u32,
    /// Instructions executed, excluding those of helpers.
    pub instructions: u64,
    /// Helper calls, by helper and map.
    pub calls: BTreeMap<String, u64>,
}

/// The registers, and the return addresses.
struct Machine<'a> {
    program: &'a Program,
    env: &'a mut Environment,
    registers: [u64; 11],
    returns: Vec<(usize, [u64; 4], u64)>,
    run: Run,
}

/// Limit on the number of instructions, beyond the longest path.
const ENDLESS: u64 = 1_000_000;
/// Stack size of a function in bytes.
const STACK: u64 = 512;
const RETURN: usize = 0;
const CONTEXT: usize = 1;
const SAVED: std::ops::Range<usize> = 6..10;
const FRAME: usize = 10;

/// Runs `program` on a received frame.
pub fn run(program: &Program, env: &mut Environment, frame: &[u8]) -> Result<Run> {
    let places = env.memory.receive(frame);
    execute(program, env, places)
}

/// Runs `program` on a frame that leaves, from another host if it is forwarded.
pub fn leave(program: &Program, env: &mut Environment, frame: &[u8], is_forwarded: bool) -> Result<Run> {
    let places = env.memory.leave(frame, is_forwarded);
    execute(program, env, places)
}

/// Runs `program` with this context and stack.
fn execute(program: &Program, env: &mut Environment, (context, stack): (u64, u64)) -> Result<Run> {
    let mut machine = Machine { program, env, registers: [0; 11], returns: Vec::new(), run: Run::default() };
    machine.registers[CONTEXT] = context;
    machine.registers[FRAME] = stack + STACK;
    let mut at = 0;
    loop {
        let instruction = *machine.program.instructions.get(at).context("the program runs past its end")?;
        machine.run.instructions += 1;
        ensure!(machine.run.instructions < ENDLESS, "the program doesn't end");
        let next = machine.step(at, &instruction).with_context(|| format!("{instruction:?} at {at}"))?;
        let Some(next) = next else { break };
        at = next;
    }
    machine.run.action = u32::try_from(machine.registers[RETURN] & 0xffff_ffff)?;
    Ok(machine.run)
}

impl Machine<'_> {
    /// Executes one instruction. Returns `None` at the program's end.
    fn step(&mut self, at: usize, instruction: &Instruction) -> Result<Option<usize>> {
        let mut next = at + 1;
        match *instruction {
            Instruction::Alu { wide, operation, to, operand } => {
                let value = instruction::alu(operation, wide, self.registers[to], self.value(operand));
                self.registers[to] = value.with_context(|| format!("no arithmetic {operation:#x}"))?;
            }
            Instruction::Swap { to, bits } => {
                self.registers[to] = instruction::swap(self.registers[to], bits);
            }
            Instruction::Load { to, from, offset, size } => {
                let address = self.registers[from].wrapping_add_signed(offset);
                self.registers[to] = self.env.memory.load(address, size)?;
            }
            Instruction::Store { to, offset, size, operand } => {
                let address = self.registers[to].wrapping_add_signed(offset);
                self.env.memory.store(address, size, self.value(operand))?;
            }
            Instruction::Atomic { to, offset, size, operation, register } => {
                let address = self.registers[to].wrapping_add_signed(offset);
                let old = self.env.memory.load(address, size)?;
                let (new, fetches) = instruction::atomic(operation, old, self.registers[register])?;
                self.env.memory.store(address, size, new)?;
                if fetches {
                    self.registers[register] = old;
                }
            }
            Instruction::Constant { to, value } => {
                self.registers[to] = value;
                next = at + 2;
            }
            Instruction::Jump { wide, condition, left, right, by } => {
                let (left, right) = (self.registers[left], self.value(right));
                let taken = instruction::compare(condition, wide, left, right);
                if taken.with_context(|| format!("no condition {condition:#x}"))? {
                    next = next.checked_add_signed(by).context("a jump to nowhere")?;
                }
            }
            Instruction::Helper { number } => self.help(number)?,
            Instruction::Call { by } => {
                let saved = std::array::from_fn(|index| self.registers[SAVED.start + index]);
                self.returns.push((next, saved, self.registers[FRAME]));
                self.registers[FRAME] += STACK;
                next = next.checked_add_signed(by).context("a call of nothing")?;
            }
            Instruction::Exit => {
                let Some((back, saved, frame)) = self.returns.pop() else { return Ok(None) };
                self.registers[SAVED].copy_from_slice(&saved);
                self.registers[FRAME] = frame;
                next = back;
            }
            Instruction::Unknown(code) => bail!("no instruction {code:#x}"),
        }
        Ok(Some(next))
    }

    fn value(&self, operand: instruction::Operand) -> u64 {
        match operand {
            instruction::Operand::Register(register) => self.registers[register],
            instruction::Operand::Immediate(value) => value,
        }
    }

    fn help(&mut self, number: i32) -> Result<()> {
        let arguments = std::array::from_fn(|index| self.registers[CONTEXT + index]);
        let (name, value) = self.env.help(self.program, number, arguments)?;
        *self.run.calls.entry(name).or_default() += 1;
        // The verifier forbids reading these registers after a call; this detects it.
        self.registers[CONTEXT..SAVED.start].fill(0xdead_dead_dead_dead);
        self.registers[RETURN] = value;
        Ok(())
    }
}
