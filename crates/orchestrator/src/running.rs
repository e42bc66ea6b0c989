//! A rollout under way: the machine that decides, and the record that is shown of it.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rollout::{Attempt, Cause, Instance, Outcome, Rollout, StepState};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::board::Reading;
use crate::history::Kind;
use crate::names::Names;
use crate::releases::ReleaseId;

/// The last words of the worker that failed.
#[derive(Debug)]
pub(crate) enum LastWords {
    /// Nothing failed so far.
    NotNeeded,
    /// Being read from the journal.
    Awaited,
    /// Read; may be none.
    Known,
}

/// A rollout that may begin: what was found out and prepared for it.
#[derive(Debug, Clone)]
pub(crate) struct Prepared {
    pub(crate) kind: Kind,
    /// Who asked.
    pub(crate) by: String,
    /// The release to go back to; none if the workers are only restarted.
    pub(crate) from: Option<ReleaseId>,
    /// The release that is current while it runs.
    pub(crate) to: Option<ReleaseId>,
    /// After so many workers it waits.
    pub(crate) canary: Option<u32>,
    /// The workers to replace; none for all of them.
    pub(crate) only: Option<Vec<Instance>>,
    /// How long replacing one worker may take.
    pub(crate) step_timeout: Duration,
}

impl Prepared {
    /// Whether the history tells of it. Workers ask again by themselves, and must not displace what people have done.
    pub(crate) fn is_recorded(&self) -> bool {
        self.kind != Kind::Recycle
    }
}

/// A try at one worker.
#[derive(Debug, Clone, Copy)]
struct Try {
    attempt: Attempt,
    /// When its process was started: what the worker said since then is what it failed with.
    began: SystemTime,
    /// When it has to be over, in microseconds since the Unix epoch.
    deadline_usec: u64,
}

/// How long the whole rollout may still take.
#[derive(Debug, Clone, Copy)]
enum Clock {
    /// Until then.
    Runs(Instant),
    /// So long, once it goes on.
    Stands(Duration),
}

/// A rollout under way.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) machine: Rollout,
    pub(crate) record: api::Rollout,
    pub(crate) prepared: Prepared,
    pub(crate) last_words: LastWords,
    /// How it ended, once it has.
    pub(crate) outcome: Option<Outcome>,
    /// Why the old release could not be made current again.
    pub(crate) stuck: Option<String>,
    /// Why a predecessor had turned back.
    pub(crate) known_failure: Option<String>,
    /// Whether the old release was made current again.
    pub(crate) has_turned_back: bool,
    /// What is to be told when a time is over; with the rollout they end.
    timers: JoinSet<()>,
    clock: Clock,
    tries: BTreeMap<Instance, Try>,
    /// What was counted when a worker began to settle, while it settles and is compared with others; or why that is
    /// not known.
    pub(crate) begun_with: BTreeMap<Instance, Result<Reading, String>>,
}

impl Running {
    /// A rollout at its beginning, which has this long to end.
    pub(crate) fn new(id: u64, machine: Rollout, prepared: Prepared, deadline: Duration) -> Self {
        let name = |id: &Option<ReleaseId>| id.as_ref().map(ToString::to_string).unwrap_or_default();
        let from = if prepared.from.is_some() { &prepared.from } else { &prepared.to };
        let record = api::Rollout {
            id,
            kind: prepared.kind,
            by: prepared.by.clone(),
            state: api::RolloutState::Running,
            from: name(from),
            to: name(&prepared.to),
            steps: Vec::new(),
            message: String::new(),
            failure: Vec::new(),
            step_timeout_usec: usec(prepared.step_timeout),
            deadline_usec: 0,
        };
        Self {
            machine,
            record,
            prepared,
            last_words: LastWords::NotNeeded,
            outcome: None,
            stuck: None,
            known_failure: None,
            has_turned_back: false,
            timers: JoinSet::new(),
            clock: Clock::Runs(Instant::now() + deadline),
            tries: BTreeMap::new(),
            begun_with: BTreeMap::new(),
        }
    }

    /// Lets this be done later, unless the rollout is over by then.
    pub(crate) fn later(&mut self, timer: impl Future<Output = ()> + Send + 'static) {
        self.timers.spawn(timer);
    }

