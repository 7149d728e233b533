//! The fuzz targets, each with a few seeds and the properties that must hold for any input.

#![allow(clippy::missing_panics_doc, reason = "a check panics if its property does not hold")]

mod seeds;
mod target;

pub use target::{TARGETS, Target};
