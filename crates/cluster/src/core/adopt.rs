//! How the orchestrator finds out what runs: at the start, and whenever it may have missed signals.

use std::collections::BTreeSet;

use names::Instance;

use super::supervise::CARRIED_OUT;
use super::worker::{Owner, Verb, Worker};
use super::{Cluster, Looking, Phase, Purpose};
use crate::effect::{Call, Disk, Effect, Token};
use crate::input::{Opened, SocketState, Survey};
use crate::ledger::StoppedBy;
use crate::unit::ActiveState;

impl Cluster {
    /// The disk was read.
    pub(super) fn opened(&mut self, opened: Opened) {
        let Opened { history, ledger, links } = opened;
        self.history = crate::history::History::new(history);
        self.ledger = ledger;
        self.links = links.into_iter().collect();
        self.is_opened = true;
        match self.phase {
            Phase::Asking(_) => self.ask_why(),
            _ => self.begin_looking(),
        }
    }

    /// The bus is connected, for the first time or again.
    pub(super) fn connected(&mut self) {
        self.is_connected = true;
        match self.phase {
            Phase::Opening | Phase::Looking(_) => self.begin_looking(),
            Phase::Asking(_) => self.ask_why(),
            Phase::Starting | Phase::Running | Phase::Stopping(_) => self.look_again("the bus is back"),
            Phase::Ended => {}
        }
    }

    /// The connection to the bus is lost. The workers are not affected.
    pub(super) fn disconnected(&mut self) {
        if std::mem::replace(&mut self.is_connected, false) && !matches!(self.phase, Phase::Ended) {
            self.warn(
                "the system bus is gone; the workers go on serving, trying to connect again".to_owned(),
            );
        }
    }

    /// PID 1 has read the unit files again.
    pub(super) fn reloaded(&mut self) {
        self.read_socket();
        let now = self.now.moment;
        for worker in self.workers.values_mut().filter(|worker| worker.is_known && !worker.info.is_loaded()) {
            worker.look_at = Some(now);
        }
    }

    /// PID 1 has executed itself again.
    pub(super) fn reexecuted(&mut self) {
        self.call(Call::Subscribe, Purpose::Subscribe);
        match self.phase {
            Phase::Opening | Phase::Looking(_) => self.begin_looking(),
            Phase::Starting | Phase::Running | Phase::Stopping(_) => {
                self.look_again("systemd re-executed itself");
            }
            Phase::Asking(_) | Phase::Ended => {}
        }
    }

    /// Reads everything again, because signals may have been missed. A missing signal never counts as a
    /// failure.
    fn look_again(&mut self, why: &str) {
        self.info(format!("{why}: looking at all workers again"));
        let now = self.now.moment;
        for worker in self.workers.values_mut() {
            worker.look_at = Some(now);
        }
        self.is_reading_socket = false;
        self.read_socket();
        self.call(Call::List, Purpose::List);
        // An operator may have started one that was stopped, and it has ended by itself. If systemd has
        // unloaded its unit since, only the journal knows.
        for instance in
            Instance::first(self.settings.workers).filter(|i| self.ledger.is_held(*i)).collect::<Vec<_>>()
        {
            self.ask_the_journal(instance);
        }
    }

    pub(super) fn has_adopted(&self) -> bool {
        matches!(self.phase, Phase::Starting | Phase::Running | Phase::Stopping(_))
    }

    fn begin_looking(&mut self) {
        let is_starting = matches!(self.phase, Phase::Opening | Phase::Looking(_));
        if !self.is_connected || !self.is_opened || !is_starting {
            return;
        }
        self.phase = Phase::Looking(Box::default());
        // What is known of the workers may be out of date.
        self.workers.clear();
        self.call(Call::List, Purpose::List);
        self.call(Call::Socket, Purpose::AdoptSocket);
        self.disk(Disk::Survey { stages_package: true, current: None }, Purpose::AdoptSurvey);
    }

    /// systemd has listed the units of the workers.
    pub(super) fn listed(&mut self, listed: Result<(Vec<Instance>, Vec<String>), String>) {
        let (instances, odd) = match listed {
            Ok(listed) => listed,
            Err(error) if !self.is_connected => return drop(error),
            Err(error) if matches!(self.phase, Phase::Looking(_)) => return self.fail(error),
            Err(error) => {
                self.warn(error);
                // The stop of the cluster does not wait for a list. It stops the workers that are known.
                if !matches!(self.phase, Phase::Stopping(_)) {
                    return;
                }
                (Vec::new(), Vec::new())
            }
        };
        if !odd.is_empty() {
            let (units, verb) =
                (odd.join(" and "), if odd.len() == 1 { "runs and is" } else { "run and are" });
            self.warn(format!(
                "{units} {verb} none of the cluster's workers; `systemctl stop {}` stops what should not run",
                odd.join(" ")
            ));
        }
        match &mut self.phase {
            Phase::Looking(looking) => {
                looking.units = Some(instances.clone());
                for instance in instances.into_iter().chain(Instance::first(self.settings.workers)) {
                    self.know(instance);
                }
            }
            Phase::Stopping(_) => self.listed_while_stopping(instances),
            _ => instances.into_iter().for_each(|instance| self.know(instance)),
        }
    }

