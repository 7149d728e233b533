//! Follows changes of the host, and reads only what they affect. A route by a known gateway has no effect, and
//! there may be many such routes.

use std::{
    io, mem,
    os::fd::{AsFd, BorrowedFd},
    time::{Duration, Instant},
};

use nix::libc;

use super::{
    Host, Observer,
    netlink::Socket,
    resolvers::resolvers,
    route::Routes,
    route::{RTM_DELNEXTHOP, RTM_NEWNEXTHOP},
};
use crate::netlink::Message;

/// Time for which changes are collected before they are read or reported.
const SETTLE: Duration = Duration::from_millis(100);
/// Maximum delay until a removed gateway is noticed.
const LAZY: Duration = Duration::from_secs(2);
/// Interval at which the whole state is read again, in case a change was missed.
const REFRESH: Duration = Duration::from_mins(1);
/// Reading all routes may take this fraction of the time: one part in `SHARE`.
const SHARE: u32 = 20;

/// Multicast groups for links, addresses, routes and nexthop objects (`RTNLGRP_*`).
const GROUPS: [u32; 6] = [1, 5, 7, 9, 11, 32];

/// The kernel's messages about changes since the subscription.
#[derive(Debug)]
pub struct Changes(Socket);

impl Changes {
    /// Subscribes to the kernel's messages about changes.
    pub fn subscribe() -> io::Result<Self> {
        Socket::open(GROUPS.iter().map(|group| 1 << (group - 1)).sum()).map(Self)
    }
}

impl AsFd for Changes {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Pending work, and when it is due.
#[derive(Clone, Copy, Debug)]
struct Due {
    links: Option<Instant>,
    routes: Option<Instant>,
    all: Instant,
    /// Time at which the changed host is due to be reported.
    telling: Option<Instant>,
}

/// Moves the due time `due` forward to `at`, if `due` is later.
fn advance(due: &mut Option<Instant>, at: Instant) {
    *due = Some(due.map_or(at, |due| due.min(at)));
}

/// The host's state as last read, and the changes since then.
#[derive(Debug)]
pub struct Followed {
    observer: Observer,
    host: Host,
    routes: Routes,
    due: Due,
    /// Time that it took to read all routes.
    cost: Duration,
}

impl Followed {
    /// Reads the host.
    pub fn start() -> io::Result<Self> {
        let mut observer = Observer::connect()?;
        let begin = Instant::now();
        let routes = observer.routes()?;
        let cost = begin.elapsed();
        let mut host = Host { resolvers: resolvers(), ..Host::default() };
        observer.links(&mut host)?;
        host.take_routes(routes.clone());
        let due = Due { links: None, routes: None, all: Instant::now() + REFRESH, telling: None };
        Ok(Self { observer, host, routes, due, cost })
    }

    /// Returns the host as last read.
    #[must_use]
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// Receives pending messages, up to a limit. Returns whether none is left.
    pub fn receive(&mut self, changes: &mut Changes) -> bool {
        let now = Instant::now();
        let mut added = Routes::default();
        let received = changes.0.receive(&mut |message| self.note(message, &mut added, now));
        if received.is_err() {
            // Messages were lost.
            advance(&mut self.due.links, now + SETTLE);
            self.put_off_routes(now);
        }
        if !self.routes.holds(&added) {
            self.routes.join(added.clone());
            self.host.gateways.extend(added.gateways);
            self.host.local_routes.extend(added.local);
            self.host.neighbours.extend(added.direct);
            self.host.broadcasts.extend(added.broadcasts);
            advance(&mut self.due.telling, now + SETTLE);
        }
        received.unwrap_or(false)
    }

    fn note(&mut self, message: Message<'_>, added: &mut Routes, now: Instant) {
        match message.kind {
            libc::RTM_NEWLINK | libc::RTM_DELLINK | libc::RTM_NEWADDR | libc::RTM_DELADDR => {
                advance(&mut self.due.links, now + SETTLE);
                // Routes disappear with their interface, without messages.
                self.put_off_routes(now);
            }
            libc::RTM_NEWROUTE | RTM_NEWNEXTHOP => {
                added.add(message);
                if i32::from(message.flags) & libc::NLM_F_REPLACE != 0 {
                    self.put_off_routes(now);
                }
            }
            libc::RTM_DELROUTE | RTM_DELNEXTHOP => self.put_off_routes(now),
            _ => {}
        }
    }

