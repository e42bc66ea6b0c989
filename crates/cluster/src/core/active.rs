//! A rollout under way: the machine that decides, its deadlines, and the record that clients see.

use std::collections::BTreeMap;
use std::time::Duration;

use names::Instance;

use crate::event::{Attempt, Outcome};
use crate::history::Kind;
use crate::info::UnitInfo;
use crate::machine::Rollout;
use crate::moment::{Moment, Now, usec};
use crate::release::ReleaseId;
use crate::step::{Step, StepState};
use crate::unit::InvocationId;
use crate::view;

/// The longest time for a step if systemd's own timeouts are off.
pub(super) const LONGEST_STEP: Duration = Duration::from_secs(24 * 60 * 60);

/// The last log lines of the worker that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LastWords {
    /// No worker has failed so far.
    NotNeeded,
    Awaited,
    /// They were read, and may be empty.
    Known,
}

/// What a rollout does, and for which workers.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) kind: Kind,
    /// Who asked for it.
    pub(crate) by: String,
    /// The release to go back to. `None` if the workers are only restarted.
    pub(crate) from: Option<ReleaseId>,
    /// The release that the workers execute in the end. `None` if there are no releases.
    pub(crate) to: Option<ReleaseId>,
    /// The number of workers after which the rollout waits.
    pub(crate) canary: Option<u32>,
    /// The workers to replace. `None` for all.
    pub(crate) only: Option<Vec<Instance>>,
    /// Why the package's release is not the one that the workers are brought to.
    pub(crate) left_out: Option<String>,
    /// How long replacing one worker may take.
    pub(crate) step_timeout: Duration,
}

impl Plan {
    /// Whether the history records the rollout. Workers ask for a recycling again and again, and those must
    /// not displace the rollouts of operators.
    pub(crate) fn is_recorded(&self) -> bool {
        self.kind != Kind::Recycle
    }
}

/// A run of a worker's unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) invocation: InvocationId,
    /// The main process, or 0 while it is not known.
    pub(crate) pid: u32,
}

/// A try at one worker.
#[derive(Debug, Clone, Copy)]
struct Try {
    attempt: Attempt,
    /// When it began, in microseconds since the Unix epoch. The last log lines of a failed worker are those
    /// since then.
    began_usec: u64,
    /// The first run of the unit in this try. systemd may have begun further runs since.
    run: Option<Run>,
    deadline: Moment,
    /// The try ends by this time, even if systemd grants the worker more.
    latest: Moment,
    /// systemd was not asked, because too few others served. The time of the try begins when it is.
    has_waited: bool,
}

/// The time that is left for the whole rollout.
#[derive(Debug, Clone, Copy)]
enum Clock {
    /// The rollout has to end by this time.
    Runs(Moment),
    /// The rollout waits for an operator. It has this much time once it continues.
    Stands(Duration),
    /// The time is over, and the machine knows.
    Over,
}

/// What happens after the machine has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The machine has not ended, or the last log lines are still being read.
    NotYet,
    /// The release that all workers now run is being made the current one.
    Committing,
    /// The outcome is being written to the history.
    Noting,
}

/// A rollout under way.
#[derive(Debug)]
pub(crate) struct ActiveRollout {
    pub(crate) machine: Rollout,
    pub(crate) record: view::Rollout,
    pub(crate) plan: Plan,
    pub(crate) last_words: LastWords,
    /// How the machine ended, once it has.
    pub(crate) outcome: Option<Outcome>,
    pub(crate) ending: Ending,
    /// Why the link of some worker could not be set back to the old release.
    pub(crate) stuck: Option<String>,
    /// Why a predecessor went back.
    pub(crate) known_failure: Option<String>,
    pub(crate) has_turned_back: bool,
    /// An operator has asked this orchestrator to pause it.
    pub(crate) is_paused_by_person: bool,
    /// The number of links that are still being set back. No worker is inspected before all are.
    pub(crate) relinking: u32,
    /// How many connections its workers have closed by force at the end of a drain.
    pub(crate) cut: u64,
    clock: Clock,
    tries: BTreeMap<Instance, Try>,
    /// When the settle time of each worker is over.
    pub(crate) settling: BTreeMap<Instance, Moment>,
    /// When to inspect all workers, because the rollout waits for one to serve again.
    pub(crate) look_at_all: Option<Moment>,
}

