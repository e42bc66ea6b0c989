//! Keeping the wanted workers running while nothing is rolled.
//!
//! systemd restarts what fails. Left over for us is a worker that ended with status 0 on its own, which
//! `Restart=on-failure` takes for intent, and the difference between the wanted and the actual number.

use std::time::Duration;

use crate::plan::Candidate;
use crate::unit::{ActiveState, Instance};

/// What the keeper wants to have done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Correction {
    /// Start a worker that should run and does not.
    Start(Instance),
    /// Stop a worker beyond the wanted number.
    Stop(Instance),
}

/// What to change so that the instances 1 to `desired` run and no other.
///
/// Left alone are workers that somebody stopped on purpose, that have a job already, and that failed: systemd
/// has decided about those (`RestartPreventExitStatus=`), and only a reload or a person changes its mind.
pub fn corrections(desired: u32, workers: &[Candidate]) -> Vec<Correction> {
    let correct = |worker: &Candidate| {
        let surplus = worker.instance.number() > desired;
        match worker.unit.active {
            ActiveState::Inactive if !surplus && !worker.is_held && !worker.unit.has_job => {
                Some(Correction::Start(worker.instance))
            }
            ActiveState::Active | ActiveState::Activating if surplus => {
                Some(Correction::Stop(worker.instance))
            }
            _ => None,
        }
    };
    workers.iter().filter_map(correct).collect()
}

/// How long to wait before a worker that ended by itself is started again.
///
/// The first time not at all; one that keeps ending is given a longer and longer pause, up to
/// [`Backoff::CAP`]; one that ran for [`Backoff::STABLE`] is forgiven.
#[derive(Debug, Clone, Copy, Default)]
pub struct Backoff {
    short_runs: u32,
}

impl Backoff {
    /// The first pause.
    pub const BASE: Duration = Duration::from_millis(100);
    /// The longest pause.
    pub const CAP: Duration = Duration::from_secs(10);
    /// A run of this length ends the count.
    pub const STABLE: Duration = Duration::from_secs(10);

    /// The pause after a run that lasted `uptime`.
    pub fn after(&mut self, uptime: Duration) -> Duration {
        if uptime >= Self::STABLE {
            self.short_runs = 0;
        }
        let pause = match self.short_runs {
            0 => Duration::ZERO,
            n => Self::CAP.min(Self::BASE * 2_u32.saturating_pow(n - 1)),
        };
        self.short_runs = (self.short_runs + 1).min(30);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::unit::Unit;

    fn worker(number: u32, active: ActiveState, is_held: bool, has_job: bool) -> Candidate {
        let unit = Unit { active, invocation: None, restarts: 0, has_job };
        Candidate { instance: Instance::new(number).unwrap(), unit, is_held }
    }

    #[test]
    fn starts_what_ended_and_stops_what_is_too_many() {
        let one = Instance::new(1).unwrap();
        let six = Instance::new(6).unwrap();
        let workers = [
            worker(1, ActiveState::Inactive, false, false),
            worker(2, ActiveState::Inactive, true, false),
            worker(3, ActiveState::Inactive, false, true),
            worker(4, ActiveState::Failed, false, false),
            worker(5, ActiveState::Active, false, false),
            worker(6, ActiveState::Active, false, false),
            worker(7, ActiveState::Inactive, false, false),
        ];
        assert_eq!(corrections(5, &workers), [Correction::Start(one), Correction::Stop(six)]);
    }

    #[test]
    fn backs_off_up_to_the_cap_and_forgives() {
        let mut backoff = Backoff::default();
        let pauses: Vec<_> = (0..40).map(|_| backoff.after(Duration::from_millis(3))).collect();
        assert_eq!(pauses[..4].iter().map(Duration::as_millis).collect::<Vec<_>>(), [0, 100, 200, 400]);
        assert_eq!(pauses[39], Backoff::CAP);
        assert_eq!(backoff.after(Backoff::STABLE), Duration::ZERO);
    }
}
