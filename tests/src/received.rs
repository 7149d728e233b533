//! A frame as the program receives it in `BPF_PROG_TEST_RUN`.

use portsentry::kernel::Received;

/// Size of the first buffer: a page of 4 KiB minus headroom and the kernel's record at its end
/// (`bpf_prog_test_run_xdp` in the kernel's `net/bpf/test_run.c`). Later bytes can only be counted.
pub const FIRST_BUFFER: usize = 4096 - 256 - 320;

/// Returns the received frame. A `BARE` one begins with its IP header.
#[must_use]
pub fn received<const BARE: bool>(frame: &[u8]) -> Received<'_, BARE> {
    Received::in_buffers(frame, FIRST_BUFFER)
}
