//! The beginning of a rollout. Everything that can be refused is refused here, before the first worker is
//! touched.

use std::time::Duration;

use names::Instance;

use super::active::{ActiveRollout, LONGEST_STEP, Plan};
use super::decide::check_probe;
use super::preparing::{Asked, Preparing, Purpose as For, Step};
use super::waiting::UNNOTICED;
use super::{Activity, Cluster, Purpose};
use crate::effect::{Call, Disk, Effect, Token};
use crate::event::Policy;
use crate::history::{Entry, Kind, State};
use crate::info::UnitInfo;
use crate::input::{Answer, EnqueueError, Refusal, Reply, Survey};
use crate::machine::Rollout;
use crate::moment::usec;
use crate::numbers::Limits;
use crate::order::{Order, Target};
use crate::plan::{Candidate, Planned, plan};
use crate::unit::JobId;

const MAKE_ROOM: &str = "no worker was touched, so make room there and try again";

impl Cluster {
    /// Begins to prepare a rollout.
    pub(super) fn prepare(&mut self, id: u64, purpose: For) {
        let settings = self.settings;
        // Only an operator's rollout applies what an operator has changed in the configuration. A rollout for
        // a worker, the watch or a predecessor must not.
        let is_ordered = matches!(
            &purpose,
            For::Order(Order { target: Target::Reload | Target::Deploy(_) | Target::Rollback(_), .. }, _)
        );
        let step = if is_ordered {
            Step::Configuring(self.disk(Disk::Settings, Purpose::Prepare(id)))
        } else {
            Step::Asking(Box::default())
        };
        let told_at = Some(self.in_time(UNNOTICED));
        self.activity =
            Activity::Preparing(Box::new(Preparing { id, purpose, callers: 1, settings, told_at, step }));
        if !is_ordered {
            self.ask_for_rollout();
        }
    }

    /// Asks systemd and the disk for everything that decides whether the rollout may begin.
    fn ask_for_rollout(&mut self) {
        let Activity::Preparing(preparing) = &self.activity else { return };
        let (id, settings) = (preparing.id, preparing.settings);
        let stages_package =
            matches!(&preparing.purpose, For::Order(order, _) if order.target == Target::Reload);
        let wanted = settings.workers.max(self.settings.workers);
        for instance in Instance::first(wanted) {
            self.workers.entry(instance).or_default();
        }
        let known: Vec<_> = self.workers.keys().copied().collect();
        let mut asked = Asked::default();
        for instance in known {
            asked.inspections.insert(self.call(Call::Inspect(instance), Purpose::Begun(id)), instance);
        }
        asked.socket_token = Some(self.call(Call::Socket, Purpose::Prepare(id)));
        let survey = Disk::Survey { stages_package, current: self.release.clone() };
        asked.survey_token = Some(self.disk(survey, Purpose::Prepare(id)));
        if let Activity::Preparing(preparing) = &mut self.activity {
            preparing.step = Step::Asking(Box::new(asked));
        }
    }

    /// A worker was inspected for the rollout that may begin.
    pub(super) fn read_for_rollout(&mut self, id: u64, token: Token, read: Result<Box<UnitInfo>, String>) {
        let Activity::Preparing(preparing) = &mut self.activity else { return };
        let (true, Step::Asking(asked)) = (preparing.id == id, &mut preparing.step) else { return };
        let Some(instance) = asked.inspections.remove(&token) else { return };
        match read {
            Ok(info) => self.learn(instance, |known| known.replace(*info)),
            Err(error) => asked.failed_read = Some(error),
        }
        self.begin_if_complete();
    }

    /// Whether this worker is being inspected for the rollout that may begin.
    pub(super) fn is_read_for_rollout(&self, instance: Instance) -> bool {
        let Activity::Preparing(preparing) = &self.activity else { return false };
        let Step::Asking(asked) = &preparing.step else { return false };
        asked.inspections.values().any(|read| *read == instance)
    }

    /// systemd has accepted the job of the probe, or refused it. If the instance is wanted by the time the
    /// job ends, the job must not count as an operator's stop.
    pub(super) fn probed(&mut self, id: u64, token: Token, job: Result<JobId, EnqueueError>) {
        const MOST: usize = 16;
        if let Ok(job) = &job {
            self.probes.push_back(*job);
            // The ends of older jobs were missed.
            self.probes.drain(..self.probes.len().saturating_sub(MOST));
        }
        self.prepare_answered(id, token, Answer::Enqueued(job));
    }

