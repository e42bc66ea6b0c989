//! The parsers of untrusted input, fed with random input. Each target is a function that panics if a property
//! does not hold.
//!
//! libFuzzer generates the input (`cargo xtask fuzz`). `tests/corpus.rs` replays the input that is worth
//! keeping.

mod board_file;
mod board_slot;
mod configuration;
mod connection;
mod listener;
mod opening;
mod time_span;
mod websocket;
mod worker_settings;

/// Panics if a property that holds for every input does not hold for this one.
pub type Target = fn(&[u8]);

/// The targets by name. Each has a corpus and a program in `src/bin` of the same name.
pub const TARGETS: [(&str, Target); 9] = [
    ("board_file", board_file::run),
    ("board_slot", board_slot::run),
    ("configuration", configuration::run),
    ("connection", connection::run),
    ("listener", listener::run),
    ("opening", opening::run),
    ("time_span", time_span::run),
    ("websocket", websocket::run),
    ("worker_settings", worker_settings::run),
];

/// Runs a target.
///
/// # Panics
/// If a property does not hold, or there is no such target.
pub fn run(target: &str, bytes: &[u8]) {
    let found = TARGETS.iter().find(|(name, _)| *name == target);
    let (_, run) = found.expect("the target is listed");
    run(bytes);
}
