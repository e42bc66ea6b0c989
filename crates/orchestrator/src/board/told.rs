//! Converts the figures of workers to the types of the bus.

use std::path::Path;
use std::time::{Duration, SystemTime};

use names::Instance;
use scoreboard::{Ended, Histogram, Reader, Record, Timeout};

use super::record_of;

/// The figures of these workers, each with the id of its main process. A worker that does not count, or whose
/// slot cannot be read, is missing. If there is no board, all are.
pub(crate) fn counters(path: &Path, workers: &[(Instance, u32)]) -> Vec<api::Counters> {
    let Ok(reader) = Reader::open(path) else { return Vec::new() };
    let clocks = Clocks::now();
    let told = |&(worker, pid): &(Instance, u32)| {
        let record = record_of(&reader, worker, pid).ok().flatten()?;
        Some(in_words_of_the_bus(worker, record, &clocks))
    };
    workers.iter().filter_map(told).collect()
}

fn in_words_of_the_bus(worker: Instance, record: Record, clocks: &Clocks) -> api::Counters {
    let Record { identity, ready_since, drain_begun, counters } = record;
    let [informational, successful, redirection, client_error, server_error] = counters.responses;
    let timeouts = |timeout: Timeout| counters.timeouts[timeout as usize];
    let ended = |ended: Ended| counters.ended[ended as usize];
    api::Counters {
        instance: worker.number(),
        pid: identity.pid,
        release: identity.release,
        since_usec: clocks.epoch_usec(identity.started),
        ready_since_usec: ready_since.map_or(0, |stamp| clocks.epoch_usec(stamp)),
        drain_begun_usec: drain_begun.map_or(0, |stamp| clocks.epoch_usec(stamp)),
        accepts: counters.accepts,
        connections: counters.connections,
        refused: counters.refused,
        requests: counters.requests,
        in_flight: counters.in_flight,
        unanswered: counters.unanswered,
        responses: api::Responses { informational, successful, redirection, client_error, server_error },
        received_bytes: counters.received,
        sent_bytes: counters.sent,
        panics: counters.panics,
        timeouts: api::Timeouts {
            first_byte: timeouts(Timeout::FirstByte),
            head: timeouts(Timeout::Head),
            idle: timeouts(Timeout::Idle),
            body: timeouts(Timeout::Body),
            write: timeouts(Timeout::Write),
        },
        drained: api::Drained {
            finished: ended(Ended::Finished),
            idle: ended(Ended::Idle),
            forced: ended(Ended::Forced),
        },
        latency: latency(&counters.latency),
    }
}

fn latency(seen: &Histogram) -> api::Latency {
    let quantile = |share| usec(seen.quantile(share).unwrap_or_default());
    api::Latency {
        sum_usec: usec(seen.sum()),
        p50_usec: quantile(0.5),
        p90_usec: quantile(0.9),
        p99_usec: quantile(0.99),
        p999_usec: quantile(0.999),
    }
}

/// Both clocks at one moment. The board uses CLOCK_BOOTTIME, the bus uses the time since the Unix epoch.
struct Clocks {
    epoch_usec: u64,
    boottime: Duration,
}

impl Clocks {
    fn now() -> Self {
        Self { epoch_usec: crate::clock::epoch_usec(SystemTime::now()), boottime: scoreboard::boottime() }
    }

    /// Converts a time on the board. Only a damaged slot can have a time in the future, which is replaced by
    /// now.
    fn epoch_usec(&self, stamp: Duration) -> u64 {
        self.epoch_usec.saturating_sub(usec(self.boottime.saturating_sub(stamp)))
    }
}

fn usec(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_told_by_the_clock_of_the_world() {
        let clocks = Clocks { epoch_usec: 1_000_000_000, boottime: Duration::from_secs(100) };
        assert_eq!(clocks.epoch_usec(Duration::from_secs(99)), 999_000_000);
        assert_eq!(clocks.epoch_usec(Duration::MAX), 1_000_000_000);
        let set_back = Clocks { epoch_usec: 5, ..clocks };
        assert_eq!(set_back.epoch_usec(Duration::ZERO), 0);
    }
}
