//! A log that is written by a thread of its own, so that the thread that logs never waits.
//!
//! journald may not read for a while: it is stopped, it starts anew, its disk is slow. Its socket takes some hundred lines
//! more, of all programs together, and then each program that logs would stand still with the thread that serves.
//!
//! ```text
//! tracing::info!(…) --> Relay --> Queue, at most 1024 lines --> thread --> journald
//!                                   | full: the line is counted, and lost
//! ```
//!
//! - `relay.rs`: takes an event apart and puts it together again.
//! - `queue.rs`: what waits between the two threads.

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

/// The log of a program. When it is dropped, the lines that wait are written first, for which at most a second is waited.
#[derive(Debug)]
#[must_use = "dropped at once it waits for lines that are not there yet"]
pub struct Log(Arc<Queue>);

impl Drop for Log {
    fn drop(&mut self) {
        self.0.until_written(PATIENCE);
    }
}

/// From now on all threads log up to `level` to what `writer` returns. That is called in the thread that writes, because to
/// connect to the journal may take as long as to write to it.
///
/// It is told the level, and has to keep to it: tracing decides by all subscribers together which events are looked at at
/// all, and one without a level has each of every library looked at in the thread that serves.
///
/// Events are passed on, spans are not. What waits to be written is lost when the process ends without dropping [`Log`]: by
/// [`std::process::exit`], or by a signal.
///
/// # Errors
/// No thread can be started.
///
/// # Panics
/// When the program has a global subscriber already.
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
                tracing::warn!(lines, "{lines} lines are lost, for the log could not be written in time");
            }),
        }
    }
}

#[cfg(test)]
mod tests;