    /// A try at this worker begins; returns how long it may take. One that is only asked for again goes on.
    pub(crate) fn try_begins(&mut self, instance: Instance, attempt: Attempt) -> Option<Duration> {
        if self.tries.get(&instance).is_some_and(|current| current.attempt == attempt) {
            return None;
        }
        // What a worker said that failed is not to be missed because it is being stopped now.
        let earlier = self.tries.get(&instance).filter(|_| self.machine.cause().is_some());
        let began = earlier.map_or_else(SystemTime::now, |earlier| earlier.began);
        let deadline_usec = epoch_usec(SystemTime::now() + self.prepared.step_timeout);
        self.begun_with.remove(&instance);
        self.tries.insert(instance, Try { attempt, began, deadline_usec });
        Some(self.prepared.step_timeout)
    }

    /// The old process of this worker is gone: what is said from now on is said by the new one.
    pub(crate) fn process_begins(&mut self, instance: Instance) {
        if let Some(current) = self.tries.get_mut(&instance).filter(|_| self.machine.cause().is_none()) {
            current.began = SystemTime::now();
        }
    }

    /// Since when the process at hand of this worker speaks.
    pub(crate) fn speaks_since(&self, instance: Instance) -> SystemTime {
        self.tries.get(&instance).map_or(UNIX_EPOCH, |current| current.began)
    }

    /// Lets the time of the whole rollout stand while it waits for somebody; returns the time it has from now on
    /// when it has just gone on.
    pub(crate) fn mind_the_clock(&mut self) -> Option<Duration> {
        match (self.clock, self.machine.is_waiting()) {
            (Clock::Runs(until), true) => {
                self.clock = Clock::Stands(until.saturating_duration_since(Instant::now()));
                None
            }
            (Clock::Stands(left), false) => {
                self.clock = Clock::Runs(Instant::now() + left);
                Some(left)
            }
            _ => None,
        }
    }

    /// How long it may still take; none while it waits for somebody.
    pub(crate) fn time_left(&self) -> Option<Duration> {
        match self.clock {
            Clock::Runs(until) => Some(until.saturating_duration_since(Instant::now())),
            Clock::Stands(_) => None,
        }
    }

    /// Whether it can take no worker until another serves again.
    pub(crate) fn is_stalled(&self) -> bool {
        let is_under_way = self.machine.steps().iter().any(rollout::Step::is_under_way);
        self.outcome.is_none() && !is_under_way && !self.machine.is_waiting()
    }

    /// Whether its time is over.
    pub(crate) fn is_overdue(&self) -> bool {
        matches!(self.clock, Clock::Runs(until) if until <= Instant::now())
    }

    /// Brings the record up to date with the machine.
    pub(crate) fn refresh(&mut self) {
        self.record.steps = self.machine.steps().iter().map(|step| self.step_record(step)).collect();
        if self.outcome.is_some() {
            self.record.deadline_usec = 0;
            return;
        }
        let is_waiting = self.machine.is_waiting();
        self.record.state = if is_waiting { api::RolloutState::Paused } else { api::RolloutState::Running };
        self.record.deadline_usec = match self.clock {
            // In whole seconds: it must not look as if it changed whenever somebody computes it.
            Clock::Runs(until) => {
                let left = until.saturating_duration_since(Instant::now());
                epoch_usec(SystemTime::now() + left).next_multiple_of(1_000_000)
            }
            Clock::Stands(_) => 0,
        };
        self.record.message = self.progress();
    }

    fn step_record(&self, step: &rollout::Step) -> api::Step {
        let deadline = self.tries.get(&step.instance()).map_or(0, |current| current.deadline_usec);
        api::Step {
            instance: step.instance().number(),
            state: step_state(step.state()),
            is_surge: step.is_surge(),
            deadline_usec: if step.is_under_way() { deadline } else { 0 },
        }
    }

    /// `rolling to release 1.3.0: 2 of 4 replaced, worker@3 restarting`
    fn progress(&self) -> String {
        if let Some(cause) = self.machine.cause() {
            return match &self.prepared.from {
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
                if self.prepared.from.is_some() { "goes back" } else { "ends it" }
            );
        }
        let at_hand: Vec<_> = self.machine.steps().iter().filter_map(at_hand).collect();
        let at_hand = if at_hand.is_empty() { String::new() } else { format!(", {}", at_hand.join(", ")) };
        format!("{goal}: {done} of {total} replaced{at_hand}")
    }

