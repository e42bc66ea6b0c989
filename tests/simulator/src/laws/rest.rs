//! The beginning and the end of the orchestrator, and the cluster once the world is calm.

use cluster::effect::{Catalogued, Line};
use cluster::input::OwnJob;
use cluster::view::{RolloutState, View, WorkerState};
use names::Instance;

use super::{LastDone, has};
use crate::chaos::Class;
use crate::release::Quality;
use crate::systemd::{Exit, Phase, Service};
use crate::world::World;

/// More effects than this break the rest.
const AT_REST: u32 = 20;

impl World {
    pub(crate) fn watch_start(&mut self, is_cold: bool) {
        self.books.is_cold = is_cold;
        // If no worker runs when it begins, the orchestrator cannot know whether the whole cluster was
        // stopped.
        let knows_less = self.disk.begin();
        if is_cold || knows_less {
            self.people.must_stay = 0;
        }
        if knows_less {
            let runs = self.systemd.services().filter(|(_, service)| service.has_process());
            self.books.unknown |= runs.fold(0, |bits: u16, (worker, _)| bits | 1 << worker);
        }
    }

    /// An orchestrator has found processes that run. What it knows of them is in the ledger of its predecessor,
    /// which may have died before it wrote down that a link was set.
    pub(crate) fn note_unknown(&mut self) {
        self.books.pointing = 0;
        let (now, booted) = (self.clock().moment, self.systemd.booted);
        for (worker, service) in self.systemd.services().filter(|(_, service)| service.has_process()) {
            let link = self.disk.links[worker as usize].map(|at| &self.disk.releases[at].id);
            let Some((instance, link)) = Instance::new(worker).zip(link) else { continue };
            let mut ledger = self.disk.ledger.clone();
            ledger.is_found_linked(instance, now, 0, link);
            if ledger.is_unsure_at(instance, service.started - booted) {
                self.books.unknown |= 1 << worker;
            }
        }
    }

    pub(crate) fn watch_end(&mut self) {
        self.people.end();
        self.books.begun.clear();
        if let Some(rolled) = &mut self.books.rolled {
            rolled.was_interrupted = true;
            rolled.steps.clear();
        }
    }

    /// Checks the cluster before the orchestrator exits.
    pub(crate) fn watch_exit(&mut self) {
        let Some(since) = self.orchestrator.terminated else {
            return self.violate("a stop stops", || "it exits, and nobody asked for that".to_owned());
        };
        if self.orchestrator.own_job != OwnJob::Stop {
            return;
        }
        let is_excused = self.people.is_late_job_possible
            || self.people.started_at.is_some_and(|at| at >= since)
            || !self.bus.is_up;
        let left = self.systemd.services().find(|(_, service)| !service.is_at_rest());
        if let Some((worker, service)) = left.filter(|_| !is_excused) {
            let seen = format!("it exits, and worker {worker} is {service:?}");
            return self.violate("a stop stops", || seen);
        }
        // An operator who starts the cluster again wants all of it.
        self.forget_stopped();
        if let Some((worker, _)) = self.systemd.services().find(|(_, service)| !service.is_at_rest()) {
            self.people.may_stay |= 1 << worker;
        }
    }

    /// The orchestrator did not end in time.
    pub(crate) fn watch_overdue(&mut self) {
        use Class::{LateBus, LostConnection, Masked, Refused, SlowDisk, Stuck};
        let is_disturbed = [LateBus, LostConnection, Masked, Refused, SlowDisk, Stuck];
        let is_disturbed = is_disturbed.iter().any(|class| self.chaos.has(*class));
        if !is_disturbed || self.chaos.is_quiet {
            self.violate("a stop stops", || "it did not end in time".to_owned());
        }
    }

    /// What is in /run is gone after a boot, and so is the watch.
    pub(crate) fn watch_boot(&mut self) {
        if let Some(done) = &mut self.books.last_done {
            done.at = 0;
        }
    }

    pub(super) fn view(&self) -> Option<View> {
        self.orchestrator.core.as_ref().map(|core| core.view(self.clock()))
    }

    /// Checks the cluster when the world has been calm for a while and no rollout is under way.
    pub(crate) fn judge_calm(&mut self) {
        let Some(view) = self.view() else { return };
        let has_ended_well =
            !matches!(self.books.last_end, Some(RolloutState::Failed | RolloutState::Aborted));
        let may_run = |worker: u32, service: &Service| {
            let is_unknown = has(self.books.unknown | self.books.astray, worker) || self.disk.has_lost();
            !has_ended_well || service.release == self.disk.current || is_unknown
        };
        let is_sound = |worker: u32, service: &Service| {
            let is_given_up = service.phase == Phase::Failed && service.exit == Exit::UNSTARTABLE;
            let quality = self.disk.links[worker as usize].map(|at| self.disk.releases[at].quality);
            quality.is_none_or(Quality::is_sound) && !is_given_up
        };
        let mut seen = None;
        for (worker, service) in self.systemd.services().take(view.properties.desired as usize) {
            // It is not known any more who stopped it.
            let is_unknown = self.disk.has_lost() && service.is_at_rest();
            if has(self.people.may_stay, worker) || is_unknown || !is_sound(worker, service) {
                continue;
            }
            if !service.is_active() {
                seen = Some(("what should run runs", format!("worker {worker} is {service:?}")));
            } else if !may_run(worker, service) {
                let release = service.release.map(|at| &self.disk.releases[at].id);
                seen = Some(("what should run runs", format!("worker {worker} runs {release:?}")));
            }
        }
        if let Some((law, seen)) = seen {
            self.violate(law, || seen);
        }
        self.judge_stopped(&view);
        self.judge_others(&view);
        self.judge_watch();
    }

