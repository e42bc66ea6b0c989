//! Decides whether a rollout may begin, and what it does. This happens when all questions are answered.

use std::time::Duration;

use names::Instance;

use super::active::{LONGEST_STEP, Plan};
use super::preparing::{Asked, Purpose as For};
use super::{Activity, Cluster};
use crate::history::Kind;
use crate::input::{EnqueueError, Found, Refusal, SocketState, Survey};
use crate::order::{Order, Target};
use crate::release::ReleaseId;
use crate::settings::Settings;
use crate::unit::ActiveState;

impl Cluster {
    /// Whether the rollout may begin, and what it does then.
    pub(super) fn decide(&mut self, asked: Asked) -> Result<(Plan, Survey), Refusal> {
        let Activity::Preparing(preparing) = &self.activity else {
            return Err(Refusal::Refused("nothing is to begin".to_owned()));
        };
        let settings = preparing.settings;
        if let For::Order(order, _) = &preparing.purpose {
            let held = |instance: &Instance| self.ledger.is_held(*instance);
            let workers = settings.workers - Instance::first(settings.workers).filter(held).count() as u32;
            check_canary(workers, settings.surge, order.canary)?;
        }
        let missing_answer = || Refusal::Refused("systemd did not answer; try again".to_owned());
        let socket = asked.socket.ok_or_else(missing_answer)?.map_err(Refusal::Refused)?;
        self.check_socket(&socket)?;
        self.socket = Some(socket);
        if let Some(error) = asked.failed_read {
            return Err(Refusal::Refused(error));
        }
        self.check_units()?;
        let survey = *asked.survey.ok_or_else(missing_answer)?.map_err(Refusal::Refused)?;
        let Activity::Preparing(preparing) = &self.activity else { return Err(missing_answer()) };
        let plan = match &preparing.purpose {
            For::Order(order, _) => self.plan_of(order, &settings, &survey)?,
            For::Resume(entry) => self.plan_again(entry, &settings),
        };
        if plan.from.is_some() {
            self.check_somebody_tries(&settings)?;
        }
        Ok((plan, survey))
    }

    fn plan_of(&self, order: &Order, settings: &Settings, survey: &Survey) -> Result<Plan, Refusal> {
        let only = match &order.target {
            Target::Recycle(workers) => Some(workers.clone()),
            _ => None,
        };
        let (kind, target) = self.target(&order.target, survey)?;
        let current = self.release.clone().or_else(|| survey.current.clone());
        let from = current.clone().filter(|current| target.as_ref().is_some_and(|to| to != current));
        let to = target.or(current);
        let step_timeout = self.step_timeout(settings);
        let left_out = match order.target {
            Target::Reload => self.left_out(survey),
            _ => None,
        };
        Ok(Plan { kind, by: order.by.clone(), from, to, canary: order.canary, only, left_out, step_timeout })
    }

    /// The release of the rollout. `None` if it restarts the workers on the current release.
    fn target(&self, target: &Target, survey: &Survey) -> Result<(Kind, Option<ReleaseId>), Refusal> {
        let (kind, to) = match target {
            Target::Reload => match self.packaged(survey)? {
                Some(id) => (Kind::Package, id),
                None => return Ok((Kind::Reload, None)),
            },
            Target::Recycle(_) => return Ok((Kind::Recycle, None)),
            Target::Deploy(id) => (Kind::Deploy, id.clone()),
            Target::Undo(id) => (Kind::Undo, id.clone()),
            Target::Rollback(Some(id)) => (Kind::Rollback, id.clone()),
            Target::Rollback(None) => (Kind::Rollback, self.previous(survey)?),
        };
        let found = found(survey, &to).ok_or_else(|| unknown(&to))?;
        found.runnable.clone().map_err(Refusal::Refused)?;
        Ok((kind, Some(to)))
    }

    /// The release of the package, if a reload is to bring it.
    fn packaged(&self, survey: &Survey) -> Result<Option<ReleaseId>, Refusal> {
        let Some(packaged) = &survey.packaged else { return Ok(None) };
        let id = packaged.as_ref().map_err(|error| Refusal::Refused(error.clone()))?;
        Ok(Some(id.clone()).filter(|_| self.left_out(survey).is_none()))
    }

    /// Why a reload does not bring the package's release, if the package has one that is not current. One that
    /// failed would fail again, and no reload would ever restart the workers.
    fn left_out(&self, survey: &Survey) -> Option<String> {
        let id = survey.packaged.as_ref()?.as_ref().ok()?;
        let why = match () {
            () if self.history.lineage().was_left(id) => "was left by a rollback",
            () if found(survey, id).is_some_and(|found| found.is_rejected) => "failed before",
            () => return None,
        };
        Some(format!("the package's release {id} {why}, `app-cluster rollback {id}` goes to it"))
    }

