//! A frame as `BPF_PROG_TEST_RUN` hands it to the program. It must not interpret it.

use bytemuck::AnyBitPattern;
use portsentry_common::frame::Frame;

/// What of a frame lies in its first buffer: a page of 4 KiB less the headroom and the kernel's own record at its
/// end (`bpf_prog_test_run_xdp` of the kernel's `net/bpf/test_run.c`). The rest can only be counted.
pub const FIRST_BUFFER: usize = 4096 - 256 - 320;

/// A frame in a first buffer, and in further ones if it is longer.
#[derive(Clone, Copy, Debug)]
pub struct Received<'a>(pub &'a [u8]);

impl Frame for Received<'_> {
    fn read<T: AnyBitPattern>(&self, offset: usize) -> Option<T> {
        self.0[..self.0.len().min(FIRST_BUFFER)].read(offset)
    }

    fn reaches(&self, length: usize) -> bool {
        length <= self.0.len().min(FIRST_BUFFER)
    }

    fn holds(&self, length: usize) -> bool {
        self.0.holds(length)
    }

    fn length(&self) -> usize {
        self.0.len()
    }
}
