//! What is to be done about what the kernel saw: a pure function of state, sighting and time.
//!
//! It must not read a clock, do I/O, or know `kernel` and `sink`.

pub mod sighting;

pub use sighting::Sighting;