    pub(super) fn adopt_socket(&mut self, read: Result<SocketState, String>) {
        match read {
            Ok(socket) => {
                if let Phase::Looking(looking) = &mut self.phase {
                    looking.socket = Some(socket);
                }
            }
            Err(error) if self.is_connected && matches!(self.phase, Phase::Looking(_)) => self.fail(error),
            Err(_) => {}
        }
    }

    pub(super) fn adopt_survey(&mut self, survey: Result<Box<Survey>, String>) {
        match survey {
            Ok(survey) => {
                if let Phase::Looking(looking) = &mut self.phase {
                    looking.survey = Some(*survey);
                }
            }
            Err(error) if matches!(self.phase, Phase::Looking(_)) => self.fail(error),
            Err(_) => {}
        }
    }

    /// Fails the start. systemd starts the orchestrator again.
    pub(super) fn fail(&mut self, why: String) {
        self.phase = Phase::Ended;
        self.effects.push_back(Effect::Fail(why));
    }

    /// Adopts the cluster once everything is known. Workers that run go on running; those that are missing
    /// are started.
    pub(super) fn maybe_adopt(&mut self) {
        let is_known = self.workers.values().all(|worker| worker.is_known && worker.looks == 0);
        let Phase::Looking(looking) = &mut self.phase else { return };
        let Looking { units: Some(_), socket: Some(socket), survey: Some(survey), is_failing: false, .. } =
            looking.as_mut()
        else {
            return;
        };
        if !is_known {
            return;
        }
        let (socket, survey) = (socket.clone(), survey.clone());
        if looking.stopped.is_none() {
            self.ask_who_was_stopped();
        }
        let Phase::Looking(looking) = &mut self.phase else { return };
        if !looking.questions.is_empty() {
            return;
        }
        let stopped = looking.stopped.take().unwrap_or_default();
        looking.is_failing = true;
        if let Some(stranger) = self.stranger() {
            return self.fail(format!("{stranger}; nothing was touched"));
        }
        let is_any_up = self.workers.values().any(|worker| worker.info.unit().is_up());
        if !is_any_up && !self.has_listener(&socket) {
            return;
        }
        self.socket = Some(socket);
        // Clients can call the orchestrator only when nothing prevents its start.
        self.effects.push_back(Effect::Serve);
        self.adopt(&survey, &stopped);
    }

    /// Asks about workers that ran under the predecessor and are down. systemd unloads a unit that is down,
    /// but the journal knows the last job of the unit.
    fn ask_who_was_stopped(&mut self) {
        let known_to = self.ledger.wanted.unwrap_or(0).min(self.settings.workers);
        // If none of the wanted workers runs, the whole cluster was stopped. Other workers may have been
        // started since.
        let is_any_up = self.workers.iter().any(|(instance, worker)| {
            instance.number() <= known_to && !(worker.info.is_down() && worker.info.job.is_none())
        });
        let is_suspect = |(instance, worker): &(&Instance, &Worker)| {
            instance.number() <= known_to
                && worker.info.active == ActiveState::Inactive
                && worker.info.job.is_none()
                && self.links.contains_key(instance)
                && !self.ledger.stopped.contains_key(instance)
        };
        let suspects: Vec<_> =
            self.workers.iter().filter(|_| is_any_up).filter(is_suspect).map(|(i, _)| *i).collect();
        let mut questions = BTreeSet::new();
        for instance in suspects {
            questions.insert(self.ask_the_journal(instance));
        }
        if let Phase::Looking(looking) = &mut self.phase {
            looking.stopped = Some(BTreeSet::new());
            looking.questions = questions;
        }
    }

    /// Asks whether the last job of this worker was a stop.
    fn ask_the_journal(&mut self, instance: Instance) -> Token {
        let token = self.token(Purpose::WasStopped(instance));
        self.effects.push_back(Effect::WasStopped(token, instance));
        token
    }

    pub(super) fn was_stopped(&mut self, instance: Instance, token: Token, was: bool) {
        if let Phase::Looking(looking) = &mut self.phase {
            if looking.questions.remove(&token)
                && let Some(stopped) = looking.stopped.as_mut().filter(|_| was)
            {
                stopped.insert(instance);
            }
        } else if !was && self.ledger.is_held(instance) {
            self.ledger.stopped.remove(&instance);
            self.is_ledger_saved = false;
        }
    }

    /// Finds a unit that has the name of a worker but does not belong to the cluster. The orchestrator never
    /// starts or stops such a unit.
    pub(super) fn stranger(&self) -> Option<String> {
        let (instance, worker) = self.workers.iter().find(|(_, worker)| worker.info.is_stranger())?;
        let (unit, socket) = (self.names.unit(*instance), &self.names.socket);
        Some(format!(
            "{} makes {unit} a unit that does not take {socket} (Sockets=), so it is no worker of this cluster; remove that file or give it another name, then `systemctl daemon-reload`",
            worker.info.fragment
        ))
    }

