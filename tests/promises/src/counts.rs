//! How often a promise is put to the test.

use std::env;

use crate::artifacts;

/// The first value for short rounds, the second for full ones (`APP_CLUSTER_COUNTS`).
///
/// # Panics
/// When nobody says which.
#[must_use]
pub fn ci_or_full<T>(ci: T, full: T) -> T {
    match artifacts::variable("APP_CLUSTER_COUNTS").to_str() {
        Some("ci") => ci,
        Some("full") => full,
        other => panic!("APP_CLUSTER_COUNTS is {other:?}, expected ci or full"),
    }
}

/// The number that this variable of the environment holds; the other one when nobody sets it.
///
/// # Panics
/// When it holds something else.
#[must_use]
pub fn number_or(variable: &str, otherwise: u64) -> u64 {
    let Ok(text) = env::var(variable) else { return otherwise };
    text.parse().unwrap_or_else(|error| panic!("{variable} is {text:?}: {error}"))
}
