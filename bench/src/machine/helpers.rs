//! The helpers that the measured paths call, implemented on maps in memory.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use aya_obj::Map;

use super::{
    memory::Memory,
    program::{Program, handle, value_address},
};

/// Kinds of maps (`enum bpf_map_type`).
const ARRAY: u32 = 2;
const PER_CPU_ARRAY: u32 = 6;

/// Length of the kernel's `struct bpf_sock`, and offsets of its fields.
const SOCKET: usize = 80;
const SOCKET_PORT: usize = 44;
const SOCKET_STATE: usize = 72;
/// `TCP_LISTEN`.
const LISTEN: u8 = 10;

/// Maps, sockets and a clock.
#[derive(Debug, Default)]
pub struct Environment {
    pub(super) memory: Memory,
    entries: BTreeMap<(usize, Vec<u8>), u64>,
    sockets: Vec<Vec<u8>>,
}

impl Environment {
    /// Creates the maps of `program`. Only arrays and data sections have entries.
    pub fn new(program: &Program) -> Self {
        let mut env = Self::default();
        for (number, (_, map)) in (0..).zip(&program.maps) {
            let bytes = match map.map_type() {
                ARRAY if !map.data().is_empty() => map.data().to_vec(),
                ARRAY => vec![0; map.value_size() as usize * map.max_entries() as usize],
                PER_CPU_ARRAY => vec![0; map.value_size() as usize],
                _ => Vec::new(),
            };
            let address = env.memory.add(bytes);
            debug_assert_eq!(address, value_address(number));
        }
        env
    }

    /// Enters a value in the map called `name`.
    pub fn enter(&mut self, program: &Program, name: &str, key: &[u8], value: &[u8]) -> Result<()> {
        let number = program.maps.iter().position(|(other, _)| other == name);
        let number = number.with_context(|| format!("no map {name}"))?;
        let address = self.find(number, &program.maps[number].1, key).unwrap_or_else(|| {
            let address = self.memory.add(vec![0; value.len()]);
            self.entries.insert((number, key.to_vec()), address);
            address
        });
        self.memory.bytes_mut(address, value.len())?.copy_from_slice(value);
        Ok(())
    }

    /// Sets bits of a word in the data section called `name`, `offset` bytes from its start.
    pub fn set_bits(&mut self, program: &Program, name: &str, offset: usize, bits: u32) -> Result<()> {
        let number = program.maps.iter().position(|(other, _)| other == name);
        let number = number.with_context(|| format!("no section {name}"))?;
        let address = value_address(u32::try_from(number)?) + offset as u64;
        let word = self.memory.load(address, size_of::<u32>())?;
        self.memory.store(address, size_of::<u32>(), word | u64::from(bits))
    }

    /// Opens a listening TCP or bound UDP socket at an address and port in network byte order.
    pub fn listen(&mut self, end: Vec<u8>) {
        self.sockets.push(end);
    }

    /// Executes the helper. Returns the name under which it is counted.
    pub(super) fn help(
        &mut self,
        program: &Program,
        number: i32,
        arguments: [u64; 5],
    ) -> Result<(String, u64)> {
        let [first, second, third, ..] = arguments;
        Ok(match number {
            1 => {
                let index = usize::try_from(first - handle(0))?;
                let (name, map) = program.maps.get(index).context("no such map")?;
                let key = self.memory.bytes(second, map.key_size() as usize)?.to_vec();
                (format!("look-up in {name}"), self.find(index, map, &key).unwrap_or(0))
            }
            2 => {
                let index = usize::try_from(first - handle(0))?;
                let (name, map) = program.maps.get(index).context("no such map")?;
                let name = name.clone();
                let key = self.memory.bytes(second, map.key_size() as usize)?.to_vec();
                let value = self.memory.bytes(third, map.value_size() as usize)?.to_vec();
                self.enter(program, &name, &key, &value)?;
                (format!("entry in {name}"), 0)
            }
            3 => {
                let index = usize::try_from(first - handle(0))?;
                let (name, map) = program.maps.get(index).context("no such map")?;
                let key = self.memory.bytes(second, map.key_size() as usize)?.to_vec();
                self.entries.remove(&(index, key));
                (format!("removal from {name}"), 0)
            }
            7 => ("random number".into(), 4),
            85 | 99 => ("socket look-up".into(), self.socket(second, usize::try_from(third)?)?),
            86 => ("socket release".into(), 0),
            // The verifier inlines it as a load.
            118 => ("jiffies".into(), 1000),
            188 => ("length".into(), self.memory.frame_length()),
            _ => bail!("no helper {number}"),
        })
    }

    /// Returns the address of a map's value.
    fn find(&self, number: usize, map: &Map, key: &[u8]) -> Option<u64> {
        let base = value_address(u32::try_from(number).ok()?);
        match map.map_type() {
            ARRAY | PER_CPU_ARRAY => {
                let index = u32::from_le_bytes(key.try_into().ok()?);
                (index < map.max_entries()).then(|| base + u64::from(index) * u64::from(map.value_size()))
            }
            // Tries hold only single addresses here.
            _ => self.entries.get(&(number, key.to_vec())).copied(),
        }
    }

    /// Returns the address of the socket at the tuple's destination, if one is open.
    fn socket(&mut self, tuple: u64, length: usize) -> Result<u64> {
        let tuple = self.memory.bytes(tuple, length)?;
        let address = (length - 4) / 2;
        let end = [&tuple[address..2 * address], &tuple[length - 2..]].concat();
        if !self.sockets.contains(&end) {
            return Ok(0);
        }
        let mut socket = vec![0; SOCKET];
        socket[SOCKET_PORT..][..2].copy_from_slice(&[tuple[length - 1], tuple[length - 2]]);
        socket[SOCKET_STATE] = LISTEN;
        Ok(self.memory.add(socket))
    }
}
