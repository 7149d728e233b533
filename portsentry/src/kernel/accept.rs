//! The program that makes the kernel open connections for acknowledgements of the program's answers
//! (`bpf_sk_assign_tcp_reqsk`, Linux 6.9), and the check whether the kernel supports it.

use std::{borrow::Cow, fs};

use portsentry_common::settings::FencedSyns;

use super::btf;

/// Describes the treatment of a fenced source's SYN to this host.
#[must_use]
pub const fn describe_fence(way: FencedSyns) -> &'static str {
    match way {
        FencedSyns::Drop => "closed: SYNs of fenced sources are dropped",
        FencedSyns::Forward => "open: services answer for their ports, and PortSentry for the others",
        FencedSyns::Accept => "open: PortSentry answers for every port",
    }
}

/// The kernel's function. Unlike a helper it has no fixed number: it is called by its type's number.
const FUNCTION: &str = "bpf_sk_assign_tcp_reqsk";
/// Its call in the object file: a call of a helper with an unused number (`portsentry-ebpf/src/accept.rs`).
const CALL: [u8; 8] = [0x85, 0, 0, 0, 0x73, 0x74, 0x53, 0x70];
/// `BPF_PSEUDO_KFUNC_CALL`, in an instruction's source register.
const KERNEL_FUNCTION: u8 = 2 << 4;

/// Returns the number of the function's type among the kernel's types, the content of `/sys/kernel/btf/vmlinux`.
pub(super) fn function(types: &[u8]) -> Option<u32> {
    btf::function(types, FUNCTION)
}

/// Returns the reason why the kernel, in which the function has this number, doesn't support it, or `None` if it does.
pub(super) fn why_not(function: Option<u32>) -> Option<&'static str> {
    if function.is_none() {
        return Some("this kernel has no bpf_sk_assign_tcp_reqsk (Linux 6.9)");
    }
    let cookies = fs::read_to_string("/proc/sys/net/ipv4/tcp_syncookies").unwrap_or_default();
    (cookies.trim() == "0").then_some("net.ipv4.tcp_syncookies is 0")
}

/// Returns the object file with its placeholder calls replaced by calls of the kernel's function.
pub(super) fn patched(object: &[u8], function: Option<u32>) -> Cow<'_, [u8]> {
    let Some(number) = function else { return Cow::Borrowed(object) };
    let mut patched = object.to_vec();
    for at in calls(object).collect::<Vec<_>>() {
        patched[at + 1] = KERNEL_FUNCTION;
        patched[at + 4..at + 8].copy_from_slice(&number.to_le_bytes());
    }
    Cow::Owned(patched)
}

/// Returns the offsets of the placeholder calls. Instructions are aligned.
fn calls(object: &[u8]) -> impl Iterator<Item = usize> + '_ {
    object.chunks_exact(8).enumerate().filter(|(_, bytes)| **bytes == CALL).map(|(place, _)| place * 8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::OBJECT;

    #[test]
    fn the_object_calls_the_function() {
        assert!(calls(OBJECT).count() > 0);
        assert_eq!(calls(&patched(OBJECT, Some(7))).count(), 0);
        assert_eq!(patched(OBJECT, None), OBJECT);
    }
}
