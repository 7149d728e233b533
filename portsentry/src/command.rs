//! What the command line asks for, carried out. It must not parse arguments.

mod run;

pub use run::run;
