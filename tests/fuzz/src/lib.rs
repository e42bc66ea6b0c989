//! What parses the words of others, told all kinds of things: each target is a function that panics when something
//! does not hold.
//!
//! libFuzzer invents the input (`cargo xtask fuzz`), `tests/corpus.rs` replays what is worth to be kept.

mod board_file;
mod board_slot;
mod configuration;
mod connection;
mod listener;
mod opening;
mod time_span;
mod websocket;
mod worker_settings;

/// Panics when what holds for every input does not hold for this one.
pub type Target = fn(&[u8]);

/// The targets by name: each has a corpus, and a program in `src/bin`, of that name.
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
/// When what holds for every input does not, or there is no such target.
pub fn run(target: &str, bytes: &[u8]) {
    let found = TARGETS.iter().find(|(name, _)| *name == target);
    let (_, run) = found.expect("the target is listed");
    run(bytes);
}
