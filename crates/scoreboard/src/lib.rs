//! The board on which every worker of a cluster counts what it does, and which anybody may read.

mod histogram;

pub use histogram::Histogram;
