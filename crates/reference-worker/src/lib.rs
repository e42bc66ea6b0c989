//! What the reference worker is told from outside, apart from the program: `tests/fuzz` tells it all kinds of things.

pub mod faults;
pub mod settings;
