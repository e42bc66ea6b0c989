//! The slot of this worker on the cluster's scoreboard.

use std::env;
use std::path::Path;

use scoreboard::{Board, DEFAULT_PATH, Instance, Slot};

/// Names the instance of this worker: `Environment=APP_CLUSTER_INSTANCE=%i` in the unit.
const INSTANCE: &str = "APP_CLUSTER_INSTANCE";
/// Names the path of the scoreboard, for workers outside of units.
const BOARD: &str = "APP_CLUSTER_SCOREBOARD";

/// Claims the slot of this instance. Without an instance number or a board, a worker counts in private memory
/// and takes connections as they come.
pub(crate) fn claim() -> Slot {
    let program = env::current_exe().unwrap_or_default();
    let release = release(&program);
    let Ok(number) = env::var(INSTANCE) else { return Slot::private(Instance::FIRST, release) };
    let Some(instance) = number.parse().ok().and_then(Instance::new) else {
        tracing::warn!(
            "{INSTANCE}={number} is not a number from 1 to {}: this worker counts in private memory, and its share \
             of the connections may be uneven",
            Instance::MAX
        );
        return Slot::private(Instance::FIRST, release);
    };
    let path = env::var_os(BOARD).unwrap_or_else(|| DEFAULT_PATH.into());
    match Board::open(path).and_then(|board| board.claim(instance, release)) {
        Ok(slot) => slot,
        Err(error) => {
            let error: &dyn std::error::Error = &error;
            tracing::warn!(
                error,
                "this worker counts in private memory, and its share of the connections may be uneven"
            );
            Slot::private(instance, release)
        }
    }
}

/// The release that a program belongs to: `1.2.0` for `…/releases/1.2.0/worker`. The kernel tells where the
/// link led when the process started, not where it leads now.
fn release(program: &Path) -> &str {
    program.parent().and_then(|directory| directory.file_name()?.to_str()).unwrap_or_default()
}