    /// An answer for the preparation, except for inspections.
    pub(super) fn prepare_answered(&mut self, id: u64, token: Token, answer: Answer) {
        let Activity::Preparing(preparing) = &mut self.activity else { return };
        if preparing.id != id {
            return;
        }
        match (&mut preparing.step, answer) {
            (Step::Configuring(of), Answer::Settings(read)) if *of == token => match read {
                Ok(settings) => {
                    preparing.settings = settings;
                    // These settings are newer than the deferred ones.
                    self.deferred = self.deferred.map(|_| settings);
                    self.ask_for_rollout();
                }
                Err(problems) => self.refuse(Refusal::Configuration(problems)),
            },
            (Step::Asking(asked), answer) => {
                match answer {
                    Answer::Socket(socket) => (asked.socket_token, asked.socket) = (None, Some(socket)),
                    Answer::Surveyed(survey) => (asked.survey_token, asked.survey) = (None, Some(survey)),
                    _ => {}
                }
                self.begin_if_complete();
            }
            (Step::Probing(of, plan, survey), Answer::Enqueued(job)) if *of == token => {
                let (plan, survey) = (plan.as_ref().clone(), survey.as_ref().clone());
                match check_probe(job.err()) {
                    Ok(()) => self.write_down(plan, &survey),
                    Err(refusal) => self.refuse(refusal),
                }
            }
            (Step::Trying(of, plan, boot_id), Answer::Done(done)) if *of == token => {
                let (plan, boot_id) = (plan.as_ref().clone(), boot_id.clone());
                match done {
                    Ok(()) => self.write_history(plan, boot_id),
                    Err(error) => self.refuse(Refusal::Refused(format!("{error}; {MAKE_ROOM}"))),
                }
            }
            (Step::Writing(of, plan), Answer::Done(done)) if *of == token => {
                let plan = plan.as_ref().clone();
                self.written_down(id, plan, done);
            }
            _ => {}
        }
    }

    fn begin_if_complete(&mut self) {
        let Activity::Preparing(preparing) = &mut self.activity else { return };
        let Step::Asking(asked) = &mut preparing.step else { return };
        if !asked.is_complete() {
            return;
        }
        let asked = std::mem::take(asked.as_mut());
        match self.decide(asked) {
            Ok((plan, survey)) => self.probe(plan, survey),
            Err(refusal) => self.refuse(refusal),
        }
    }

    /// Asks systemd to stop a worker that does not run. That changes nothing, but systemd refuses it if it
    /// would refuse to stop a worker that runs.
    fn probe(&mut self, plan: Plan, survey: Survey) {
        let Activity::Preparing(preparing) = &self.activity else { return };
        let (id, settings) = (preparing.id, preparing.settings);
        let is_resumed = matches!(&preparing.purpose, For::Resume(_));
        let wanted = settings.workers.max(self.settings.workers);
        let mut beyond =
            (wanted.saturating_add(settings.surge).saturating_add(1)..).filter_map(Instance::new);
        match beyond.find(|unused| !self.workers.contains_key(unused)).filter(|_| !is_resumed) {
            Some(unused) => {
                let token = self.call(Call::Stop(unused), Purpose::Probe(id));
                if let Activity::Preparing(preparing) = &mut self.activity {
                    preparing.step = Step::Probing(token, Box::new(plan), Box::new(survey));
                }
            }
            None => self.write_down(plan, &survey),
        }
    }

    /// Writes to disk what is about to happen, the ledger first.
    fn write_down(&mut self, plan: Plan, survey: &Survey) {
        let Activity::Preparing(preparing) = &self.activity else { return };
        let id = preparing.id;
        if !plan.is_recorded() || matches!(&preparing.purpose, For::Resume(_)) {
            return self.begin(id, plan, usec(self.now.moment));
        }
        let boot_id = match &survey.boot_id {
            Ok(boot_id) => boot_id.clone(),
            Err(error) => return self.refuse(Refusal::Refused(error.clone())),
        };
        if survey.current != self.release
            && let Some(release) = self.release.clone()
        {
            // A program has removed or changed the link.
            self.make_current(release);
        }
        let token = self.disk(Disk::Ledger(self.ledger.clone()), Purpose::Prepare(id));
        if let Activity::Preparing(preparing) = &mut self.activity {
            preparing.step = Step::Trying(token, Box::new(plan), boot_id);
        }
    }