    /// Schedules a read of all routes, but not immediately.
    fn put_off_routes(&mut self, now: Instant) {
        let at = now + self.lazy();
        advance(&mut self.due.routes, at);
    }

    /// Returns the delay before all routes are read.
    fn lazy(&self) -> Duration {
        LAZY.max(self.cost * (SHARE - 1))
    }

    /// Reads the name servers again.
    pub fn read_resolvers(&mut self) {
        let resolvers = resolvers();
        if resolvers != self.host.resolvers {
            self.host.resolvers = resolvers;
            advance(&mut self.due.telling, Instant::now());
        }
    }

    /// Returns the time at which [`Followed::update`] must be called next.
    #[must_use]
    pub fn next(&self) -> Instant {
        let Due { links, routes, all, telling } = self.due;
        [links, routes, telling].into_iter().flatten().fold(all, Instant::min)
    }

    /// Does the work that is due. Returns whether the host has changed since it was last reported. A failed read is
    /// repeated later.
    pub fn update(&mut self) -> bool {
        let now = Instant::now();
        let is_due = |due: Option<Instant>| due.is_some_and(|due| due <= now);
        let (links, routes) = (is_due(self.due.links), is_due(self.due.routes));
        if self.due.all <= now {
            self.due.all = now + REFRESH;
            self.due.links = Some(now);
            self.put_off_routes(now);
            self.read_resolvers();
        }
        if links || routes {
            self.read(routes);
        }
        let is_news = is_due(self.due.telling);
        if is_news {
            self.due.telling = None;
        }
        is_news
    }

    /// Reports the host again, because the last report was not received.
    pub fn tell_again(&mut self) {
        advance(&mut self.due.telling, Instant::now() + LAZY);
    }

    fn read(&mut self, with_routes: bool) {
        let now = Instant::now();
        let mut host = Host { resolvers: mem::take(&mut self.host.resolvers), ..Host::default() };
        self.due.links = None;
        if with_routes {
            self.due.routes = None;
            match self.observer.routes() {
                Ok(routes) => self.routes = routes,
                Err(_) => self.due.routes = Some(now + self.lazy()),
            }
            self.cost = now.elapsed();
        }
        if self.observer.links(&mut host).is_err() {
            self.host.resolvers = host.resolvers;
            self.due.links = Some(now + LAZY);
            return;
        }
        host.take_routes(self.routes.clone());
        let resolvers = host.resolvers.clone();
        let before = mem::replace(&mut self.host, host);
        if (Host { resolvers, ..before }) != self.host {
            advance(&mut self.due.telling, now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn followed() -> Followed {
        Followed::start().unwrap()
    }

    #[test]
    fn what_is_known_calls_for_nothing() {
        let mut followed = followed();
        let quiet = followed.next();
        let mut added = Routes::default();
        followed.note(
            Message { kind: libc::RTM_NEWROUTE, flags: 0, body: &[0; 12] },
            &mut added,
            Instant::now(),
        );
        assert_eq!(followed.next(), quiet);
        assert!(followed.routes.holds(&added) && !followed.update());
    }

    #[test]
    fn links_are_read_soon_and_routes_later() {
        let mut followed = followed();
        let now = Instant::now();
        followed.note(Message { kind: libc::RTM_NEWADDR, flags: 0, body: &[] }, &mut Routes::default(), now);
        assert_eq!(followed.due.links, Some(now + SETTLE));
        assert!(followed.due.routes >= Some(now + LAZY));
        followed.cost = Duration::from_secs(3);
        followed.due.routes = None;
        followed.note(Message { kind: libc::RTM_DELROUTE, flags: 0, body: &[] }, &mut Routes::default(), now);
        assert_eq!(followed.due.routes, Some(now + Duration::from_secs(57)), "a twentieth of the time");
        assert_eq!(followed.next(), now + SETTLE);
    }
}
