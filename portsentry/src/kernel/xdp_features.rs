//! Which network devices run XDP programs in their driver, as the kernel lists them (`netdev` of generic netlink, Linux 6.3;
//! `Documentation/netlink/specs/netdev.yaml` in the kernel).

use std::{io, time::Duration};

use crate::netlink::{Protocol, Socket, attribute, u16_at, written};

const PATIENCE: Duration = Duration::from_secs(5);
/// Type of the messages that look families up, with its command and attributes (`include/uapi/linux/genetlink.h`).
const CONTROL: u16 = 0x10;
const GET_FAMILY: u8 = 3;
const FAMILY_ID: u16 = 1;
const FAMILY_NAME: u16 = 2;
/// Command and attributes of `netdev` (`include/uapi/linux/netdev.h`).
const GET_DEVICE: u8 = 1;
const INDEX: u16 = 1;
const FEATURES: u16 = 3;
/// `NETDEV_XDP_ACT_BASIC`: the driver runs programs that abort, drop, pass and send back.
const BASIC: u64 = 1;
/// Length of a message's header before its attributes.
const HEADER: usize = 4;

/// Whether the driver of the device with this index runs XDP programs. Drivers that don't come with the kernel may deny it although
/// they do. Returns `None` if the kernel is too old to know, or the device is gone.
pub(super) fn runs_programs(index: u32) -> Option<bool> {
    ask(index).ok().flatten().map(|features| features & BASIC != 0)
}

fn ask(index: u32) -> io::Result<Option<u64>> {
    let mut socket = Socket::open(Protocol::NetlinkGeneric, Some(PATIENCE))?;
    let mut value = |kind: u16, request: &[u8], wanted: u16| -> io::Result<Option<Vec<u8>>> {
        let answer = socket.ask((kind, request))?;
        Ok(answer.and_then(|body| attribute(body.get(HEADER..)?, wanted).map(<[u8]>::to_vec)))
    };
    let family = value(CONTROL, &request(GET_FAMILY, &written(FAMILY_NAME, b"netdev\0")), FAMILY_ID)?;
    let Some(family) = family.and_then(|id| u16_at(&id, 0)) else { return Ok(None) };
    let features = value(family, &request(GET_DEVICE, &written(INDEX, &index.to_ne_bytes())), FEATURES)?;
    Ok(features.and_then(|bytes| bytes.try_into().ok()).map(u64::from_ne_bytes))
}

/// Returns a request's body: command, version 1, two reserved bytes, and the attribute.
fn request(command: u8, attribute: &[u8]) -> Vec<u8> {
    [&[command, 1, 0, 0], attribute].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_runs_no_programs_and_a_missing_device_is_not_known() {
        // Linux 6.1 doesn't know.
        assert_ne!(runs_programs(1), Some(true));
        assert_eq!(runs_programs(i32::MAX.unsigned_abs()), None);
    }
}
