//! Laws that hold for every order of events, in front of a simulated systemd.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use rollout::{
    Action, ActiveState, Event, Instance, InvocationId, JobResult, Outcome, Policy, Rollout, Unit,
};

/// What the world does with the next thing it is asked for.
#[derive(Debug, Clone, Copy)]
enum Chance {
    /// All goes well.
    Well,
    /// The new process fails before it is ready; systemd goes on trying.
    FailsToStart,
    /// Ready, then crashes within the settle time.
    DiesAfterReady,
    /// systemd does not accept the job.
    Refused,
    /// The job's end is never told; somebody looks later.
    SignalLost,
    /// The job's end is told twice.
    SignalDoubled,
    /// The bus goes away before the job is enqueued, and comes back.
    JobLost,
    /// Somebody asks to stop.
    Abort,
    /// An event about another worker comes in between.
    Noise,
}

fn chances() -> impl Strategy<Value = Vec<Chance>> {
    use Chance::*;
    let one = prop_oneof![
        6 => Just(Well),
        1 => Just(FailsToStart),
        1 => Just(DiesAfterReady),
        1 => Just(Refused),
        2 => Just(SignalLost),
        1 => Just(SignalDoubled),
        1 => Just(JobLost),
        1 => Just(Abort),
        2 => Just(Noise),
    ];
    prop::collection::vec(one, 0..60)
}

#[derive(Debug, Clone, Copy)]
struct Worker {
    unit: Unit,
    release: u8,
}

/// A systemd with workers of release 1 and a link that points to release 2.
struct World {
    workers: BTreeMap<Instance, Worker>,
    link: u8,
    next_process: u8,
    chances: std::vec::IntoIter<Chance>,
    begun: Vec<Instance>,
    has_failed: bool,
}

impl World {
    fn new(workers: u32, chances: Vec<Chance>) -> Self {
        let unit = |n| Unit {
            active: ActiveState::Active,
            invocation: Some(InvocationId([n; 16])),
            restarts: 0,
            has_job: false,
        };
        let workers: BTreeMap<_, _> = Instance::first(workers)
            .map(|i| (i, Worker { unit: unit(i.number() as u8), release: 1 }))
            .collect();
        let next_process = workers.len() as u8 + 1;
        Self {
            workers,
            link: 2,
            next_process,
            chances: chances.into_iter(),
            begun: Vec::new(),
            has_failed: false,
        }
    }

    fn unit(&self, instance: Instance) -> Unit {
        self.workers[&instance].unit
    }

    fn run_new_process(&mut self, instance: Instance) {
        let worker = self.workers.get_mut(&instance).unwrap();
        worker.unit.invocation = Some(InvocationId([self.next_process; 16]));
        worker.unit.active = ActiveState::Active;
        worker.unit.restarts = 0;
        worker.release = self.link;
        self.next_process = self.next_process.wrapping_add(1).max(1);
    }

    /// Does what was asked and returns the events that tell of it.
    fn restart(&mut self, instance: Instance) -> Vec<Event> {
        let chance = self.chances.next().unwrap_or(Chance::Well);
        let looked = |world: &Self| Event::Looked { instance, unit: world.unit(instance) };
        let finished =
            |world: &Self, result| Event::JobFinished { instance, result, unit: world.unit(instance) };
        match chance {
            Chance::Refused => {
                return vec![Event::JobRefused { instance, reason: "no".to_owned() }];
            }
            Chance::JobLost => return vec![looked(self)],
            _ => self.run_new_process(instance),
        }
        match chance {
            Chance::FailsToStart => {
                self.workers.get_mut(&instance).unwrap().unit.active = ActiveState::Activating;
                vec![finished(self, JobResult::Failed)]
            }
            Chance::SignalLost => vec![looked(self), looked(self)],
            Chance::SignalDoubled => {
                vec![finished(self, JobResult::Done), finished(self, JobResult::Done)]
            }
            Chance::Abort => vec![Event::AbortRequested, finished(self, JobResult::Done)],
            Chance::Noise => {
                let other = *self.workers.keys().find(|i| **i != instance).unwrap_or(&instance);
                let noise = Event::Looked { instance: other, unit: self.unit(other) };
                vec![noise, finished(self, JobResult::Done)]
            }
            _ => vec![finished(self, JobResult::Done)],
        }
    }

