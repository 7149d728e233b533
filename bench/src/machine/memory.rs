//! Memory in segments. Addresses have 32 bits, because the context's fields for them have that size.

use std::collections::BTreeMap;

use anyhow::{Context, Result};

/// Distance between two segments, and maximum length of a segment.
const DISTANCE: u64 = 1 << 24;
/// Stack space for nested calls.
const STACKS: usize = 8 * 512;
/// The words of the kernel's `struct xdp_md`, and of `struct __sk_buff` up to its last field that is read here.
const RECEIVED: usize = 6;
const LEAVING: usize = 21;

/// The segments by their start addresses.
#[derive(Debug, Default)]
pub(super) struct Memory {
    segments: BTreeMap<u64, Vec<u8>>,
    /// Where the context, the packet and the stack are.
    current: Option<[u64; 3]>,
}

impl Memory {
    /// Adds a segment with `bytes`, and returns its address.
    pub(super) fn add(&mut self, bytes: Vec<u8>) -> u64 {
        let start = self.segments.last_key_value().map_or(DISTANCE, |(start, _)| start + DISTANCE);
        self.segments.insert(start, bytes);
        start
    }

    /// Stores a received frame and its context. Returns the addresses of context and stack.
    pub(super) fn receive(&mut self, frame: &[u8]) -> (u64, u64) {
        self.store_frame(frame, |packet, end| {
            let fields: [u64; RECEIVED] = [packet, end, packet, 1, 0, 0];
            fields.to_vec()
        })
    }

    /// Stores a frame that leaves, from another host if it is forwarded, and its context. Returns the addresses of
    /// context and stack.
    pub(super) fn leave(&mut self, frame: &[u8], is_forwarded: bool) -> (u64, u64) {
        /// The fields' positions in `struct __sk_buff`.
        const PROTOCOL: usize = 4;
        const INGRESS: usize = 9;
        const DATA: usize = 19;
        self.store_frame(frame, |packet, end| {
            let mut fields = vec![0; LEAVING];
            fields[0] = end - packet;
            fields[PROTOCOL] = u64::from(u16::from_le_bytes([frame[12], frame[13]]));
            fields[INGRESS] = is_forwarded.into();
            fields[DATA..].copy_from_slice(&[packet, end]);
            fields
        })
    }

    /// Stores `frame` and the fields of its context, given its start and end, and clears the stack.
    #[expect(clippy::cast_possible_truncation, reason = "no address here has more than 32 bits")]
    fn store_frame(&mut self, frame: &[u8], fields: impl FnOnce(u64, u64) -> Vec<u64>) -> (u64, u64) {
        let current = self.current;
        let [context, packet, stack] =
            current.unwrap_or_else(|| std::array::from_fn(|_| self.add(Vec::new())));
        self.current = Some([context, packet, stack]);
        let fields = fields(packet, packet + frame.len() as u64);
        let fields = fields.into_iter().flat_map(|field| (field as u32).to_le_bytes()).collect();
        self.segments.insert(context, fields);
        self.segments.insert(packet, frame.to_vec());
        self.segments.insert(stack, vec![0; STACKS]);
        (context, stack)
    }

    /// Returns the length of the frame, in bytes.
    pub(super) fn frame_length(&self) -> u64 {
        let packet = self.current.and_then(|[_, packet, _]| self.segments.get(&packet));
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
