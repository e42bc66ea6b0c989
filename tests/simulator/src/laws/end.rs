//! The end of a rollout.

use cluster::history::Kind;
use cluster::step::StepState;
use cluster::view::{self, RolloutState, View, WorkerState};
use names::Instance;

use super::{LastDone, Rolled, has};
use crate::systemd::{Job, Missing, Service, Verb, Who};
use crate::world::World;

impl World {
    pub(super) fn ends(&mut self, rollout: &view::Rollout) {
        let Some(rolled) = self.books.rolled.take() else { return };
        self.people.awaited.retain(|(id, _)| *id != rollout.id);
        self.books.ended = Some(rollout.id);
        // A recycling brings workers to no other release, and does not replace all of them. A rollout that
        // was restored leaves all as before.
        if rolled.kind != Kind::Recycle && rollout.state != RolloutState::Restored {
            self.books.last_end = Some(rollout.state);
        }
        self.outcomes.push(match rollout.state {
            RolloutState::Done => "done",
            RolloutState::Restored => "restored",
            RolloutState::Aborted => "aborted",
            _ => "failed",
        });
        let extra = rolled.surge();
        if !rolled.is_proved && !rolled.was_interrupted {
            let most = u32::from(extra == 0);
            if rolled.trials.count_ones() > most {
                self.violate("a failed trial touches no other", || format!("touched {:b}", rolled.trials));
            }
        }
        match rollout.state {
            RolloutState::Done => self.judge_done(&rolled, rollout),
            RolloutState::Aborted if rolled.from.is_none() => {}
            RolloutState::Restored | RolloutState::Aborted => self.judge_restored(&rolled, rollout),
            RolloutState::Failed => self.judge_failed(&rolled, rollout),
            _ => {}
        }
    }

    fn judge_done(&mut self, rolled: &Rolled, rollout: &view::Rollout) {
        for step in rollout.steps.iter().filter(|step| !step.is_surge && step.state != StepState::Skipped) {
            let service = self.systemd.service(step.instance.number());
            let is_new = rolled.to.is_none() || service.release == rolled.to;
            let is_there = service.is_active() && is_new && service.started >= rolled.begun;
            // The world may have taken a worker away since, and systemd may do an earlier restart only now.
            // Neither is known yet. A worker that flaps is stopped.
            let was_asked_for = |job: Job| job.verb == Verb::Restart && job.who == Who::Orchestrator;
            let is_late = service.job.is_some_and(was_asked_for);
            let is_excused = service.missing == Missing::World
                || is_late
                || has(self.books.paused, step.instance.number());
            let is_taken_away = is_excused && !service.is_active();
            if step.state != StepState::Done || !(is_there || is_taken_away) {
                let seen = format!("done and {} is {:?}: {service:?}", step.instance, step.state);
                return self.violate("the outcome is true", || seen);
            }
        }
        let is_left_out = |number: &u32| rolled.step(*number).is_none();
        if rolled.kind != Kind::Recycle
            && let Some(number) = (1..=rolled.desired).find(is_left_out)
        {
            self.violate("the outcome is true", || format!("done, and worker {number} had no part"));
        }
        self.note_done(rolled);
    }

    fn note_done(&mut self, rolled: &Rolled) {
        if let (Some(from), Some(to)) = (rolled.from, rolled.to) {
            self.books.last_done = Some(LastDone { from, to, kind: rolled.kind, at: self.now });
        }
    }

    fn judge_restored(&mut self, rolled: &Rolled, rollout: &view::Rollout) {
        let has_release = rolled.from.is_some();
        let names = |instance| rollout.state == RolloutState::Aborted && is_named(&rollout.message, instance);
        for step in rollout.steps.iter().filter(|step| !step.is_surge && step.state != StepState::Skipped) {
            let worker = step.instance.number();
            let service = self.systemd.service(worker);
            let is_known = !has(rolled.had, worker) && !self.disk.has_lost();
            let is_new = service.has_process() && service.release == rolled.to && is_known;
            let is_held = self.passes_for_stopped(worker);
            let is_excused = service.missing == Missing::World
                || is_held
                || has(rolled.stopped_since, worker)
                || names(step.instance);
            let is_missing = !service.is_active() && !is_excused;
            let has_to_serve = has_release && has(rolled.served, worker);
            if (has_release && is_new) || (has_to_serve && is_missing) {
                let seen = format!("{:?} and worker {worker} is {service:?}", rollout.state);
                return self.violate("the outcome is true", || seen);
            }
        }
    }

    /// Whether the orchestrator takes this worker for one that an operator stopped, and cannot know better. A
    /// predecessor may have asked for the stop and died before it wrote that down. If systemd does the stop
    /// after that, it looks like an operator's.
    fn passes_for_stopped(&self, worker: u32) -> bool {
        let is_told = |told: &&view::Worker| told.instance.number() == worker;
        let is_held = |view: View| {
            view.workers.iter().find(is_told).is_some_and(|told| told.state == WorkerState::Stopped)
        };
        has(self.people.may_stay, worker) && self.view().is_some_and(is_held)
    }

    fn judge_failed(&mut self, rolled: &Rolled, rollout: &view::Rollout) {
        let was_whole = !rolled.is_noted || rolled.was_whole;
        let is_known = !rolled.is_unsure && !self.disk.has_lost();
        let is_judged = rolled.is_restoring && rolled.from.is_some() && is_known;
        if is_judged && !rolled.was_interrupted && was_whole && self.is_whole(rolled, &rollout.steps) {
            self.violate("the outcome is true", || "failed and all are whole".to_owned());
        }
    }

    /// Whether all workers of the rollout serve on the old release, and the orchestrator has heard that.
    pub(super) fn is_whole(&self, rolled: &Rolled, steps: &[view::Step]) -> bool {
        steps.iter().all(|step| {
            let service = self.systemd.service(step.instance.number());
            let is_seen = self.orchestrator.heard(step.instance.number()).is_active();
            step.is_surge || step.state == StepState::Skipped || (is_old(rolled, service) && is_seen)
        })
    }
}

/// Whether the message of an end says that this worker is not ready.
fn is_named(message: &str, instance: Instance) -> bool {
    let list = message.split_once("not ready: ").map_or("", |(_, list)| list);
    let list = list.split_once(';').map_or(list, |(list, _)| list);
    list.split(", ").any(|named| named == instance.to_string())
}

fn is_old(rolled: &Rolled, service: &Service) -> bool {
    service.is_active() && service.release == rolled.from
}
