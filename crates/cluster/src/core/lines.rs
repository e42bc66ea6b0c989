//! The lines of the log.

use std::time::Duration;

use names::Instance;

use super::Cluster;
use super::active::ActiveRollout;
use super::watch::Reason;
use crate::effect::{Catalogued, Effect, Level, Line};
use crate::event::Cause;
use crate::numbers::Undecided;
use crate::release::ReleaseId;
use crate::step::StepState;
use crate::unit::{ActiveState, JobResult};
use crate::view;

fn line(level: Level, text: String) -> Line {
    Line { level, catalogued: None, rollout: None, worker: None, step: None, result: None, text }
}

impl Cluster {
    fn log(&mut self, line: Line) {
        self.effects.push_back(Effect::Log(Box::new(line)));
    }

    pub(super) fn info(&mut self, text: String) {
        self.log(line(Level::Info, text));
    }

    pub(super) fn warn(&mut self, text: String) {
        self.log(line(Level::Warn, text));
    }

    pub(super) fn error(&mut self, text: String) {
        self.log(line(Level::Error, text));
    }

    pub(super) fn info_in(&mut self, rollout: u64, text: String) {
        self.log(Line { rollout: Some(rollout), ..line(Level::Info, text) });
    }

    pub(super) fn warn_in(&mut self, rollout: u64, text: String) {
        self.log(Line { rollout: Some(rollout), ..line(Level::Warn, text) });
    }

    pub(super) fn error_in(&mut self, rollout: u64, text: String) {
        self.log(Line { rollout: Some(rollout), ..line(Level::Error, text) });
    }

    pub(super) fn info_step(&mut self, rollout: u64, step: &'static str, text: String) {
        self.log(Line { rollout: Some(rollout), step: Some(step), ..line(Level::Info, text) });
    }

    pub(super) fn warn_of(&mut self, worker: Instance, text: String) {
        self.log(Line { worker: Some(worker), ..line(Level::Warn, text) });
    }

    pub(super) fn error_of(&mut self, worker: Instance, text: String) {
        self.log(Line { worker: Some(worker), ..line(Level::Error, text) });
    }

    fn rollout_id(&self) -> Option<u64> {
        self.rolling().map(|rollout| rollout.record.id)
    }

    fn last_exit(&self, instance: Instance, otherwise: &str) -> String {
        let exit = self.workers.get(&instance).and_then(|worker| worker.last_exit.clone());
        exit.unwrap_or_else(|| otherwise.to_owned())
    }

    pub(super) fn log_ready(&mut self, instance: Instance) {
        let Some(worker) = self.workers.get(&instance) else { return };
        if !self.has_adopted() || worker.is_flapping_told || !is_worth_telling(worker.info.restarts) {
            return;
        }
        let pid = worker.info.main_pid;
        let known = self.release_of(instance).filter(|_| !self.is_unsure(instance));
        let release = known.map(|id| format!(", release {id}")).unwrap_or_default();
        let text = format!("{instance} is ready, pid {pid}{release}");
        let (rollout, worker) = (self.rollout_id(), Some(instance));
        self.log(Line { rollout, worker, step: Some("ready"), ..line(Level::Info, text) });
    }

    pub(super) fn log_restart(&mut self, instance: Instance) {
        let Some(worker) = self.workers.get(&instance) else { return };
        let restarts = worker.info.restarts;
        if worker.is_flapping_told || !is_worth_telling(restarts) {
            return;
        }
        let how = self.last_exit(instance, "failed");
        let text = format!("{instance} {how}; systemd starts it again (restart {restarts})");
        let (rollout, worker) = (self.rollout_id(), Some(instance));
        let result = Some(how);
        self.log(Line { rollout, worker, step: Some("crash"), result, ..line(Level::Warn, text) });
    }

    pub(super) fn log_ended(&mut self, instance: Instance) {
        let how = self.last_exit(instance, "ended");
        self.warn_of(instance, format!("{instance} {how} by itself; starting it again"));
    }

    pub(super) fn log_held(&mut self, instance: Instance) {
        let unit = self.names.unit(instance);
        let text = format!(
            "{instance} was stopped by an operator, so it is not restarted; `systemctl start {unit}` starts it"
        );
        self.log(Line { worker: Some(instance), ..line(Level::Info, text) });
    }

