#![no_std]
//! The types and pure rules that the kernel program, the daemon, the tests and the fuzzers share.
//!
//! This crate doesn't allocate, perform I/O, read a clock, or use aya: the rules access the outside through the
//! [`environment::Environment`] that they are given. A packet flows through the modules in this order: [`frame`],
//! [`parse`], [`classify`], [`judge`] (which asks [`decide`]), [`event`].

#[cfg(test)]
extern crate std;

pub mod address;
pub mod answered;
pub mod block;
pub mod bound;
pub mod bucket;
pub mod challenge;
pub mod classify;
pub mod counter;
pub mod decide;
pub mod environment;
pub mod event;
pub mod failures;
pub mod fence;
pub mod flow;
pub mod frame;
pub mod gate;
pub mod judge;
pub mod learned;
pub mod local_hosts;
pub mod near_ignored;
pub mod pace;
pub mod parse;
pub mod scan;
pub mod session;
pub mod settings;
mod slice;
pub mod state;
pub mod syn;
pub mod tally;
pub mod token_bucket;
