//! The generated traffic of the harness, of which the tests judge a sample in the kernel program.

pub mod event;
pub mod honest;
pub mod network;
pub mod scanners;
