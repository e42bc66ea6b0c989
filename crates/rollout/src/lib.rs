//! What happens next to a cluster's workers: decisions only.
//!
//! Events come in, actions go out. There is no clock, no bus and no disk in this crate and it depends on
//! nothing, so that a test can put any order of events in front of it. The orchestrator's driver turns the
//! world into [`Event`]s and [`Action`]s into the world, and decides nothing itself.
//!
//! - [`mod@unit`]: systemd's words for a unit, parsed once.
//! - [`plan`]: which workers a rollout replaces and in which order.
//! - [`machine`]: one rollout, step by step, with its state diagram; [`event`] is what goes in and comes out.
//! - [`numbers`]: whether a new worker answers as the old ones do.
//! - [`keep`]: what to start and stop while nothing is rolled.
//! - [`lineage`]: which release is the way back, and which may be removed.
//! - [`recycle`]: when workers that ask for it are replaced.
//! - [`backoff`]: how long to wait before a worker that keeps ending is started again.

pub mod backoff;
pub mod event;
pub mod keep;
pub mod lineage;
pub mod machine;
pub mod numbers;
pub mod plan;
pub mod recycle;
pub mod step;
pub mod unit;

pub use event::{Action, Attempt, Cause, Event, Fault, OnFailure, Outcome, Policy};
pub use machine::Rollout;
pub use step::{Step, StepState};
pub use unit::{ActiveState, Instance, InvocationId, JobResult, Unit};
