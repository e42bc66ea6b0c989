//! The jobs that we have enqueued with systemd. A job is known by its path, never by the order of signals.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use rollout::Instance;

/// A job that we enqueued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Job {
    pub(crate) instance: Instance,
    pub(crate) is_stop: bool,
    /// When the unit was first seen without a job: the signal of its end is under way, or lost.
    seems_over: Option<Instant>,
}

/// Whose job has ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// One of ours that was awaited.
    Awaited(Job),
    /// One of ours that a later one has replaced, or that was given up as lost.
    Outdated,
    /// A job that we did not enqueue.
    Foreign,
}

/// What a worker without a job says of the one that we await.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    /// None is awaited.
    Nothing,
    /// The signal of its end may be under way.
    Perhaps,
    /// It was seen so long before: the signal is lost, and the job is no longer awaited.
    Lost { is_stop: bool },
}

/// Our jobs.
#[derive(Debug, Default)]
pub(crate) struct Jobs {
    /// Whose end is awaited, by path; at most one for each worker.
    awaited: HashMap<String, Job>,
    /// The paths of all whose end was not told, the outdated ones too: however late one is heard of, it is ours.
    ours: HashSet<String>,
}

impl Jobs {
    /// Awaits the end of this job. An earlier one of the same worker has been replaced by it.
    pub(crate) fn track(&mut self, path: String, instance: Instance, is_stop: bool) {
        self.awaited.retain(|_, earlier| earlier.instance != instance);
        self.ours.insert(path.clone());
        self.awaited.insert(path, Job { instance, is_stop, seems_over: None });
    }

    /// systemd has told the end of this job.
    pub(crate) fn end(&mut self, path: &str) -> Ended {
        let is_ours = self.ours.remove(path);
        match self.awaited.remove(path) {
            Some(job) => Ended::Awaited(job),
            None if is_ours => Ended::Outdated,
            None => Ended::Foreign,
        }
    }

    /// The worker is seen without a job. A signal that is under way comes within `patience`, however often it is looked.
    pub(crate) fn miss(&mut self, instance: Instance, now: Instant, patience: Duration) -> Missing {
        let Some((path, job)) = self.awaited.iter_mut().find(|(_, job)| job.instance == instance) else {
            return Missing::Nothing;
        };
        let since = *job.seems_over.get_or_insert(now);
        if now.saturating_duration_since(since) < patience {
            return Missing::Perhaps;
        }
        let (path, is_stop) = (path.clone(), job.is_stop);
        self.awaited.remove(&path);
        Missing::Lost { is_stop }
    }

    /// No end is awaited any more.
    pub(crate) fn give_up(&mut self) {
        self.awaited.clear();
    }

    /// Signals may have been missed: of the jobs that are not awaited nothing will be heard.
    pub(crate) fn forget_outdated(&mut self) {
        self.ours.retain(|path| self.awaited.contains_key(path));
    }

    /// Whether we enqueued this job, and its end was not told.
    pub(crate) fn is_ours(&self, path: &str) -> bool {
        self.ours.contains(path)
    }

    /// Whether the end of a job of this worker is awaited.
    pub(crate) fn is_awaited(&self, instance: Instance) -> bool {
        self.awaited.values().any(|job| job.instance == instance)
    }

    /// Whether a stop of this worker is awaited. systemd tells all that comes before its end before it tells the end, so
    /// what is heard meanwhile is of before.
    pub(crate) fn is_being_stopped(&self, instance: Instance) -> bool {
        self.awaited.values().any(|job| job.instance == instance && job.is_stop)
    }

    /// Whether no end is awaited.
    pub(crate) fn is_empty(&self) -> bool {
        self.awaited.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worker() -> Instance {
        Instance::new(5).unwrap()
    }

    /// `scale 2`, at once followed by `scale 5`: the end of the stop is heard when the start is under way, and was taken for
    /// an operator's stop.
    #[test]
    fn a_job_that_another_has_replaced_is_still_ours() {
        let mut jobs = Jobs::default();
        jobs.track("stop".to_owned(), worker(), true);
        jobs.track("start".to_owned(), worker(), false);
        assert!(jobs.is_ours("stop") && jobs.is_awaited(worker()) && !jobs.is_being_stopped(worker()));
        assert_eq!(jobs.end("stop"), Ended::Outdated);
        assert_eq!(jobs.end("stop"), Ended::Foreign, "it has ended once");
        assert!(matches!(jobs.end("start"), Ended::Awaited(Job { is_stop: false, .. })));
        assert!(jobs.is_empty());
    }

    #[test]
    fn a_job_that_was_taken_for_lost_is_still_ours() {
        let mut jobs = Jobs::default();
        let (now, patience) = (Instant::now(), Duration::from_secs(1));
        assert_eq!(jobs.miss(worker(), now, patience), Missing::Nothing);
        jobs.track("stop".to_owned(), worker(), true);
        // Every signal is a reason to look.
        for _ in 0..3 {
            assert_eq!(jobs.miss(worker(), now, patience), Missing::Perhaps);
        }
        assert_eq!(jobs.miss(worker(), now + patience, patience), Missing::Lost { is_stop: true });
        assert!(jobs.is_empty() && jobs.is_ours("stop"));
        assert_eq!(jobs.end("stop"), Ended::Outdated);
    }

    #[test]
    fn when_signals_were_missed_only_what_is_awaited_is_ours() {
        let mut jobs = Jobs::default();
        jobs.track("stop".to_owned(), worker(), true);
        jobs.track("start".to_owned(), worker(), false);
        jobs.forget_outdated();
        assert!(!jobs.is_ours("stop") && jobs.is_ours("start"));
        jobs.give_up();
        assert!(jobs.is_empty());
        assert_eq!(jobs.end("start"), Ended::Outdated);
    }
}
