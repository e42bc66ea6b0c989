//! The settings of the reference worker, separate from the program, so that `tests/fuzz` can test them.

pub mod faults;
pub mod settings;
