//! The board as its users see it: a worker, and readers.
//!
//! No test here may start a process: until such a child executes its program it has what this one had open, and a slot
//! that another test has given up meanwhile stays taken.

mod claims;
#[path = "../common/mod.rs"]
mod common;
mod counting;
mod damage;
mod layout;
mod seats;

use common::{claim, instance, place, read};