    fn settle(&mut self, instance: Instance) -> Vec<Event> {
        if matches!(self.chances.next(), Some(Chance::DiesAfterReady)) {
            self.run_new_process(instance);
            self.workers.get_mut(&instance).unwrap().unit.restarts = 1;
        }
        vec![Event::Settled { instance, unit: self.unit(instance) }]
    }

    /// Somebody looks after a while in which nothing was heard; systemd has restarted what failed.
    fn poll(&mut self, instance: Instance) -> Event {
        if self.unit(instance).active == ActiveState::Activating {
            self.run_new_process(instance);
        }
        Event::Looked { instance, unit: self.unit(instance) }
    }

    /// Runs a rollout to its end, checking on the way what must hold at every step.
    fn roll(&mut self, policy: Policy) -> (Rollout, Outcome) {
        let plan: Vec<_> = self.workers.iter().map(|(i, w)| (*i, w.unit.invocation)).collect();
        let (mut rollout, mut actions) = Rollout::begin(&plan, policy);
        for _ in 0..10_000 {
            let mut events = Vec::new();
            for action in std::mem::take(&mut actions) {
                match action {
                    Action::Restart(instance) => {
                        self.check_restart(&rollout, instance);
                        events.extend(self.restart(instance));
                    }
                    Action::Settle(instance, _) => events.extend(self.settle(instance)),
                    Action::RestoreRelease => {
                        self.has_failed = true;
                        self.link = 1;
                    }
                    Action::Finish(outcome) => return (rollout, outcome),
                    Action::Ignore(_) => {}
                }
            }
            if events.is_empty() {
                events.extend(rollout.restarting().map(|instance| self.poll(instance)));
            }
            for event in events {
                actions.extend(rollout.handle(event));
            }
        }
        panic!("the rollout does not end");
    }

    /// A step is taken only while every worker touched before is active, and after a failure no new one is touched.
    fn check_restart(&mut self, rollout: &Rollout, instance: Instance) {
        assert_eq!(rollout.restarting(), Some(instance), "only the worker at hand is restarted");
        if !self.begun.contains(&instance) {
            assert!(!self.has_failed, "{instance} was touched after a failure");
            let earlier = self.begun.iter().map(|i| self.unit(*i));
            assert!(earlier.into_iter().all(|unit| unit.is_active()), "{instance} before the last was ready");
            self.begun.push(instance);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_rollout_ends_and_its_outcome_is_true(
        workers in 1_u32..9, can_restore: bool, chances in chances()
    ) {
        let mut world = World::new(workers, chances);
        let policy = Policy { settle: Duration::from_secs(1), can_restore };
        let (rollout, outcome) = world.roll(policy);
        let releases: Vec<_> = world.workers.values().map(|w| w.release).collect();
        let all_active = world.workers.values().all(|w| w.unit.is_active());
        match outcome {
            Outcome::Done => {
                prop_assert!(all_active);
                prop_assert!(releases.iter().all(|r| *r == 2));
            }
            Outcome::Aborted => prop_assert!(all_active),
            Outcome::Restored(..) => {
                prop_assert!(can_restore && all_active);
                prop_assert!(releases.iter().all(|r| *r == 1), "{:?} {:?}", releases, rollout.steps());
            }
            Outcome::Failed(failed, _) => {
                let untouched = world.workers.keys().filter(|i| !world.begun.contains(i));
                for instance in untouched {
                    prop_assert_eq!(world.workers[instance].release, 1);
                    prop_assert!(world.unit(*instance).is_active());
                }
                prop_assert!(world.begun.contains(&failed));
            }
        }
    }
}
