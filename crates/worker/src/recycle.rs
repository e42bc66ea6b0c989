//! When a worker asks to be replaced. If an application leaks memory, a new process now and then helps.
//!
//! The worker only asks, and continues to serve. The orchestrator replaces it as in a rollout: another worker
//! is ready first, and only one is replaced at a time.

use std::fs;
use std::time::Duration;

use scoreboard::Slot;
use tokio_util::task::AbortOnDropHandle;

use crate::limits::FOREVER;
use crate::{Worker, notify};

/// How often the worker checks its limits.
const TURN: Duration = Duration::from_secs(1);

/// The limits at which a worker asks to be replaced.
#[derive(Debug, Clone)]
pub(crate) struct Enough {
    requests: Option<u64>,
    age: Option<Duration>,
    memory: Option<u64>,
    jitter: f64,
}

impl Default for Enough {
    fn default() -> Self {
        Self { requests: None, age: None, memory: None, jitter: 0.1 }
    }
}

/// Limits at which a worker asks the orchestrator to replace it. It serves until that happens. By default
/// there is no limit.
impl Worker {
    /// The worker asks after this many requests, at least 1.
    pub fn max_requests(mut self, requests: u64) -> Self {
        self.enough.requests = Some(requests.max(1));
        self
    }

    /// The worker asks this long after it became ready, at least after a second.
    pub fn max_age(mut self, age: Duration) -> Self {
        self.enough.age = Some(age.clamp(TURN, FOREVER));
        self
    }

    /// The worker asks when it has this much resident memory, in bytes (`VmRSS` in proc_pid_status(5)). It
    /// checks every second. For a limit that must hold at every moment, set `MemoryMax=` in the unit.
    pub fn max_memory(mut self, bytes: u64) -> Self {
        self.enough.memory = Some(bytes);
        self
    }

    /// By which random share each process asks earlier than that, from 0 to 1. So workers that started
    /// together do not all ask together. Default: 0.1.
    pub fn recycle_jitter(mut self, share: f64) -> Self {
        self.enough.jitter = if share.is_nan() { 0.0 } else { share.clamp(0.0, 1.0) };
        self
    }
}

impl Enough {
    /// Asks when a limit is reached, for as long as the handle lives.
    pub(crate) fn watch(&self, slot: Slot) -> Option<AbortOnDropHandle<()>> {
        if self.requests.is_none() && self.age.is_none() && self.memory.is_none() {
            return None;
        }
        let enough = self.earlier_by(self.jitter * fastrand::f64());
        Some(AbortOnDropHandle::new(tokio::spawn(async move {
            let reason = enough.reached(&slot).await;
            tracing::info!("asks to be replaced: {reason}");
            notify::recycle(&reason);
        })))
    }

    fn earlier_by(&self, share: f64) -> Self {
        let part = 1.0 - share;
        Self {
            // A float that is negative or too large becomes the nearest integer.
            requests: self.requests.map(|requests| ((requests as f64 * part) as u64).max(1)),
            age: self.age.map(|age| age.mul_f64(part)),
            memory: self.memory.map(|memory| (memory as f64 * part) as u64),
            jitter: 0.0,
        }
    }

    /// Waits until a limit is reached, and says which.
    async fn reached(&self, slot: &Slot) -> String {
        let age = self.age.unwrap_or(FOREVER);
        tokio::select! {
            () = tokio::time::sleep(age) => format!("{} s old", age.as_secs()),
            reason = self.counted(slot) => reason,
        }
    }

    async fn counted(&self, slot: &Slot) -> String {
        if self.requests.is_none() && self.memory.is_none() {
            // Without a limit on age or memory, do not wake up every second.
            std::future::pending::<()>().await;
        }
        loop {
            let requests = slot.requests();
            if self.requests.is_some_and(|most| requests >= most) {
                return format!("{} begun", notify::count(requests, "request"));
            }
            if let (Some(most), Some(memory)) = (self.memory, memory())
                && memory >= most
            {
                return format!("{} MiB of memory", memory >> 20);
            }
            tokio::time::sleep(TURN).await;
        }
    }
}

/// The resident memory of this process in bytes; `None` if the kernel does not tell.
fn memory() -> Option<u64> {
    resident(&fs::read_to_string("/proc/self/status").ok()?)
}

fn resident(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim_end().parse().ok()?;
    kibibytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use scoreboard::Instance;

    use super::*;

    fn slot_with(requests: usize) -> Slot {
        let slot = Slot::private(Instance::FIRST, "");
        (0..requests).for_each(|_| drop(slot.request_begun()));
        slot
    }

    #[tokio::test(start_paused = true)]
    async fn asks_when_any_of_it_is_enough() {
        let worker = Worker::new().max_requests(10).max_age(Duration::from_secs(60)).recycle_jitter(0.0);
        assert_eq!(worker.enough.reached(&slot_with(9)).await, "60 s old");
        assert_eq!(worker.enough.reached(&slot_with(10)).await, "10 requests begun");
        let worker = Worker::new().max_memory(1);
        assert!(worker.enough.reached(&slot_with(0)).await.ends_with("MiB of memory"));
    }

    #[tokio::test]
    async fn nobody_watches_what_nobody_limits() {
        assert!(Worker::new().enough.watch(slot_with(3)).is_none());
    }

    #[test]
    fn has_enough_earlier_by_the_jitter_and_never_later() {
        let worker = Worker::new().max_requests(1000).max_age(Duration::from_secs(100)).max_memory(1 << 30);
        let earlier = worker.enough.earlier_by(0.25);
        assert_eq!(earlier.requests, Some(750));
        assert_eq!(earlier.age, Some(Duration::from_secs(75)));
        assert_eq!(earlier.memory, Some(3 << 28));
        assert_eq!(Worker::new().max_requests(1).enough.earlier_by(1.0).requests, Some(1));
        for share in [f64::NAN, -1.0, f64::INFINITY] {
            let jitter = Worker::new().recycle_jitter(share).enough.jitter;
            assert!((0.0..=1.0).contains(&jitter), "{share}");
        }
    }

    #[test]
    fn reads_what_the_kernel_says() {
        assert_eq!(resident("Name:\tx\nVmRSS:\t    1234 kB\nThreads:\t1\n"), Some(1234 * 1024));
        assert_eq!(resident("Name:\tx\n"), None);
        assert_eq!(resident("VmRSS:\t 18446744073709551615 kB\n"), None);
        assert!(memory().is_some_and(|bytes| bytes > 1 << 20));
    }
}