    /// How many of the wanted workers are replaced, and how many are to be.
    fn count_replaced(&self) -> (usize, usize) {
        let wanted = self.machine.steps().iter().filter(|step| !step.is_surge());
        let (done, others): (Vec<_>, Vec<_>) = wanted
            .filter(|step| step.state() != StepState::Skipped)
            .partition(|s| s.state() == StepState::Done);
        (done.len(), done.len() + others.len())
    }

    /// `rolling to release 1.3.0`, `recycling`, `restarting one after another`
    pub(crate) fn goal(&self) -> String {
        match &self.prepared.to {
            Some(to) if self.prepared.from.is_some() => format!("rolling to release {to}"),
            _ if self.prepared.only.is_some() => "recycling".to_owned(),
            _ => "restarting one after another".to_owned(),
        }
    }

    /// Notes which worker failed and why; `exit` is how its process ended.
    pub(crate) fn note_failure(&mut self, names: &Names, instance: Instance, reason: String) {
        let unit = names.unit(instance);
        self.record.failure =
            vec![api::Failure { instance: instance.number(), unit, reason, journal: Vec::new() }];
    }

    /// The state and the sentence that tell how it ended.
    pub(crate) fn conclude(&mut self, outcome: &Outcome, stragglers: &[Instance]) {
        let (replaced, total) = self.count_replaced();
        let failed = |cause: &Cause| match (cause, self.record.failure.first()) {
            (Cause::Fault(..), Some(failure)) => format!("{} {}", failure.unit, failure.reason),
            (Cause::Interrupted, _) => self.known_failure.clone().unwrap_or_else(|| cause.to_string()),
            _ => cause.to_string(),
        };
        let from = &self.record.from;
        use api::RolloutState as State;
        let (state, message) = match outcome {
            Outcome::Done => (State::Done, format!("{replaced} of {total} replaced{}", self.release())),
            Outcome::Stopped => (
                State::Aborted,
                format!("stopped on request: {replaced} of {total} replaced; reload again to finish"),
            ),
            Outcome::Restored(cause) if !stragglers.is_empty() => (
                State::Failed,
                format!("{}; release {from} is back, but not on {}", failed(cause), list(stragglers)),
            ),
            Outcome::Restored(cause) if self.prepared.from.is_none() => {
                (State::Restored, format!("{}; no other worker was touched", failed(cause)))
            }
            Outcome::Restored(Cause::Aborted) => {
                (State::Aborted, format!("aborted on request; release {from} is back everywhere"))
            }
            Outcome::Restored(cause) => {
                (State::Restored, format!("{}; release {from} is back everywhere", failed(cause)))
            }
            Outcome::Failed(cause) => {
                let rest = self.stuck.clone().unwrap_or_else(|| match self.has_turned_back {
                    true => format!("the way back to release {from} failed too"),
                    false => format!("{replaced} of {total} were replaced before, no other was touched"),
                });
                (State::Failed, format!("{}; {rest}", failed(cause)))
            }
        };
        self.record.state = state;
        self.record.message = message;
    }

    fn release(&self) -> String {
        self.prepared.to.as_ref().map(|to| format!(", release {to}")).unwrap_or_default()
    }
}

fn at_hand(step: &rollout::Step) -> Option<String> {
    let what = match (step.state(), step.is_surge()) {
        (StepState::Restarting, false) => "restarting",
        (StepState::Restarting, true) => "starting",
        (StepState::Settling, _) => "ready and settling",
        (StepState::Stopping, _) => "stopping",
        _ => return None,
    };
    Some(format!("{} {what}", step.instance()))
}

fn list(instances: &[Instance]) -> String {
    instances.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn step_state(state: StepState) -> api::StepState {
    match state {
        StepState::Waiting => api::StepState::Waiting,
        StepState::Restarting => api::StepState::Restarting,
        StepState::Settling => api::StepState::Settling,
        StepState::Done => api::StepState::Done,
        StepState::Failed => api::StepState::Failed,
        StepState::Skipped => api::StepState::Skipped,
        StepState::Marked | StepState::Restoring => api::StepState::Restoring,
        StepState::Restored => api::StepState::Restored,
        StepState::Stopping => api::StepState::Stopping,
        StepState::Stopped => api::StepState::Stopped,
    }
}

/// Microseconds since the Unix epoch.
pub(crate) fn epoch_usec(time: SystemTime) -> u64 {
    usec(time.duration_since(UNIX_EPOCH).unwrap_or_default())
}

fn usec(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
