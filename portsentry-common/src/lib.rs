#![no_std]
//! The vocabulary and the pure rules that the kernel program, the daemon and the tests share.