    fn write_history(&mut self, plan: Plan, boot_id: String) {
        let Activity::Preparing(preparing) = &self.activity else { return };
        let id = preparing.id;
        self.history.begin(Entry {
            id,
            begun_usec: self.now.epoch_usec(),
            begun_monotonic_usec: usec(self.now.moment),
            boot_id,
            ended_usec: None,
            kind: plan.kind,
            by: plan.by.clone(),
            from: plan.from.clone(),
            to: plan.to.clone(),
            canary: plan.canary,
            state: State::Running,
            failure: None,
        });
        let token = self.disk(Disk::History(self.history.shared()), Purpose::Prepare(id));
        if let Activity::Preparing(preparing) = &mut self.activity {
            preparing.step = Step::Writing(token, Box::new(plan));
        }
    }

    fn written_down(&mut self, id: u64, plan: Plan, done: Result<(), String>) {
        let begun = self.history.find(id).map_or(usec(self.now.moment), |entry| entry.begun_monotonic_usec);
        match done {
            Ok(()) => self.begin(id, plan, begun),
            Err(error) => {
                // The entry may be on disk, but not durable.
                self.history.forget(id);
                self.save_history();
                self.refuse(Refusal::Refused(format!("{error}; {MAKE_ROOM}")));
            }
        }
    }

    /// Begins the rollout. A process that started after `begun_usec` and runs the new release is not replaced
    /// again. A predecessor may have started it, or systemd after a crash.
    fn begin(&mut self, id: u64, plan: Plan, begun_usec: u64) {
        let activity = std::mem::replace(&mut self.activity, Activity::None);
        let Activity::Preparing(preparing) = activity else { return };
        self.settings = preparing.settings;
        self.note_missing();
        self.refused = None;
        if let For::Order(_, caller) = preparing.purpose {
            // This replaces the rollout of a predecessor that could not continue.
            (self.unfinished, self.resume_at) = (None, None);
            self.answer_begun(caller, id);
            self.start_machine(id, plan, begun_usec, false);
        } else if let For::Resume(entry) = preparing.purpose {
            self.resume_machine(plan, &entry);
        }
    }

    pub(super) fn start_machine(&mut self, id: u64, plan: Plan, begun_usec: u64, is_paused: bool) {
        let is_new = |instance: Instance| plan.to.as_ref().is_none_or(|to| self.runs(instance, to));
        let replaced: Vec<_> =
            self.started_since(begun_usec).into_iter().filter(|instance| is_new(*instance)).collect();
        let planned = self.planned(&plan, |instance| replaced.contains(&instance));
        self.unlink_untouched(&plan, &planned);
        let (machine, actions) = Rollout::begin(&planned, self.policy(&plan), is_paused);
        let wanted = planned.iter().filter(|p| p.instance.number() <= self.settings.workers).count();
        let deadline = self.rollout_deadline(plan.step_timeout, planned.len());
        let mut rollout = ActiveRollout::new(id, machine, plan, deadline, self.now);
        // Without a canary, only an operator can have paused it.
        rollout.is_paused_by_person = is_paused && rollout.plan.canary.is_none();
        self.log_begun(&rollout, wanted);
        self.run_machine(rollout, actions);
    }

    /// Links workers back to the old release that a predecessor linked to the new one but did not restart. If
    /// they crash before their turn, they must restart on the old release.
    fn unlink_untouched(&mut self, plan: &Plan, planned: &[Planned]) {
        let (Some(from), Some(to)) = (&plan.from, &plan.to) else { return };
        // After a rollout that ended halfway, a worker may already run the new release. It keeps its link.
        let is_new = |one: &Planned| one.is_replaced || self.runs(one.instance, to);
        let is_untouched = |one: &&Planned| one.is_linked && !is_new(one) && !one.unit.has_job;
        let untouched: Vec<_> = planned.iter().filter(is_untouched).map(|one| one.instance).collect();
        for instance in untouched {
            self.point(instance, from, Purpose::Point(instance, from.clone()));
        }
    }

