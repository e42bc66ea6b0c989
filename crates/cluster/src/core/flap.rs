//! Crash loops: a worker that keeps ending is stopped for a pause, again and again, until it is stable.

use names::Instance;

use super::worker::{Owner, Pause, Worker};
use super::{Cluster, Phase};
use crate::backoff::Verdict;
use crate::unit::ActiveState;

impl Cluster {
    /// A worker has ended this many times by itself. Returns whether it may start again at once. Otherwise
    /// the orchestrator stops it, and starts it after a pause.
    pub(super) fn ended(&mut self, instance: Instance, ends: u32) -> bool {
        if !matches!(self.phase, Phase::Starting | Phase::Running) || self.is_rolled(instance) {
            return true;
        }
        let (now, policy, random) = (self.now.moment, self.settings.backoff, self.random());
        let Some(worker) = self.workers.get_mut(&instance) else { return true };
        // This is old news. systemd restarts a worker as fast as it ends, and reported this before it got the
        // stop.
        if worker.is_being_stopped() {
            return false;
        }
        if worker.pause.is_some_and(|pause| !pause.is_stopped) {
            return false;
        }
        let was_flapping = worker.backoff.is_flapping(now, &policy);
        let has_served = worker.backoff.is_ready_for(policy.window, now);
        let Verdict::Pause(span) = worker.backoff.ended(now, ends, &policy, random) else {
            return true;
        };
        worker.pause = Some(Pause { until: now.saturating_add(span), is_stopped: false });
        worker.has_run = false;
        if !was_flapping {
            worker.is_flapping_told = true;
            self.log_flapping(instance, span);
        } else if has_served {
            self.log_flapping_again(instance, span);
        }
        false
    }

    /// Stops the workers that have to pause, and ends the pauses that are over.
    pub(super) fn keep_pauses(&mut self) {
        let paused: Vec<_> =
            self.workers.iter().filter(|(_, w)| w.pause.is_some()).map(|(i, _)| *i).collect();
        for instance in paused {
            self.keep_pause(instance);
        }
    }

    fn keep_pause(&mut self, instance: Instance) {
        let now = self.now.moment;
        let is_rolled = self.is_rolled(instance);
        let Some(worker) = self.workers.get_mut(&instance) else { return };
        let Some(pause) = &mut worker.pause else { return };
        let is_due = worker.not_before.is_none_or(|at| at <= now);
        let is_free = worker.job.is_none() && worker.looks == 0 && !is_rolled;
        // systemd would merge this stop with the operator's, and the operator wants the worker to stay
        // stopped.
        let is_being_stopped = worker.info.active == ActiveState::Deactivating && worker.info.job.is_some();
        match (worker.info.is_down(), pause.is_stopped) {
            (true, false) if is_free && worker.info.job.is_none() => pause.is_stopped = true,
            (false, false) if worker.job.is_none() && !is_being_stopped && !is_rolled && is_due => {
                return self.stop(instance, Owner::Keeper);
            }
            (false, true) if super::supervise::is_up(worker) => {
                // An operator or another program has started it.
                worker.pause = None;
                worker.backoff.forget();
                return;
            }
            _ => {}
        }
        let is_over = worker.pause.is_some_and(|pause| pause.is_stopped && pause.until <= now);
        if is_over && is_free {
            worker.pause = None;
            worker.retry = None;
            // Here `failed` does not mean that systemd gave up. The worker failed before the orchestrator's
            // stop could end it.
            let has_failed = worker.has_failed();
            if has_failed && instance.number() <= self.settings.workers {
                self.start_again(instance);
            }
        }
    }

    fn start_again(&mut self, instance: Instance) {
        self.start(instance, Owner::Keeper, self.release_for(instance));
    }

    /// Treats workers that flapped like any other, once they have been ready for long enough.
    pub(super) fn forgive(&mut self) {
        let (now, policy) = (self.now.moment, self.settings.backoff);
        let is_stable = |(_, worker): &(&Instance, &mut Worker)| {
            worker.is_flapping_told && worker.pause.is_none() && !worker.backoff.is_flapping(now, &policy)
        };
        let mut stable = Vec::new();
        for (instance, worker) in self.workers.iter_mut().filter(is_stable) {
            worker.is_flapping_told = false;
            // Otherwise it was forgiven because a rollout or an operator has started it anew.
            stable.extend(worker.backoff.take_stable(now, &policy).then_some(*instance));
        }
        for instance in stable {
            self.log_stable(instance);
        }
        for worker in self.workers.values_mut().filter(|worker| worker.not_before.is_some_and(|at| at <= now))
        {
            worker.not_before = None;
        }
        for worker in self.workers.values_mut() {
            worker.unanswered = worker.unanswered.filter(|(_, until)| *until > now);
        }
    }

    /// The next random number (SplitMix64: Steele, Lea, Flood, "Fast splittable pseudorandom number
    /// generators", 2014).
    fn random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.random ^ (self.random >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
