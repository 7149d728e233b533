//! A connection of an honest client, over which data moves both ways.

use std::{
    io::{Read, Write},
    net::{IpAddr, SocketAddr, TcpListener, TcpStream},
    thread,
    time::Duration,
};

use super::namespace::Namespace;

/// Bytes each way per round: many packets, which the kernel merges into large ones.
const TURN: usize = 1 << 20;
const PATIENCE: Duration = Duration::from_secs(30);

/// Both ends of the connection.
#[derive(Debug)]
pub struct Talk([TcpStream; 2]);

impl Talk {
    /// Connects a client at `source` to a new service of `host` at `at`.
    ///
    /// # Panics
    ///
    /// If the connection isn't accepted.
    pub fn begin(host: &Namespace, at: SocketAddr, client: &Namespace, source: IpAddr) -> Self {
        Self::between(host, at, client, (source, at))
    }

    /// Connects a client to a new service of `host` at `at`. The client has the first address of `way`, and uses the second,
    /// which a gateway may translate.
    ///
    /// # Panics
    ///
    /// If the connection isn't accepted.
    pub fn between(host: &Namespace, at: SocketAddr, client: &Namespace, way: (IpAddr, SocketAddr)) -> Self {
        let listener = host.enter(|| TcpListener::bind(at)).expect("a listener");
        let near = client.connect_from(way.0, way.1, PATIENCE).expect("a connection of an honest client");
        let (far, _) = listener.accept().expect("it is accepted");
        for end in [&near, &far] {
            end.set_read_timeout(Some(PATIENCE)).expect("a limit");
            end.set_write_timeout(Some(PATIENCE)).expect("a limit");
        }
        Self([near, far])
    }

    /// Sends data each way.
    ///
    /// # Panics
    ///
    /// Unless all of it arrives unchanged.
    pub fn go_on(&self) {
        let [near, far] = &self.0;
        let sent: Vec<u8> = (0..TURN).map(|number| number.to_le_bytes()[0]).collect();
        for (mut from, mut to) in [(near, far), (far, near)] {
            thread::scope(|scope| {
                let mut received = vec![0; TURN];
                scope.spawn(|| from.write_all(&sent).expect("bytes are sent"));
                to.read_exact(&mut received).unwrap_or_else(|error| panic!("the talk breaks off: {error}"));
                assert!(received == sent, "bytes were changed");
            });
        }
    }
}
