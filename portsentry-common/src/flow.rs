//! A packet's source and destination.

use crate::classify::Probe;

/// A packet's source and destination.
#[derive(Clone, Copy, Debug)]
pub struct Flow<A> {
    /// Source address.
    pub source: A,
    /// Destination address.
    pub destination: A,
    /// The probe that the packet may be.
    pub probe: Probe,
}
