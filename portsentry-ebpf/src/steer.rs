//! The second program: hands connections and datagrams for a trap to the daemon's sockets (`sk_lookup`, Linux 5.9).

use aya_ebpf::{EbpfContext, bindings::bpf_sk_lookup, macros::sk_lookup, programs::SkLookupContext};
use portsentry_common::{
    address::{Address, Ipv4, Ipv6},
    parse::{TCP, UDP},
    state::SteerKey,
};

use crate::maps::{STEERED, TRAPS};

/// `AF_INET` and `AF_INET6` (`include/linux/socket.h` in the kernel).
const INET: u32 = 2;
const INET6: u32 = 10;
/// `SK_PASS`.
const GO_ON: u32 = 1;

/// Runs for each segment that no connection accepts, and for every datagram.
#[sk_lookup]
pub fn portsentry_steer(context: SkLookupContext) -> u32 {
    // A packet that is not steered continues as if this program did not exist.
    let _ = steer(&context);
    GO_ON
}

#[inline(always)]
fn steer(context: &SkLookupContext) -> Option<()> {
    let lookup = context.as_ptr().cast::<bpf_sk_lookup>();
    // Reads all fields first and at once, whatever the family. The verifier requires each read at a fixed offset, and
    // the optimiser would merge two of them.
    // SAFETY: fields of the context that the kernel handed to the program.
    let (family, protocol, source_port, port, v4, v6) = unsafe {
        let v6 = (&raw const (*lookup).remote_ip6).cast::<u32>();
        (
            (&raw const (*lookup).family).read_volatile(),
            (&raw const (*lookup).protocol).read_volatile() as u8,
            u16::from_be((&raw const (*lookup).remote_port).read_volatile()),
            (&raw const (*lookup).local_port).read_volatile() as u16,
            (&raw const (*lookup).remote_ip4).read_volatile(),
            [
                v6.read_volatile(),
                v6.add(1).read_volatile(),
                v6.add(2).read_volatile(),
                v6.add(3).read_volatile(),
            ],
        )
    };
    let (source, index) = match family {
        INET => (Ipv4::from_word(v4).to_mapped(), 0),
        INET6 => (bytemuck::cast::<[u32; 4], Ipv6>(v6), 1),
        _ => return None,
    };
    let index = match protocol {
        TCP => index,
        UDP => index + 2,
        _ => return None,
    };
    let key = SteerKey::new(source, source_port, port, protocol);
    STEERED.get_ptr_mut(key)?;
    // Without a socket in that slot, the daemon is gone and the port is closed as before.
    TRAPS.redirect_sk_lookup(context, index, 0).ok()
}
