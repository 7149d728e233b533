//! The report on a period: counts from the history, and the page and pictures of them. No I/O.

pub mod advice;
pub mod build;
pub mod escape;
pub mod page;
pub mod picture;
pub mod source;
pub mod style;
pub mod summary;
pub mod tally;
pub mod who;

#[cfg(test)]
mod tests;