impl ActiveRollout {
    /// Creates a rollout at its beginning. It has to end within `deadline`.
    pub(crate) fn new(id: u64, machine: Rollout, plan: Plan, deadline: Duration, now: Now) -> Self {
        let from = plan.from.clone().or_else(|| plan.to.clone());
        let record = view::Rollout {
            id,
            kind: plan.kind,
            by: plan.by.clone(),
            state: view::RolloutState::Running,
            from,
            to: plan.to.clone(),
            steps: Vec::new(),
            message: String::new(),
            failure: None,
            step_timeout_usec: usec(plan.step_timeout),
            deadline_usec: 0,
        };
        Self {
            machine,
            record,
            plan,
            last_words: LastWords::NotNeeded,
            outcome: None,
            ending: Ending::NotYet,
            stuck: None,
            known_failure: None,
            has_turned_back: false,
            is_paused_by_person: false,
            relinking: 0,
            cut: 0,
            clock: Clock::Runs(now.moment.saturating_add(deadline)),
            tries: BTreeMap::new(),
            settling: BTreeMap::new(),
            look_at_all: None,
        }
    }

    /// When the rollout next has something to do.
    pub(crate) fn next_wake(&self) -> Option<Moment> {
        if self.outcome.is_some() {
            return None;
        }
        let is_at_try = |(instance, current): &(&Instance, &Try)| self.runs_out(**instance, current.attempt);
        let steps = self.tries.iter().filter(is_at_try).map(|(_, current)| current.deadline).min();
        let whole = match self.clock {
            Clock::Runs(until) => Some(until),
            Clock::Stands(_) | Clock::Over => None,
        };
        [steps, whole, self.settling.values().min().copied(), self.look_at_all].into_iter().flatten().min()
    }

    /// Begins a try at this worker. Returns false if it is the try under way, only requested again, which
    /// continues.
    pub(crate) fn try_begins(&mut self, instance: Instance, attempt: Attempt, now: Now) -> bool {
        let deadline = now.moment.saturating_add(self.plan.step_timeout);
        if let Some(current) = self.tries.get_mut(&instance).filter(|current| current.attempt == attempt) {
            if std::mem::take(&mut current.has_waited) {
                current.deadline = deadline;
            }
            return false;
        }
        // On the way back, the time and the run of the first try stay. Otherwise the stop would hide what the
        // failed worker logged.
        let earlier = self.tries.get(&instance).filter(|_| self.machine.cause().is_some());
        let began_usec = earlier.map_or_else(|| now.epoch_usec(), |earlier| earlier.began_usec);
        let run = earlier.and_then(|earlier| earlier.run);
        let latest = now.moment.saturating_add(LONGEST_STEP);
        self.tries.insert(instance, Try { attempt, began_usec, run, deadline, latest, has_waited: false });
        true
    }

    /// Notes for which workers systemd is not asked yet, because too few others serve.
    pub(crate) fn note_who_waits(&mut self) {
        for step in self.machine.steps().iter().filter(|step| step.waits_for_others()) {
            if let Some(current) = self.tries.get_mut(&step.instance()) {
                current.has_waited = true;
            }
        }
    }

