//! The rollout machine, scene by scene.
//!
//! - `order`: who is taken, and when.
//! - `proof`: what proves that a worker has come through.
//! - `numbers`: one that comes through and answers worse than the old ones.
//! - `failure`: what ends the way forward.
//! - `way_back`: the way back to the old release.
//! - `people`: they interfere.
//! - `lost`: what is lost, and what comes too late.
//! - `scene`: the stage.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod failure;
mod lost;
mod numbers;
mod order;
mod people;
mod proof;
mod scene;
mod way_back;
