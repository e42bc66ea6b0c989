//! The rollout machine, scene by scene.
//!
//! - `order`: which worker is taken, and when.
//! - `proof`: what proves that a worker has been replaced.
//! - `numbers`: a new worker that settles, but answers worse than the old ones.
//! - `failure`: what ends the way forward.
//! - `way_back`: the way back to the old release.
//! - `people`: operators who interfere.
//! - `lost`: what is lost, and what comes too late.
//! - `scene`: the rollout under test.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod failure;
mod lost;
mod numbers;
mod order;
mod people;
mod proof;
mod scene;
mod way_back;