    pub(super) fn log_not_started(&mut self, instance: Instance, result: &JobResult) {
        if self.workers.get(&instance).is_none_or(|worker| worker.is_flapping_told) {
            return;
        }
        let how = self.last_exit(instance, "failed");
        let text = format!("{instance} did not start: it {how}; systemd goes on trying");
        let result = Some(result.to_string());
        self.log(Line { worker: Some(instance), result, ..line(Level::Warn, text) });
    }

    /// Logs that systemd does not start a worker again.
    pub(super) fn log_failed(&mut self, instance: Instance) {
        let unit = self.names.unit(instance);
        let how = self.last_exit(instance, "failed");
        let retry = self.workers.get(&instance).and_then(|worker| worker.retry?.at());
        let todo = match retry.map(|at| at.saturating_sub(self.now.moment)) {
            Some(pause) => {
                format!("systemd does not start it again; it is tried again in {:.0} s", pause.as_secs_f64())
            }
            None => "is not started again".to_owned(),
        };
        let joint = if retry.is_some() { ";" } else { " and" };
        let text = format!(
            "{instance} {how}{joint} {todo}; `journalctl -u {unit}` tells why, `systemctl reload app-cluster` tries again"
        );
        let result = Some("failed".to_owned());
        self.log(Line { worker: Some(instance), result, ..line(Level::Error, text) });
    }

    pub(super) fn log_surplus_stopped(&mut self, instance: Instance) {
        let wanted = self.settings.workers;
        let is_down = self.workers.get(&instance).is_some_and(|w| w.info.active == ActiveState::Inactive);
        if is_down && instance.number() > wanted {
            let text = format!("{instance} is stopped: {wanted} workers are wanted");
            self.log(Line { worker: Some(instance), ..line(Level::Info, text) });
        }
    }

    pub(super) fn log_flapping(&mut self, instance: Instance, pause: Duration) {
        let (unit, how) = (self.names.unit(instance), self.last_exit(instance, "ended"));
        let text = format!(
            "{instance} is flapping: it {how} again and again; it is stopped and tried again after longer and \
             longer pauses, the first in {:.1} s; `journalctl -u {unit}` tells why",
            pause.as_secs_f64()
        );
        self.log(Line {
            catalogued: Some(Catalogued::WorkerFlaps),
            worker: Some(instance),
            step: Some("flapping"),
            result: Some(how),
            ..line(Level::Warn, text)
        });
    }

    /// Logs that a worker ended that had served for a while since it began to flap.
    pub(super) fn log_flapping_again(&mut self, instance: Instance, pause: Duration) {
        let (unit, how) = (self.names.unit(instance), self.last_exit(instance, "ended"));
        let pause = pause.as_secs_f64();
        let text = format!(
            "{instance} {how} again; it is tried again in {pause:.1} s; `journalctl -u {unit}` tells why"
        );
        let (worker, result) = (Some(instance), Some(how));
        self.log(Line { worker, step: Some("flapping"), result, ..line(Level::Warn, text) });
    }

    pub(super) fn log_stable(&mut self, instance: Instance) {
        let text = format!("{instance} is stable again");
        self.log(Line { worker: Some(instance), step: Some("stable"), ..line(Level::Info, text) });
    }

    pub(super) fn log_undo(&mut self, reason: &Reason, from: &ReleaseId, to: &ReleaseId) {
        let workers = self.settings.workers;
        let text = match reason {
            Reason::Flaps(down) => format!(
                "{down} of {workers} workers flap since the rollout to release {to}: going back to release {from}"
            ),
            Reason::AcceptsNothing(_) => {
                format!("going back from release {to} to release {from}: {}", reason.words(workers))
            }
        };
        self.log(Line {
            catalogued: Some(Catalogued::RolloutUndone),
            step: Some("undo"),
            ..line(Level::Error, text)
        });
    }

    pub(super) fn log_begun(&mut self, rollout: &ActiveRollout, wanted: usize) {
        let id = rollout.record.id;
        let text = format!(
            "rollout {id}: {} of {wanted} workers, asked for by {}",
            rollout.goal(),
            rollout.record.by
        );
        self.info_step(id, "begin", text);
    }

    pub(super) fn log_refused(&mut self, id: u64, why: &str) {
        self.error_in(id, format!("no rollout begins: {why}"));
    }

    pub(super) fn log_undecided(&mut self, instance: Instance, why: &Undecided) {
        let text = format!(
            "{instance} was not compared with the old workers: {why}; that it stayed ready is enough"
        );
        let (rollout, worker) = (self.rollout_id(), Some(instance));
        self.log(Line { rollout, worker, step: Some("settle"), ..line(Level::Info, text) });
    }

