//! Netlink messages as bytes: headers (`struct nlmsghdr`), requests for dumps, and the errors that end them.

use std::io;

use super::attributes::{u16_at, u32_at};

/// Bytes of a message's header: length, type, flags, sequence number, sender.
const HEADER: usize = 16;
/// `NLM_F_REQUEST`, and the same with `NLM_F_DUMP` (`include/uapi/linux/netlink.h` in the kernel).
pub(super) const REQUEST: u16 = 1;
pub(super) const DUMP: u16 = 0x301;
/// `NLM_F_ACK`
pub(super) const ACK: u16 = 4;

/// A message without its header.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// Its type, such as `RTM_NEWLINK`.
    pub kind: u16,
    /// Its flags, such as `NLM_F_REPLACE`.
    pub flags: u16,
    /// The bytes after the header.
    pub body: &'a [u8],
}

/// Returns a request with these flags.
pub(super) fn request((kind, flags): (u16, u16), sequence: u32, body: &[u8]) -> io::Result<Vec<u8>> {
    let length = u32::try_from(HEADER + body.len()).map_err(io::Error::other)?;
    let mut request = length.to_ne_bytes().to_vec();
    request.extend(kind.to_ne_bytes());
    request.extend(flags.to_ne_bytes());
    request.extend(sequence.to_ne_bytes());
    request.extend([0; 4]);
    request.extend(body);
    Ok(request)
}

/// Returns the messages in `bytes` with their sequence numbers, up to the first with an impossible length.
pub(super) fn messages(mut bytes: &[u8]) -> impl Iterator<Item = (u32, Message<'_>)> {
    std::iter::from_fn(move || {
        let length = usize::try_from(u32_at(bytes, 0)?).ok()?;
        let (kind, flags) = (u16_at(bytes, 4)?, u16_at(bytes, 6)?);
        let sequence = u32_at(bytes, 8)?;
        let body = bytes.get(HEADER..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((sequence, Message { kind, flags, body }))
    })
}

/// Returns the error in the body of an `NLMSG_DONE` or `NLMSG_ERROR`: a negative error number, or 0 for none.
pub(super) fn outcome(body: &[u8]) -> io::Result<()> {
    match u32_at(body, 0).map(u32::cast_signed) {
        Some(number) if number < 0 => Err(io::Error::from_raw_os_error(number.wrapping_neg())),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use nix::libc;

    use super::*;

    #[test]
    fn messages_are_read_one_after_the_other() {
        let message = |kind: u16, body: &[u8]| {
            let mut bytes = request((kind, DUMP), 7, body).unwrap();
            bytes.resize(bytes.len().next_multiple_of(4), 0);
            bytes
        };
        let bytes = [message(16, b"one"), message(17, b"three")].concat();
        let read: Vec<_> = messages(&bytes).map(|(number, it)| (number, it.kind, it.body)).collect();
        assert_eq!(read, [(7, 16, &b"one"[..]), (7, 17, b"three")]);
        assert_eq!(messages(bytes.get(..30).unwrap()).count(), 1, "a message that is cut off is none");
        assert_eq!(messages(&[0; 64]).count(), 0, "a length of zero ends it");
    }

    #[test]
    fn a_request_asks_for_a_dump() {
        let bytes = request((20, DUMP), 3, &[1, 2, 3, 4]).unwrap();
        assert_eq!(bytes.len(), 20);
        let flags = u16::try_from(libc::NLM_F_REQUEST | libc::NLM_F_DUMP).unwrap();
        let [(3, Message { kind: 20, flags: found, body: [1, 2, 3, 4] })] =
            messages(&bytes).collect::<Vec<_>>()[..]
        else {
            panic!("{bytes:?}");
        };
        assert_eq!(found, flags);
    }

    #[test]
    fn a_message_says_why_a_dump_ended() {
        assert!(outcome(&0_i32.to_ne_bytes()).is_ok() && outcome(&[]).is_ok());
        let error = outcome(&(-libc::EPERM).to_ne_bytes()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
    }
}