    /// Notes the present run of the unit and its main process. A run that systemd began after a failure is not
    /// the first one, and what it writes does not tell why the first one failed.
    pub(crate) fn sees_run(&mut self, instance: Instance, info: &UnitInfo) {
        let before = self.machine.step(instance).and_then(|step| step.before);
        let is_first = self.machine.cause().is_none() && info.restarts == 0;
        let invocation = info.invocation.filter(|_| is_first && info.invocation != before);
        let (Some(invocation), Some(current)) = (invocation, self.tries.get_mut(&instance)) else { return };
        let run = current.run.get_or_insert(Run { invocation, pid: info.main_pid });
        if run.invocation == invocation && info.main_pid != 0 {
            run.pid = info.main_pid;
        }
    }

    /// The run of the unit that the last try forward began, if it was seen.
    pub(crate) fn run_of(&self, instance: Instance) -> Option<Run> {
        self.tries.get(&instance).and_then(|current| current.run)
    }

    /// The time since which the log lines of this worker belong to the try, in microseconds since the Unix
    /// epoch.
    pub(crate) fn speaks_since(&self, instance: Instance) -> u64 {
        self.tries.get(&instance).map_or(0, |current| current.began_usec)
    }

    /// Whether this try is the one under way for this worker.
    pub(crate) fn is_at_try(&self, instance: Instance, attempt: Attempt) -> bool {
        self.machine.step(instance).is_some_and(|step| step.is_under_way() && step.attempt == attempt)
    }

    /// Whether this try is under way, and its time runs. The time stands while the worker waits for others. If
    /// the rollout takes no further worker, it does not wait.
    fn runs_out(&self, instance: Instance, attempt: Attempt) -> bool {
        let is_forward = self.machine.cause().is_none();
        let waits = is_forward && self.machine.step(instance).is_some_and(Step::waits_for_others);
        self.is_at_try(instance, attempt) && !waits
    }

    /// The tries whose deadline has passed.
    pub(crate) fn overdue_tries(&self, now: Moment) -> Vec<(Instance, Attempt)> {
        let overdue = self.tries.iter().filter(|(_, current)| current.deadline <= now);
        let at_try = overdue.filter(|(instance, current)| self.runs_out(**instance, current.attempt));
        at_try.map(|(instance, current)| (*instance, current.attempt)).collect()
    }

    /// Makes sure that the try at this worker does not end before this time.
    pub(crate) fn raise(&mut self, instance: Instance, until: Moment) {
        if let Some(current) = self.tries.get_mut(&instance) {
            current.deadline = current.deadline.max(until);
        }
    }

    /// Extends the deadline of the try at this worker. The whole rollout gets as much more time, unless an
    /// operator has limited it. Returns false if the try may not take that long.
    pub(crate) fn postpone(&mut self, instance: Instance, until: Moment, is_limited: bool) -> bool {
        let Some(current) = self.tries.get_mut(&instance).filter(|current| until <= current.latest) else {
            return false;
        };
        let more = until.saturating_sub(current.deadline);
        current.deadline = current.deadline.max(until);
        if let (Clock::Runs(end), false) = (&mut self.clock, is_limited) {
            *end = end.saturating_add(more);
        }
        true
    }

    /// Stops the clock of the whole rollout while it waits for an operator.
    pub(crate) fn mind_the_clock(&mut self, now: Moment) {
        self.clock = match (self.clock, self.machine.is_waiting()) {
            (Clock::Runs(until), true) => Clock::Stands(until.saturating_sub(now)),
            (Clock::Stands(left), false) => Clock::Runs(now.saturating_add(left)),
            (clock, _) => clock,
        };
    }

    /// Whether the rollout can take no worker until another one serves again.
    pub(crate) fn is_stalled(&self) -> bool {
        let is_under_way = self.machine.steps().iter().any(Step::is_under_way);
        self.outcome.is_none() && !is_under_way && !self.machine.is_waiting()
    }

    /// Notes that the machine knows that the time is over, so it is not reported twice.
    pub(crate) fn time_is_told(&mut self) {
        if let Clock::Runs(_) = self.clock {
            self.clock = Clock::Over;
        }
    }