    /// The plan for these workers, or for all. Workers that ask to be replaced are replaced one at a time,
    /// whatever the settings allow.
    pub(super) fn planned(&self, of: &Plan, is_replaced: impl Fn(Instance) -> bool) -> Vec<Planned> {
        let only = &of.only;
        let desired = self.settings.workers;
        let surge = self.settings.surge.min(if only.is_some() { 1 } else { u32::MAX });
        let has_part = |candidate: &Candidate| {
            let instance = candidate.instance;
            instance.number() > desired || only.as_ref().is_none_or(|only| only.contains(&instance))
        };
        let candidates: Vec<_> = self.candidates().into_iter().filter(has_part).collect();
        let mut planned = plan(&candidates, desired, surge, is_replaced);
        for one in &mut planned {
            one.is_unsure = self.is_unsure(one.instance);
            one.is_linked = of.from.is_some() && self.ledger.points_to(one.instance) == of.to.as_ref();
        }
        planned
    }

    pub(super) fn policy(&self, plan: &Plan) -> Policy {
        let settings = &self.settings;
        Policy {
            settle: settings.settle,
            // A rollout that goes back leaves a release because it is bad, so that release cannot be the
            // measure.
            limits: match plan.kind {
                Kind::Rollback | Kind::Undo | Kind::Recycle => Limits::NONE,
                Kind::Package | Kind::Deploy | Kind::Reload => settings.limits,
            },
            max_unavailable: match plan.only {
                Some(_) => u32::from(settings.surge == 0),
                None => settings.max_unavailable,
            },
            on_failure: settings.on_failure,
            has_previous: plan.from.is_some(),
            canary: plan.canary,
        }
    }

    /// How long the whole rollout may take.
    pub(super) fn rollout_deadline(&self, step_timeout: Duration, steps: usize) -> Duration {
        self.settings.deadline.unwrap_or_else(|| {
            // The extra worker's stop counts as a step.
            let steps = u32::try_from(steps + 1).unwrap_or(u32::MAX);
            step_timeout.checked_mul(steps).unwrap_or(LONGEST_STEP)
        })
    }

    pub(super) fn started_since(&self, usec: u64) -> Vec<Instance> {
        let since = self
            .workers
            .iter()
            .filter(|(_, worker)| worker.info.main_pid != 0 && worker.info.started_usec >= usec);
        since.map(|(instance, _)| *instance).collect()
    }

    /// The rollout does not begin. The caller gets the reason.
    pub(super) fn refuse(&mut self, refusal: Refusal) {
        let activity = std::mem::replace(&mut self.activity, Activity::None);
        let Activity::Preparing(preparing) = activity else { return };
        let (id, is_told) = (preparing.id, preparing.is_told());
        if let (For::Order(order, _), true) = (&preparing.purpose, is_told) {
            self.announce_refused(id, order, refusal.message());
        }
        match preparing.purpose {
            For::Order(order, _) if matches!(order.target, Target::Recycle(_)) => {
                self.recycling_refused(&order, refusal.message());
            }
            For::Order(order, _) if matches!(order.target, Target::Undo(_)) => {
                self.undo_refused(refusal.message());
            }
            For::Order(_, Some(caller)) => {
                // `systemctl reload` cannot print the reason on the caller's terminal, but `systemctl status`
                // shows it.
                self.refused = Some(refusal.message().to_owned());
                self.effects.push_back(Effect::Reply(caller, Err(refusal)));
            }
            For::Order(order, None) => {
                self.refused = Some(refusal.message().to_owned());
                self.log_refused(id, refusal.message());
                if !is_told {
                    self.announce_refused(id, &order, refusal.message());
                }
            }
            For::Resume(entry) => self.not_resumed(*entry, refusal.message()),
        }
        self.apply_deferred();
        self.begin_queued();
    }

    pub(super) fn answer_begun(&mut self, caller: Option<crate::input::Caller>, id: u64) {
        if let Some(caller) = caller {
            self.effects.push_back(Effect::Reply(caller, Ok(Reply::Rollout(id))));
        }
    }
}
