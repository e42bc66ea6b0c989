//! The board as a worker and its readers see it.
//!
//! No test here may start a process. Until such a child executes its program, it has a copy of every open
//! descriptor. It would hold a slot that another test has just released.

mod claims;
#[path = "../common/mod.rs"]
mod common;
mod counting;
mod damage;
mod layout;
mod seats;

use common::{claim, instance, place, read};
