//! Waiting for a condition, never for a time.

use std::{
    fmt::Display,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, anyhow};

/// How long to pause between two looks at a condition, at first and at most.
const PAUSES: [Duration; 2] = [Duration::from_millis(10), Duration::from_millis(100)];

/// Waits until `condition` is `Ok` and returns its value. `Err` describes the current state.
///
/// The deadline is a limit for bugs: choose it so long that only a bug exceeds it.
///
/// # Errors
/// If `deadline` has passed; the error names `what` and the last state.
pub fn poll<T, E: Display>(
    what: &str,
    deadline: Duration,
    mut condition: impl FnMut() -> Result<T, E>,
) -> Result<T> {
    let begun = Instant::now();
    loop {
        match condition() {
            Ok(value) => return Ok(value),
            Err(state) if begun.elapsed() >= deadline => {
                return Err(anyhow!("waited {deadline:?} for {what}; the last state was: {state}"));
            }
            Err(_) => pause(begun.elapsed()),
        }
    }
}

/// Waits until `condition` is `Ok` and returns its value; see [`poll`].
///
/// If `deadline` has passed, with the last state.
#[track_caller]
pub fn wait_for<T, E: Display>(what: &str, deadline: Duration, condition: impl FnMut() -> Result<T, E>) -> T {
    match poll(what, deadline, condition) {
        Ok(value) => value,
        Err(error) => panic!("{error}"),
    }
}

/// Each look costs the machine a process and a call or two. So the pauses grow: if a wait is long, a small
/// delay does not matter.
#[expect(clippy::disallowed_methods, reason = "the one place that polls; it has a condition and a deadline")]
fn pause(waited: Duration) {
    let [first, longest] = PAUSES;
    thread::sleep((waited / 20).clamp(first, longest));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn returns_as_soon_as_the_condition_holds() {
        let mut looks = 0;
        let value = wait_for("the third look", Duration::from_secs(60), || {
            looks += 1;
            if looks == 3 { Ok("here") } else { Err(format!("look {looks}")) }
        });
        assert_eq!((value, looks), ("here", 3));
    }

    #[test]
    fn reports_the_last_state() {
        let error = poll("a miracle", Duration::ZERO, || Err::<(), _>("nothing yet")).unwrap_err();
        assert_eq!(error.to_string(), "waited 0ns for a miracle; the last state was: nothing yet");
    }
}