    pub(super) fn log_turn(&mut self) {
        let Some((rollout, cause)) =
            self.rolling().and_then(|rollout| Some((rollout, rollout.machine.cause()?)))
        else {
            return;
        };
        let from = rollout.record.from.as_ref().map(ToString::to_string).unwrap_or_default();
        let text = format!("{cause}; going back to release {from}");
        let worker = match cause {
            Cause::Fault(instance, _) => Some(*instance),
            _ => None,
        };
        let (level, result) = match cause {
            Cause::Aborted => (Level::Info, None),
            _ => (Level::Error, Some("failed".to_owned())),
        };
        let rollout = Some(rollout.record.id);
        self.log(Line { rollout, worker, step: Some("restore"), result, ..line(level, text) });
    }

    /// Logs one line for each worker whose step has a new state.
    pub(super) fn log_steps(&mut self, before: &view::Rollout, now: &view::Rollout) {
        let wanted = || now.steps.iter().filter(|step| !step.is_surge);
        let total = wanted().filter(|step| step.state != StepState::Skipped).count();
        let done = wanted().filter(|step| step.state == StepState::Done).count();
        for step in &now.steps {
            let instance = step.instance;
            let was = before.steps.iter().find(|old| old.instance == instance).map(|old| old.state);
            if was == Some(step.state) {
                continue;
            }
            let (word, text) = match step.state {
                // The log says that a worker is ready when its unit is active.
                StepState::Waiting | StepState::Settling | StepState::Stopping => continue,
                StepState::Marked | StepState::Restoring if was == Some(StepState::Marked) => continue,
                StepState::Restarting if step.is_surge => {
                    ("start", "is started beyond the wanted number".to_owned())
                }
                StepState::Restarting => ("restart", "is being restarted".to_owned()),
                StepState::Done if step.is_surge => ("done", "serves while others are replaced".to_owned()),
                StepState::Done => ("done", format!("is replaced ({done} of {total})")),
                StepState::Skipped => ("skip", "is left out, because an operator stopped it".to_owned()),
                StepState::Stopped => ("stop", "is stopped, it is not needed any more".to_owned()),
                StepState::Failed => ("failed", "failed".to_owned()),
                StepState::Marked | StepState::Restoring => {
                    ("restore", "goes back to the old release".to_owned())
                }
                StepState::Restored => ("restored", "is back on the old release".to_owned()),
            };
            let (rollout, worker) = (Some(now.id), Some(instance));
            let text = format!("{instance} {text}");
            self.log(Line { rollout, worker, step: Some(word), ..line(Level::Info, text) });
        }
    }

    /// Logs the one line that says how a rollout ended.
    pub(super) fn log_end(&mut self, record: &view::Rollout) {
        let view::Rollout { id, message, .. } = record;
        let (rollout, step) = (Some(*id), Some("end"));
        let ended = |level, catalogued, worker, result: &str, text| Line {
            level,
            catalogued,
            rollout,
            worker,
            step,
            result: Some(result.to_owned()),
            text,
        };
        self.log(match record.state {
            view::RolloutState::Done => {
                let text = format!("rollout {id} done: {message}");
                ended(Level::Info, Some(Catalogued::RolloutDone), None, "done", text)
            }
            view::RolloutState::Aborted => {
                ended(Level::Warn, None, None, "aborted", format!("rollout {id} {message}"))
            }
            state => {
                let result = if state == view::RolloutState::Restored { "restored" } else { "failed" };
                let worker = record.failure.as_ref().map(|failure| failure.instance);
                let text = format!("rollout {id} failed: {message}{}", self.last_words(record));
                ended(Level::Error, Some(Catalogued::RolloutFailed), worker, result, text)
            }
        });
    }

    fn last_words(&self, record: &view::Rollout) -> String {
        let Some(failure) = record.failure.as_ref().filter(|failure| !failure.journal.is_empty()) else {
            return String::new();
        };
        let lines = failure.journal.iter().map(|line| format!("\n  {line}"));
        format!("\nlast lines of {}:{}", self.names.unit(failure.instance), lines.collect::<String>())
    }
}

/// Whether to log this restart. A crash loop is logged at its 1st, 2nd, 4th, 8th … restart, so an operator
/// sees it without a flood of lines.
fn is_worth_telling(restarts: u32) -> bool {
    restarts == 0 || restarts.is_power_of_two()
}