    /// The release that `rollback` without a name goes to.
    fn previous(&self, survey: &Survey) -> Result<ReleaseId, Refusal> {
        let none = || {
            let message = "there is no release to go back to; `app-cluster rollback ID` goes to one that `app-cluster releases` lists";
            Refusal::NoSuchRelease(message.to_owned())
        };
        let current = self.release.as_ref().ok_or_else(none)?;
        let is_usable = |id: &&ReleaseId| {
            found(survey, id).is_some_and(|found| found.runnable.is_ok() && !found.is_rejected)
        };
        let lineage = self.history.lineage();
        lineage.before(current).find(is_usable).cloned().ok_or_else(none)
    }

    /// Whether a worker that starts now would get a listener.
    fn check_socket(&self, state: &SocketState) -> Result<(), Refusal> {
        let (socket, service) = (&self.names.socket, &self.names.service);
        if state.is_masked {
            return Err(Refusal::Refused(format!(
                "{socket} is masked: a worker started now would get no listener; `systemctl unmask {socket}`, then `app-cluster rebind`"
            )));
        }
        if state.active != ActiveState::Active {
            return Err(Refusal::Refused(format!(
                "{socket} is {}: a worker started now would get no listener; \
                 `systemctl stop {service} && systemctl reset-failed {socket} && systemctl start {service}` repairs it",
                state.active,
            )));
        }
        if !state.has_any {
            let lost = || format!("systemd has no listener for {socket}; `app-cluster rebind` makes one");
            let words = self.missing_words(state).unwrap_or_else(lost);
            return Err(Refusal::Refused(format!("a worker started now would get no listener: {words}")));
        }
        Ok(())
    }

    /// Whether systemd can start the workers, as they were just inspected.
    fn check_units(&mut self) -> Result<(), Refusal> {
        let unusable = self.workers.iter().find(|(_, worker)| !worker.info.is_loaded());
        if let Some((&instance, worker)) = unusable {
            let (unit, load_state) = (self.names.unit(instance), &worker.info.load_state);
            return Err(Refusal::Refused(format!(
                "systemd cannot use the unit files of {unit} (it says `{load_state}`): it could not be started; \
                 `systemd-analyze verify {unit}` tells what is wrong, then `systemctl daemon-reload`"
            )));
        }
        if let Some(stranger) = self.stranger() {
            return Err(Refusal::Refused(stranger));
        }
        let changed = self.workers.iter().find(|(_, worker)| worker.info.needs_daemon_reload);
        if let Some((&instance, _)) = changed {
            self.warn(format!(
                "the unit files of {instance} changed on disk: workers are started as before; \
                 `systemctl daemon-reload` and a reload bring the change"
            ));
        }
        Ok(())
    }

    pub(super) fn are_all_held(&self, settings: &Settings) -> bool {
        Instance::first(settings.workers).all(|instance| {
            self.ledger.is_held(instance) && self.workers.get(&instance).is_none_or(|w| w.info.is_down())
        })
    }

    /// Refuses a new release if an operator has stopped all workers, because no worker would prove it.
    fn check_somebody_tries(&self, settings: &Settings) -> Result<(), Refusal> {
        if !self.are_all_held(settings) {
            return Ok(());
        }
        let unit = Instance::new(1).map(|first| self.names.unit(first)).unwrap_or_default();
        Err(Refusal::Refused(format!(
            "an operator stopped all workers, so none would show whether the release works; `systemctl start {unit}` starts one"
        )))
    }

    /// How long replacing one worker may take.
    pub(super) fn step_timeout(&self, settings: &Settings) -> Duration {
        if let Some(deadline) = settings.worker_deadline {
            return deadline;
        }
        let longest = self.workers.values().map(|worker| worker.info.restart_timeout()).max();
        longest.unwrap_or_default().saturating_add(settings.settle).min(LONGEST_STEP)
    }
}

fn found<'a>(survey: &'a Survey, id: &ReleaseId) -> Option<&'a Found> {
    survey.releases.iter().find(|found| found.id == *id)
}

pub(super) fn unknown(id: &ReleaseId) -> Refusal {
    Refusal::NoSuchRelease(format!("there is no release {id}; `app-cluster releases` lists them"))
}

/// Whether systemd does what the orchestrator asks. The probe asked it to stop a worker that does not run.
pub(super) fn check_probe(probe: Option<EnqueueError>) -> Result<(), Refusal> {
    Err(Refusal::Refused(match probe {
        None => return Ok(()),
        Some(EnqueueError::Refused(reason)) => format!(
            "systemd refuses to start and stop workers for this user: {reason}; see `systemctl status polkit` \
             and whether /usr/share/polkit-1/rules.d/app-cluster.rules is there"
        ),
        Some(EnqueueError::Unanswered(reason)) => format!("systemd does not answer: {reason}; try again"),
    }))
}

/// Refuses a canary that would leave no worker on the old release. If there is an extra worker, even a single
/// wanted worker stays there.
fn check_canary(workers: u32, surge: u32, canary: Option<u32>) -> Result<(), Refusal> {
    match canary {
        Some(canary) if canary >= workers.max(1 + surge.min(1)) => Err(Refusal::Refused(format!(
            "{canary} of {workers} workers are no canary: fewer have to take the new release first"
        ))),
        _ => Ok(()),
    }
}
