//! Memory in segments. Addresses have 32 bits, because the context's fields for them have that size.

use std::collections::BTreeMap;

use anyhow::{Context, Result};

/// Distance between two segments, and maximum length of a segment.
const DISTANCE: u64 = 1 << 24;
/// Stack space for nested calls.
const STACKS: usize = 8 * 512;
/// The kernel's `struct xdp_md`.
const CONTEXT: usize = 24;

/// The segments by their start addresses.
#[derive(Debug, Default)]
pub(super) struct Memory {
    segments: BTreeMap<u64, Vec<u8>>,
    received: Option<[u64; 3]>,
}

impl Memory {
    /// Adds a segment with `bytes`, and returns its address.
    pub(super) fn add(&mut self, bytes: Vec<u8>) -> u64 {
        let start = self.segments.last_key_value().map_or(DISTANCE, |(start, _)| start + DISTANCE);
        self.segments.insert(start, bytes);
        start
    }

    /// Stores `frame` and its context, and clears the stack. Returns the addresses of context and stack.
    #[expect(clippy::cast_possible_truncation, reason = "no address here has more than 32 bits")]
    pub(super) fn receive(&mut self, frame: &[u8]) -> (u64, u64) {
        let received = self.received;
        let [context, packet, stack] =
            received.unwrap_or_else(|| std::array::from_fn(|_| self.add(Vec::new())));
        self.received = Some([context, packet, stack]);
        let end = packet + frame.len() as u64;
        let fields = [packet, end, packet, 1, 0, 0].map(|field| (field as u32).to_le_bytes());
        debug_assert_eq!(fields.as_flattened().len(), CONTEXT);
        self.segments.insert(context, fields.as_flattened().to_vec());
        self.segments.insert(packet, frame.to_vec());
        self.segments.insert(stack, vec![0; STACKS]);
        (context, stack)
    }

    /// Returns the length of the frame, in bytes.
    pub(super) fn frame_length(&self) -> u64 {
        let packet = self.received.and_then(|[_, packet, _]| self.segments.get(&packet));
        packet.map_or(0, |packet| packet.len() as u64)
    }

    /// Returns the integer of `size` bytes at `address`.
    pub(super) fn load(&self, address: u64, size: usize) -> Result<u64> {
        let mut word = [0; 8];
        word[..size].copy_from_slice(self.bytes(address, size)?);
        Ok(u64::from_le_bytes(word))
    }

    /// Writes the lowest `size` bytes of `value` to `address`.
    pub(super) fn store(&mut self, address: u64, size: usize, value: u64) -> Result<()> {
        self.bytes_mut(address, size)?.copy_from_slice(&value.to_le_bytes()[..size]);
        Ok(())
    }

    /// Returns `length` bytes from `address` on.
    pub(super) fn bytes(&self, address: u64, length: usize) -> Result<&[u8]> {
        let (start, segment) = self.segments.range(..=address).next_back().context("no memory")?;
        let offset = usize::try_from(address - start)?;
        segment
            .get(offset..offset + length)
            .with_context(|| format!("fewer than {length} bytes at {address:#x}"))
    }

    /// Returns `length` bytes from `address` on, mutable.
    pub(super) fn bytes_mut(&mut self, address: u64, length: usize) -> Result<&mut [u8]> {
        let (start, segment) = self.segments.range_mut(..=address).next_back().context("no memory")?;
        let offset = usize::try_from(address - start)?;
        segment
            .get_mut(offset..offset + length)
            .with_context(|| format!("fewer than {length} bytes at {address:#x}"))
    }
}