    /// Whether the time for the whole rollout is over.
    pub(crate) fn is_overdue(&self, now: Moment) -> bool {
        matches!(self.clock, Clock::Runs(until) if until <= now)
    }

    /// Updates the record from the machine.
    pub(crate) fn refresh(&mut self, now: Now) {
        self.record.steps = self.machine.steps().iter().map(|step| self.step_record(step, now)).collect();
        if self.ending == Ending::Noting {
            // The record already says how the rollout ended.
            return;
        }
        let is_waiting = self.machine.is_waiting();
        self.record.state = if is_waiting { view::RolloutState::Paused } else { view::RolloutState::Running };
        self.record.deadline_usec = match self.clock {
            // Whole seconds: the value must not seem to change each time it is computed.
            _ if self.outcome.is_some() => 0,
            Clock::Runs(until) => now.epoch_usec_at(until).next_multiple_of(1_000_000),
            Clock::Stands(_) | Clock::Over => 0,
        };
        self.record.message = self.progress();
    }

    fn step_record(&self, step: &Step, now: Now) -> view::Step {
        let deadline = self.tries.get(&step.instance()).filter(|_| step.is_under_way());
        view::Step {
            instance: step.instance(),
            state: step.state(),
            is_surge: step.is_surge(),
            deadline_usec: deadline
                .map_or(0, |current| now.epoch_usec_at(current.deadline).next_multiple_of(1_000)),
        }
    }

    /// The progress as a message, as in `rolling to release 1.3.0: 2 of 4 replaced, worker@3 restarting`.
    fn progress(&self) -> String {
        if let Some(cause) = self.machine.cause() {
            return match &self.plan.from {
                Some(from) if self.machine.is_restoring() => format!("{cause}; going back to release {from}"),
                _ => format!("{cause}; no further worker is touched"),
            };
        }
        let (done, total) = self.count_replaced();
        let goal = self.goal();
        if self.machine.is_waiting() {
            let news: Vec<_> = self.machine.steps().iter().filter(|s| s.state() == StepState::Done).collect();
            return format!(
                "{goal}: paused with {} of {} workers on it; `app-cluster resume` goes on, `app-cluster abort` {}",
                news.len(),
                total + news.iter().filter(|step| step.is_surge()).count(),
                if self.plan.from.is_some() { "goes back" } else { "ends it" }
            );
        }
        let at_hand: Vec<_> = self.machine.steps().iter().filter_map(at_hand).collect();
        let at_hand = if at_hand.is_empty() { String::new() } else { format!(", {}", at_hand.join(", ")) };
        format!("{goal}: {done} of {total} replaced{at_hand}")
    }

    /// How many of the wanted workers are replaced, and the total number to replace.
    pub(crate) fn count_replaced(&self) -> (usize, usize) {
        let wanted = self.machine.steps().iter().filter(|step| !step.is_surge());
        let (done, others): (Vec<_>, Vec<_>) = wanted
            .filter(|step| step.state() != StepState::Skipped)
            .partition(|s| s.state() == StepState::Done);
        (done.len(), done.len() + others.len())
    }

    /// The aim as a phrase: `rolling to release 1.3.0`, `recycling`, or `restarting one after another`.
    pub(crate) fn goal(&self) -> String {
        match &self.plan.to {
            Some(to) if self.plan.from.is_some() => format!("rolling to release {to}"),
            _ if self.plan.only.is_some() => "recycling".to_owned(),
            _ => "restarting one after another".to_owned(),
        }
    }
}

fn at_hand(step: &Step) -> Option<String> {
    let what = match (step.state(), step.is_surge()) {
        (StepState::Restarting, false) => "restarting",
        (StepState::Restarting, true) => "starting",
        (StepState::Settling, _) => "ready and settling",
        (StepState::Stopping, _) => "stopping",
        _ => return None,
    };
    Some(format!("{} {what}", step.instance()))
}