    fn judge_stopped(&mut self, view: &View) {
        for worker in 1..=view.properties.desired {
            let is_told = view.workers.iter().find(|told| told.instance.number() == worker);
            let is_held = is_told.is_some_and(|told| told.state == WorkerState::Stopped);
            let is_stopped = self.systemd.service(worker).is_at_rest();
            if is_held && !has(self.people.may_stay, worker) && !self.disk.has_lost() {
                self.violate("no worker is held", || format!("worker {worker}, which no operator stopped"));
            }
            // A worker that was killed because it drained for too long is failed, but still counts as stopped
            // by an operator.
            let is_failed = is_told.is_some_and(|told| told.state == WorkerState::Failed);
            if has(self.people.must_stay, worker) && !((is_held || is_failed) && is_stopped) {
                let seen = format!("worker {worker} is {:?}", self.systemd.service(worker));
                self.violate("what an operator stopped stays stopped", || seen);
            }
        }
    }

    fn judge_others(&mut self, view: &View) {
        let wanted = || self.systemd.services().take(view.properties.desired as usize);
        let is_missing = wanted().any(|(_, service)| !service.is_active());
        let is_other =
            |(worker, service): &(u32, &Service)| *worker > view.properties.desired && !service.is_at_rest();
        let other = self.systemd.services().find(is_other);
        if let Some((worker, service)) = other.filter(|_| !is_missing) {
            let seen = format!("worker {worker} is {service:?}");
            self.violate("nothing else runs", || seen);
        }
    }

    /// Whether a release was undone that most workers do not survive, or that accepts no connection.
    fn judge_watch(&mut self) {
        let Some(LastDone { to, at, .. }) = self.books.last_done else { return };
        let settings = &self.disk.settings;
        let is_watched = u128::from(self.now - at) < settings.watch.as_micros();
        let is_noticed = settings.backoff.burst <= 3 || settings.backoff.window.as_secs() == 60;
        let law = match self.disk.releases[to].quality {
            Quality::Bad(Class::DiesLater) if is_noticed => "what flaps after a rollout is undone",
            Quality::Bad(Class::AcceptsNothing) if self.clients.come > 0 => "what accepts nothing is undone",
            _ => return,
        };
        let may_go_back = self.way_back().is_some_and(|before| {
            let before = &self.disk.releases[before];
            before.is_on_disk && !before.is_rejected
        });
        let is_judged = is_watched && may_go_back && self.people.may_stay == 0;
        let is_last = self.books.last_end == Some(RolloutState::Done);
        if is_judged && is_last && self.disk.current == Some(to) && !self.disk.has_lost() {
            self.violate(law, || "it is current still".to_owned());
        }
    }

    /// Whether a release is undone because it accepts nothing, while a worker accepts.
    pub(crate) fn watch_log(&mut self, line: &Line) {
        /// The orchestrator decides by an answer that may be that old, in us.
        const LATE: u64 = 2_500_000;
        let accepts = |service: &Service| !service.is_deaf && service.has_been_ready_for(LATE, self.now);
        let accepting = self.systemd.services().find(|(_, service)| accepts(service));
        let is_undone = line.catalogued == Some(Catalogued::RolloutUndone);
        if let Some((worker, _)) = accepting.filter(|_| is_undone && line.text.contains("nobody accepts")) {
            self.violate("what accepts is not undone", || format!("worker {worker} accepts"));
        }
    }

    /// Checks the cluster after the last rollout.
    pub(crate) fn judge_last(&mut self) {
        let wanted = (1 << (self.disk.settings.workers + 1)) - 2;
        if self.people.may_stay & wanted == wanted {
            // No worker is left to show whether the release works.
            return;
        }
        if self.outcomes.last() != Some(&"done") {
            let outcome = self.outcomes.last().copied();
            return self.violate("the next good rollout succeeds", || format!("it ended as {outcome:?}"));
        }
        let Some(view) = self.view() else { return };
        if view.properties.desired != self.disk.settings.workers {
            let desired = view.properties.desired;
            return self.violate("what should run runs", || format!("{desired} workers are wanted"));
        }
        let is_wrong = |(worker, service): &(u32, &Service)| {
            // If a file was lost, it is not known any more who stopped it.
            let may_stay = has(self.people.may_stay, *worker) || self.disk.has_lost();
            let is_excused = may_stay && service.is_at_rest();
            let is_right = service.is_active() && service.release == self.books.last;
            !is_excused && !is_right
        };
        let wrong = self.systemd.services().take(view.properties.desired as usize).find(is_wrong);
        if let Some(seen) = wrong.map(|(worker, service)| format!("worker {worker} is {service:?}")) {
            return self.violate("the next good rollout succeeds", || seen);
        }
        self.judge_stopped(&view);
        self.judge_others(&view);
    }

    /// Checks that nothing happened for a long time.
    pub(crate) fn judge_rest(&mut self) {
        let effects = self.orchestrator.effects - self.books.effects_at_rest;
        let wake = self.orchestrator.core.as_ref().and_then(cluster::Cluster::next_wake);
        if effects > AT_REST || wake.is_some() {
            self.violate("rest", || format!("{effects} effects, and it wants to be woken: {wake:?}"));
        }
    }
}
