//! PortSentry's filter of the `clsact` queueing discipline, on kernels without TCX.

use std::time::Duration;

use aya::programs::tc::TcHandle;
use nix::{
    libc::{EINVAL, ETH_P_ALL, RTM_GETTFILTER},
    sys::socket::SockProtocol,
};

use super::Error;
use crate::netlink::Socket;

/// Before all other filters.
pub(super) const PRIORITY: u16 = 1;
/// A handle that identifies PortSentry's filters.
pub(super) const HANDLE: TcHandle = TcHandle::new(0, 0x7073);

/// Whether the interface has the filter of outgoing packets (`struct tcmsg`, rtnetlink(7)).
pub(super) fn has_filter(index: u32) -> Result<bool, Error> {
    /// `TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_EGRESS)` (`include/uapi/linux/pkt_sched.h` in the kernel).
    const EGRESS: u32 = 0xffff_fff3;
    const PATIENCE: Duration = Duration::from_secs(1);
    let protocol = u32::from(u16::try_from(ETH_P_ALL).unwrap_or_default().to_be());
    let words = [0, index, HANDLE.into(), EGRESS, u32::from(PRIORITY) << 16 | protocol];
    let request = words.map(u32::to_ne_bytes);
    let failed = |source| Error::System { what: "looking for a filter of clsact", source };
    let mut socket = Socket::open(SockProtocol::NetlinkRoute, Some(PATIENCE)).map_err(failed)?;
    match socket.ask((RTM_GETTFILTER, request.as_flattened())) {
        // The queueing discipline is missing.
        Err(error) if error.raw_os_error() == Some(EINVAL) => Ok(false),
        answer => answer.map(|filter| filter.is_some()).map_err(failed),
    }
}
