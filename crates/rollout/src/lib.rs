//! What happens next to a cluster's workers: decisions only.
//!
//! Events come in, actions go out. There is no clock, no bus and no disk in this crate and it depends on
//! nothing, so that a test can put any order of events in front of it. The orchestrator's driver turns the
//! world into [`Event`]s and [`Action`]s into the world, and decides nothing itself.
//!
//! - [`mod@unit`]: systemd's words for a unit, parsed once.
//! - [`plan`]: which workers a rollout replaces and in which order.
//! - [`machine`]: one rollout, step by step, with its state diagram.
//! - [`keep`]: what to start and stop while nothing is rolled, and how long to wait before a next try.

pub mod keep;
pub mod machine;
pub mod plan;
pub mod unit;

pub use machine::{Action, Event, Fault, Outcome, Policy, Rollout, Step, StepState};
pub use unit::{ActiveState, Instance, InvocationId, JobResult, Unit};
