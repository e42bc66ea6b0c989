//! While a worker settles: what it answers, beside the old ones. Who is compared with whom, and what follows, is the
//! machine's decision; here the scoreboard is read, at the beginning and at the end of that time.

use rollout::numbers::{Compared, Undecided};
use rollout::{Instance, Rollout};

use super::Driver;
use crate::board::Reading;

impl Driver {
    /// A worker begins to settle: notes what was counted until now. When it settles on, the beginning stays.
    pub(super) fn begin_comparing(&mut self, instance: Instance) {
        let Some(running) = &self.rolling else { return };
        if running.begun_with.contains_key(&instance) {
            return;
        }
        let Some(reading) = self.read_board(&running.machine, instance) else { return };
        if let Some(running) = &mut self.rolling {
            running.begun_with.insert(instance, reading);
        }
    }

    /// What a worker that has settled and the old ones answered meanwhile, or why that is not known.
    pub(super) fn compared(&self, instance: Instance) -> Result<Compared, String> {
        let unasked = || "nobody has asked for it".to_owned();
        let running = self.rolling.as_ref().ok_or_else(unasked)?;
        let earlier = running.begun_with.get(&instance).ok_or_else(unasked)?;
        let now = self.read_board(&running.machine, instance).ok_or_else(unasked)?;
        now?.compare(earlier.as_ref()?, instance)
    }

    /// Forgets what was counted, unless the worker settles on.
    pub(super) fn end_comparing(&mut self, instance: Instance) {
        let Some(running) = &mut self.rolling else { return };
        if running.machine.to_compare(instance).is_empty() {
            running.begun_with.remove(&instance);
        }
    }

    /// Reads what the machine wants to know; nothing if it wants to know nothing.
    fn read_board(&self, machine: &Rollout, instance: Instance) -> Option<Result<Reading, String>> {
        let with_pid =
            |instance: Instance| Some((instance, self.cluster.workers.get(&instance)?.info.main_pid));
        let workers: Vec<_> = machine.to_compare(instance).into_iter().filter_map(with_pid).collect();
        if workers.is_empty() {
            return None;
        }
        Some(Reading::of(&self.cluster.names.scoreboard, &workers).map_err(|error| format!("{error:#}")))
    }

    pub(super) fn tell_undecided(&self, instance: Instance, why: &Undecided) {
        tracing::info!(
            rollout = self.rolling.as_ref().map(|running| running.record.id),
            worker = %instance,
            step = "settle",
            "{instance} was not compared with the old workers: {why}; that it stayed ready is enough"
        );
    }
}
