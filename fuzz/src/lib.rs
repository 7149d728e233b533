//! What is fuzzed: for each target what must hold for any bytes, and a few inputs to begin with.

#![allow(clippy::missing_panics_doc, reason = "a check panics if what it states does not hold")]

mod target;

pub use target::{TARGETS, Target};
