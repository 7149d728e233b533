//! A kernel program that sends frames out of an interface.

use anyhow::{Context, Result};
use aya::{
    Ebpf,
    programs::{TestRun, TestRunAttrs, TestRunOptions},
};
use nix::net::if_::if_nametoindex;
use portsentry_tests::lab::{INTERFACE, Namespace};

use crate::{
    bytecode::{
        Code, FRAME,
        operation::{ADD, AND, MOVE, REMAINDER, SHIFT_RIGHT, XOR},
        own,
    },
    sources::{Family, mixing},
};

const BATCH: u32 = 64;

/// Offsets of the IP header's checksum and of the IP header in an untagged IPv4 frame.
const PLACE: i16 = 24;
const CHECKSUM: usize = PLACE as usize;
const HEADER: std::ops::Range<usize> = 14..34;

/// The loaded program, and its namespace.
pub(crate) struct Sender<'a> {
    ebpf: Ebpf,
    frame: Vec<u8>,
    namespace: &'a Namespace,
}

impl<'a> Sender<'a> {
    /// Prepares to send `frame`, untagged IPv4. With `sources`, each frame gets one of that many sources.
    pub(crate) fn new(namespace: &'a Namespace, frame: Vec<u8>, sources: Option<u32>) -> Result<Self> {
        let interface = namespace.enter(|| if_nametoindex(INTERFACE))?;
        let code = sources.map_or_else(Code::default, |sources| from_anywhere(&frame, sources.max(1)));
        Ok(Self { ebpf: code.send(interface).load_as("xdp", &[])?, frame, namespace })
    }

    /// Prepares to send `frame` through a gateway, which changes it. The kernel reuses frames, so each is restored.
    pub(crate) fn restoring(namespace: &'a Namespace, frame: Vec<u8>) -> Result<Self> {
        let interface = namespace.enter(|| if_nametoindex(INTERFACE))?;
        let code = Code::with_frame(frame.len()).restore(&frame);
        Ok(Self { ebpf: code.send(interface).load_as("xdp", &[])?, frame, namespace })
    }

    /// Sends `frames` frames. Returns the time in seconds, as measured by the kernel.
    pub(crate) fn send(&self, frames: u32) -> Result<f64> {
        let program = own(&self.ebpf)?;
        let sent = self.namespace.enter(|| {
            program.test_run(TestRunOptions {
                data_in: Some(&self.frame),
                repeat: frames,
                attrs: TestRunAttrs::new().xdp_live_frames(BATCH),
                ..TestRunOptions::new()
            })
        });
        let each = sent.context("BPF_F_TEST_XDP_LIVE_FRAMES")?.duration;
        Ok(each.as_secs_f64() * f64::from(frames))
    }
}

/// Gives each frame one of the first `sources` sources, and a matching header checksum.
fn from_anywhere(frame: &[u8], sources: u32) -> Code {
    const RANDOM: i32 = 7;
    const SOURCE: u8 = 0;
    const SUM: u8 = 4;
    const PART: u8 = 5;
    let fold = |code: Code| {
        code.alu32_by(MOVE, PART, SUM)
            .alu32(SHIFT_RIGHT, PART, 16)
            .alu32(AND, SUM, 0xffff)
            .alu32_by(ADD, SUM, PART)
    };
    let code = Code::with_frame(HEADER.end).call(RANDOM).alu32(REMAINDER, SOURCE, sources.cast_signed());
    let code = mixing(code, SOURCE, PART)
        .store(4, FRAME, Family::V4.place(), SOURCE)
        .alu32_by(MOVE, SUM, SOURCE)
        .alu32(SHIFT_RIGHT, SUM, 16)
        .alu32(AND, SOURCE, 0xffff)
        .alu32_by(ADD, SUM, SOURCE)
        .alu32(ADD, SUM, sum_of_the_rest(frame).cast_signed());
    fold(fold(code)).alu32(XOR, SUM, 0xffff).store(2, FRAME, PLACE, SUM)
}

/// Returns the Internet checksum's sum (RFC 1071, little-endian) of the header without its source and the checksum.
fn sum_of_the_rest(frame: &[u8]) -> u32 {
    let skipped = [CHECKSUM, CHECKSUM + 2, CHECKSUM + 4];
    let halves = HEADER.step_by(2).filter(|at| !skipped.contains(at));
    halves.map(|at| u32::from(u16::from_le_bytes([frame[at], frame[at + 1]]))).sum()
}
