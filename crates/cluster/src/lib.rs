//! Everything that the orchestrator decides.
//!
//! [`Cluster::handle`] takes what happened, and the time. [`Cluster::poll`] returns what is to be done, and
//! [`Cluster::next_wake`] when to wake it. This crate has no clock, no bus and no disk, and depends on
//! `names` only. So a simulator runs the very code that ships, through any order of events
//! (docs/decisions/0033).
//!
//! | module | what it decides |
//! |---|---|
//! | [`Cluster`] (`core`) | all that is not below, and when |
//! | [`machine`] | one rollout, step by step, with its state diagram |
//! | [`event`], [`plan`] | what goes into the machine and comes out of it; the order of the workers |
//! | [`accept`] | whether workers accept connections |
//! | [`numbers`] | whether a new worker answers as the old ones do |
//! | [`keep`] | what to start and stop while nothing is rolled |
//! | [`backoff`] | how long to wait before a worker that keeps ending is started again |
//! | [`recycle`] | when workers that ask for it are replaced |
//! | [`lineage`] | which release is the way back, and which may be removed |
//! | [`history`], [`ledger`] | what the next orchestrator has to know |
//!
//! [`input`] and [`effect`] are the interface. [`mod@unit`] and [`info`] hold what systemd says, parsed once; `exit` names how a process ended.
//! [`view`] is what callers see.

pub mod accept;
pub mod backoff;
pub mod breach;
mod core;
pub mod effect;
pub mod event;
mod exit;
pub mod history;
pub mod info;
pub mod input;
pub mod keep;
pub mod ledger;
pub mod lineage;
pub mod machine;
pub mod moment;
pub mod numbers;
pub mod order;
pub mod plan;
pub mod recycle;
pub mod release;
pub mod settings;
pub mod step;
pub mod unit;
pub mod view;

pub use self::core::Cluster;
pub use event::{Action, Attempt, Cause, Event, Fault, OnFailure, Outcome, Policy};
pub use machine::Rollout;
pub use step::{Step, StepState};
pub use unit::{ActiveState, Instance, InvocationId, JobResult, Unit};
