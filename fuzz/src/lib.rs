//! The fuzz targets: for each, the properties that must hold for any input, and a few seeds.

#![allow(clippy::missing_panics_doc, reason = "a check panics if what it states does not hold")]

mod target;

pub use target::{TARGETS, Target};
