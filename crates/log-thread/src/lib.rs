//! A log with a writer thread of its own, so that a thread that logs never waits.
//!
//! journald may not read for a while: it is stopped, it restarts, its disk is slow. Its socket takes a few
//! hundred more lines, from all programs together. After that, each program that logs would block in the
//! thread that serves.
//!
//! ```text
//! tracing::info!(…) --> Relay --> Queue, at most 1024 lines --> thread --> journald
//!                                   | full: the line is counted and dropped
//! ```
//!
//! - `relay.rs`: copies an event, so that another thread can log it.
//! - `queue.rs`: the lines between the threads.

mod queue;
mod relay;

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tracing::Dispatch;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::queue::{Next, Queue};
use crate::relay::Relay;

/// How long a program waits at its end until its last lines are written.
const PATIENCE: Duration = Duration::from_secs(1);

/// The log of a program. Dropping it writes the waiting lines first, for at most a second.
#[derive(Debug)]
#[must_use = "dropped at once it waits for lines that are not there yet"]
pub struct Log(Arc<Queue>);

impl Drop for Log {
    fn drop(&mut self) {
        self.0.until_written(PATIENCE);
    }
}

/// From now on all threads log up to `level` through the subscriber that `writer` returns. The writer thread
/// calls `writer`, because connecting to the journal may block as long as writing to it.
///
/// `writer` gets the level and has to apply it. tracing asks all subscribers together which events are
/// enabled. With a subscriber without a level, the thread that serves would process every event of every
/// library.
///
/// Events are passed on, spans are not. If the process ends without dropping [`Log`], the waiting lines are
/// lost. That happens with [`std::process::exit`] and with a signal.
///
/// # Errors
/// The thread cannot be started.
///
/// # Panics
/// If the program already has a global subscriber.
pub fn install(
    level: LevelFilter,
    writer: impl FnOnce(LevelFilter) -> Dispatch + Send + 'static,
) -> io::Result<Log> {
    let queue = Arc::new(Queue::default());
    let lines = Arc::clone(&queue);
    thread::Builder::new().name("log".to_owned()).spawn(move || write(&lines, &writer(level)))?;
    tracing_subscriber::registry().with(level).with(Relay(Arc::clone(&queue))).init();
    Ok(Log(queue))
}

fn write(queue: &Queue, writer: &Dispatch) {
    loop {
        match queue.next() {
            Next::Line(line) => line.write_to(writer),
            Next::Lost(lines) => tracing::dispatcher::with_default(writer, || {
                tracing::warn!(lines, "{lines} lines are lost, because the log could not be written in time");
            }),
        }
    }
}

#[cfg(test)]
mod tests;
