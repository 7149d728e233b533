//! The project's own tasks, one file a verb.
fn main() {}