    fn adopt(&mut self, survey: &Survey, stopped: &BTreeSet<Instance>) {
        let running = self.workers.values().filter(|worker| worker.info.main_pid != 0).count();
        let is_cold = self.is_cold();
        if is_cold {
            // An operator who starts the whole cluster wants all workers to run.
            self.ledger.stopped.retain(|_, by| *by == StoppedBy::Us);
            self.ledger.pointed.clear();
            // This comes before another release becomes the current one. If an operator starts a worker too
            // early, it must not execute the previous release. The ledger goes first: an orchestrator that
            // finds a worker without a link sets the link to what the ledger says.
            self.write_ledger();
            self.unlink_all_but(BTreeSet::new());
        } else {
            self.find_held(stopped);
        }
        self.forget_tried();
        // The history must not call a rollout interrupted before this. Until then, the current link may name
        // the release of that rollout.
        self.choose_release(is_cold, survey);
        if is_cold {
            self.links.clear();
        }
        self.find_unfinished(is_cold, &survey.boot_id);
        if let Some(wanted) = self.ledger.wanted.filter(|wanted| self.keeps_number(*wanted)) {
            self.deferred = Some(self.settings);
            self.settings.workers = wanted;
        }
        self.reconcile_links(is_cold);
        self.unlink_halted();
        self.ledger.wanted = Some(self.settings.workers);
        self.note_missing();
        let words = self.release.as_ref().map(|id| format!(", release {id}")).unwrap_or_default();
        match running {
            _ if is_cold => self.info(format!("starting {} workers{words}", self.settings.workers)),
            n => self.info(format!("found {n} running workers; not restarting them{words}")),
        }
        self.phase = Phase::Starting;
        self.extend();
        if is_cold {
            self.start_failed();
        }
    }

    /// Whether this number of workers stays wanted for now. A rollout continues with the number of workers
    /// with which it began.
    fn keeps_number(&self, wanted: u32) -> bool {
        self.unfinished.is_some() || self.is_surplus_old(wanted, self.settings.workers)
    }

    /// Whether no worker runs or is about to run.
    fn is_cold(&self) -> bool {
        self.workers.values().all(|worker| worker.info.is_down() && worker.info.job.is_none())
    }

    /// Finds the workers that an operator has stopped. A worker that runs is not one of them, whatever the
    /// ledger says.
    fn find_held(&mut self, stopped: &BTreeSet<Instance>) {
        let carried_out = self.in_time(CARRIED_OUT);
        for (instance, worker) in &mut self.workers {
            // The job is the predecessor's stop, or may be one: without a ledger that is not known.
            let is_lost = self.ledger.wanted.is_none();
            let is_extra = self.ledger.wanted.is_some_and(|wanted| instance.number() > wanted);
            let is_ours = is_lost || is_extra || self.ledger.stopped.get(instance) == Some(&StoppedBy::Us);
            if let Some(job) = worker.info.job.filter(|_| is_ours) {
                worker.remember(job);
            }
            // The predecessor has asked for this stop, and systemd may not have decided about it yet.
            let is_asked = self.ledger.stopped.get(instance) == Some(&StoppedBy::Us);
            if is_asked && !worker.info.is_down() {
                worker.unanswered = Some((Verb::Stop, carried_out));
            }
        }
        let workers = &self.workers;
        let is_up = |instance: &Instance| workers.get(instance).is_some_and(super::supervise::is_up);
        let is_down = |instance: &Instance| workers.get(instance).is_none_or(|worker| worker.info.is_down());
        self.ledger.stopped.retain(|instance, by| match by {
            StoppedBy::Us => !is_up(instance),
            StoppedBy::Operator => is_down(instance),
        });
        for instance in stopped {
            self.ledger.stopped.insert(*instance, StoppedBy::Operator);
            self.log_held(*instance);
        }
    }

    /// Starts workers that systemd has given up. An operator who starts the cluster is taken to have fixed
    /// the cause.
    fn start_failed(&mut self) {
        let is_failed = |instance: &Instance| {
            self.workers.get(instance).is_some_and(|worker| worker.info.active == ActiveState::Failed)
        };
        let failed: Vec<_> = Instance::first(self.settings.workers).filter(is_failed).collect();
        for instance in failed {
            self.start(instance, Owner::Keeper, self.release.clone());
        }
    }

    /// Sends READY=1 once no start is under way. A worker that failed to start does not delay that: systemd
    /// goes on trying, and the orchestrator is ready to do its part.
    pub(super) fn maybe_ready(&mut self) {
        if !matches!(self.phase, Phase::Starting) {
            return;
        }
        let is_under_way = |instance: &Instance| {
            self.workers.get(instance).is_none_or(|worker| {
                worker.job.is_some()
                    || worker.looks > 0
                    || !worker.failed_looks.is_empty()
                    || !worker.is_known
            })
        };
        if Instance::first(self.settings.workers).any(|instance| is_under_way(&instance)) {
            return;
        }
        self.phase = Phase::Running;
        let summary = self.cluster_summary();
        self.info(summary);
        self.effects.push_back(Effect::Ready);
        self.resume();
    }
}
