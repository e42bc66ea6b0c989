//! What workers answer while one of them settles, and what the driver gets to know of that.

use rollout::numbers::{Compared, Figures};
use rollout::unit::Instance;

use crate::chaos::Class;
use crate::world::World;

/// How many requests each worker answers while one settles: as good as none, too few, enough.
const TRAFFIC: [u64; 4] = [0, 30, 400, 400];

impl World {
    /// Notes whose answers are counted from now on. When a worker settles on, the beginning stays.
    pub(super) fn begin_comparing(&mut self, instance: Instance) {
        let Some(running) = &mut self.orchestrator.running else { return };
        let process = |other: Instance| (other, self.systemd.service(other.number()).invocation());
        let begun = running.machine.to_compare(instance).into_iter().map(process).collect();
        running.begun_with.entry(instance).or_insert(begun);
    }

    /// What a worker and the old ones answered since.
    pub(super) fn compared(&mut self, instance: Instance) -> Result<Compared, String> {
        let is_dark = self.chaos.strikes(&mut self.rng, Class::Uncounted);
        let traffic = self.rng.pick(&TRAFFIC);
        let running = self.orchestrator.running.as_mut().ok_or("nothing is rolled")?;
        running.wrong.remove(&instance);
        let named = running.machine.to_compare(instance);
        let begun = running.begun_with.get(&instance).ok_or("nothing was noted")?;
        let service = |other: &Instance| self.systemd.service(other.number());
        let lives = |other: &Instance| {
            service(other).is_active() && begun.contains(&(*other, service(other).invocation()))
        };
        let (new, old): (Vec<_>, Vec<_>) =
            named.into_iter().filter(lives).partition(|other| *other == instance);
        if is_dark || new.is_empty() || old.is_empty() {
            return Err("nobody knows".to_owned());
        }
        let errs = |other: &Instance| service(other).errs;
        let figures = |workers: &[Instance]| {
            workers.iter().fold(Figures::default(), |sum, worker| {
                let errors = if errs(worker) { traffic / 2 } else { 0 };
                Figures { errors: sum.errors + errors, others: sum.others + traffic - errors, p99: None }
            })
        };
        let compared = Compared { new: figures(&new), old: figures(&old) };
        let is_enough = traffic >= running.policy.limits.min_requests.into();
        if is_enough && errs(&instance) && !old.iter().all(errs) {
            running.wrong.insert(instance);
        }
        Ok(compared)
    }

    /// Forgets what was noted, unless the worker settles on.
    pub(super) fn end_comparing(&mut self, instance: Instance) {
        let Some(running) = &mut self.orchestrator.running else { return };
        if running.machine.to_compare(instance).is_empty() {
            running.begun_with.remove(&instance);
        }
    }
}
