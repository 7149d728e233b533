//! One table of the kernel's routes.

use std::{collections::BTreeSet, io, time::Duration};

use ipnet::IpNet;
use portsentry::netlink::{Protocol, Socket};

use super::message::{BLACKHOLE, DELETE, FAMILIES, GET, NEW, PROTOCOL, Route, body, in_table, read};

/// Maximum time for the kernel's answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// `NLM_F_CREATE | NLM_F_EXCL`
const CREATE: u16 = 0x600;
/// Errors of the kernel: the route exists, there is no such route.
const EXISTS: i32 = 17;
const MISSING: i32 = 3;
/// Error of the kernel: there is no such table.
const NO_TABLE: i32 = 2;

/// A table.
#[derive(Debug)]
pub struct Table {
    socket: Socket,
    number: u32,
}

impl Table {
    /// Opens the table with this number.
    pub fn open(number: u32) -> io::Result<Self> {
        let socket = Socket::open(Protocol::NetlinkRoute, Some(PATIENCE))?;
        // Before Linux 4.20 the kernel lists all tables.
        let _ = socket.check_strictly();
        Ok(Self { socket, number })
    }

    /// Returns the blackholes: this program's own, or those of others.
    pub fn blackholes(&mut self, are_own: bool) -> io::Result<BTreeSet<IpNet>> {
        let number = self.number;
        let mut found = BTreeSet::new();
        for family in FAMILIES {
            let listed = self.socket.list((GET, &in_table(family, number)), NEW, |body| {
                let wanted = read(body).filter(|route| is_in(route, number, are_own));
                found.extend(wanted.map(|route| route.network));
            });
            // The kernel creates a table with its first route.
            but_for(NO_TABLE, listed)?;
        }
        Ok(found)
    }

    /// Adds a blackhole. A route of somebody else stays as it is.
    pub fn add(&mut self, network: IpNet) -> io::Result<()> {
        but_for(EXISTS, self.socket.change((NEW, CREATE), &body(network, self.number)))
    }

    /// Removes this program's blackhole.
    pub fn remove(&mut self, network: IpNet) -> io::Result<()> {
        but_for(MISSING, self.socket.change((DELETE, 0), &body(network, self.number)))
    }
}

/// Whether a route is a blackhole in a table, of this program or of others.
pub(super) fn is_in(route: &Route, table: u32, is_own: bool) -> bool {
    route.table == table && route.kind == BLACKHOLE && (route.protocol == PROTOCOL) == is_own
}

fn but_for(number: i32, done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error) if error.raw_os_error() == Some(number) => Ok(()),
        done => done,
    }
}
