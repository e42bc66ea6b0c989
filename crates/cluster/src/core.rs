//! The state machine of the orchestrator: inputs go in with their time, effects come out.
//!
//! ```text
//!  Opening --(disk read, bus connected)--> Looking --(workers, socket, releases known)--> Starting
//!                                                                                            |
//!     Ended <--(all seen stopped)-- Stopping <--(a stop)-- Asking <--(SIGTERM)-- Running <--(no start under way)
//!       ^                                                    |
//!       '-------------------------(a restart, or a kill)-----'
//! ```
//!
//! After each input, the same steps follow. What is due by the clock is done first. Then missing workers are
//! started, surplus ones are stopped, and clients see the new state. So the code need not foresee any order
//! of inputs. Each deadline stands where it belongs: in a worker, in the rollout, or in its preparation.
//! [`Cluster::next_wake`] is the earliest of them.
//!
//! - `worker`, `active`, `preparing`: what is known and under way. `purpose`: what an answer is for.
//! - `adopt`, `current`, `listener`: what runs at the start, and after signals may have been missed.
//! - `observe`: what systemd reports.
//! - `supervise`, `flap`: starts, stops and back-off. `links`: what each instance executes.
//! - `request`: what clients ask for. `prepare`, `decide`, `roll`, `turn_back`, `finish`, `ending`, `resume`:
//!   a rollout from its beginning to its end.
//! - `watch`: undoes a release that most workers do not survive, or that accepts nothing (`accepting`).
//!   `recycle`: workers that ask to be replaced. `stop`: the end of the orchestrator.
//! - `tell`, `waiting`: what clients see. `lines`: the log. `books`: what is written to disk.

mod accepting;
mod active;
mod adopt;
mod books;
mod current;
mod decide;
mod ending;
mod finish;
mod flap;
mod lines;
mod links;
mod listener;
mod observe;
mod prepare;
mod preparing;
mod purpose;
mod recycle;
mod request;
mod resume;
mod roll;
mod stop;
mod supervise;
mod tell;
mod turn_back;
mod waiting;
mod watch;
mod worker;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use names::{Instance, Names};

use self::accepting::Accepting;
use self::active::ActiveRollout;
use self::books::Again;
use self::preparing::Preparing;
use self::purpose::Purpose;
use self::stop::Check;
use self::worker::Worker;
use crate::effect::{Call, Disk, Effect, Token};
use crate::history::{Entry, History};
use crate::input::{Answer, Input, Refusal, Signal, SocketState, Survey};
use crate::ledger::Ledger;
use crate::moment::{Moment, Now};
use crate::order::Queue;
use crate::recycle::Recycling;
use crate::release::ReleaseId;
use crate::settings::Settings;
use crate::unit::JobId;
use crate::view;

/// How long the orchestrator waits, at first, before it inspects a worker again.
pub(crate) const PATIENCE: Duration = Duration::from_secs(1);

/// The state of the orchestrator.
#[derive(Debug)]
enum Phase {
    /// The disk is being read, or the bus is not connected yet.
    Opening,
    /// The orchestrator finds out what runs.
    Looking(Box<Looking>),
    /// Workers are being started. READY=1 has not been sent.
    Starting,
    /// READY=1 has been sent.
    Running,
    /// SIGTERM came. Until this time, the orchestrator asks systemd for the reason.
    Asking(Moment),
    /// All workers are being stopped.
    Stopping(Check),
    /// The orchestrator does nothing more.
    Ended,
}

/// What the orchestrator finds out at the start.
#[derive(Debug, Default)]
struct Looking {
    units: Option<Vec<Instance>>,
    socket: Option<SocketState>,
    survey: Option<Survey>,
    /// The workers that an operator stopped while no orchestrator ran. `None` until the journal is asked.
    stopped: Option<BTreeSet<Instance>>,
    /// The questions about such stops that are not answered yet.
    questions: BTreeSet<Token>,
    /// The adoption has begun. If there is no listener, it waits to learn why.
    is_failing: bool,
}

/// The rollout under way.
#[derive(Debug)]
enum Activity {
    None,
    /// A rollout that may begin.
    Preparing(Box<Preparing>),
    Rolling(Box<ActiveRollout>),
}

/// The state machine of the whole cluster: what the orchestrator knows and wants.
#[derive(Debug)]
pub struct Cluster {
    names: Names,
    settings: Settings,
    phase: Phase,
    is_connected: bool,
    is_opened: bool,
    links: BTreeMap<Instance, ReleaseId>,
    workers: BTreeMap<Instance, Worker>,
    ledger: Ledger,
    is_ledger_saved: bool,
    /// For each instance, the latest request to set its link, until it is answered.
    points: BTreeMap<Instance, Token>,
    /// Links that could not be set: when that is tried again, and what they are to say.
    to_point: (Option<Moment>, BTreeMap<Instance, ReleaseId>),
    history: History,
    /// The release for new instances, and for all instances after a cold start.
    release: Option<ReleaseId>,
    again: Again,
    socket: Option<SocketState>,
    is_reading_socket: bool,
    activity: Activity,
    /// The jobs of probes whose end systemd has not reported yet.
    probes: VecDeque<JobId>,
    /// The rollout that a predecessor began. It continues once all wanted workers run.
    unfinished: Option<Entry>,
    /// The rollout of a predecessor that failed and halted (`on_failure`), until the links are restored.
    halted: Option<Entry>,
    /// When to try that rollout again, because it was refused.
    resume_at: Option<Moment>,
    last_rollout: Option<view::Rollout>,
    queue: Queue,
    /// Settings that were read during a rollout. They take effect when it ends.
    deferred: Option<Settings>,
    /// Why the last requested rollout did not begin.
    refused: Option<String>,
    recycling: Recycling,
    /// When to try a refused undo again.
    undo_at: Option<Moment>,
    /// Why the release is undone, until that is shown.
    undo_why: Option<String>,
    accepting: Accepting,
    last_id: u64,
    told: view::Properties,
    random: u64,
    now: Now,
    tokens: u64,
    purposes: BTreeMap<Token, Purpose>,
    effects: VecDeque<Effect>,
}

impl Cluster {
    /// Creates the state machine at its start. `seed` may be any number. It spreads the pauses of workers
    /// that end at the same time.
    pub fn new(names: Names, settings: Settings, seed: u64) -> Self {
        let mut cluster = Self {
            names,
            settings,
            phase: Phase::Opening,
            is_connected: false,
            is_opened: false,
            links: BTreeMap::new(),
            workers: BTreeMap::new(),
            ledger: Ledger::default(),
            is_ledger_saved: true,
            points: BTreeMap::new(),
            to_point: (None, BTreeMap::new()),
            history: History::default(),
            release: None,
            again: Again::default(),
            socket: None,
            is_reading_socket: false,
            activity: Activity::None,
            probes: VecDeque::new(),
            unfinished: None,
            halted: None,
            resume_at: None,
            last_rollout: None,
            queue: Queue::default(),
            deferred: None,
            refused: None,
            recycling: Recycling::default(),
            undo_at: None,
            undo_why: None,
            accepting: Accepting::default(),
            last_id: 0,
            told: view::Properties::default(),
            random: seed,
            now: Now { moment: Duration::ZERO, epoch: Duration::ZERO },
            tokens: 0,
            purposes: BTreeMap::new(),
            effects: VecDeque::new(),
        };
        cluster.disk(Disk::Open, Purpose::Open);
        cluster
    }

    /// Handles an input that happened at this time.
    pub fn handle(&mut self, now: Now, input: Input) {
        // The monotonic time never goes back, whatever the caller passes.
        self.now = Now { moment: now.moment.max(self.now.moment), ..now };
        if let (Phase::Ended, Input::Request(caller, _)) = (&self.phase, &input) {
            let gone = Refusal::ShuttingDown("the orchestrator is stopping".to_owned());
            self.effects.push_back(Effect::Reply(*caller, Err(gone)));
        }
        if matches!(self.phase, Phase::Ended) {
            return;
        }
        match input {
            Input::Connected => self.connected(),
            Input::Disconnected => self.disconnected(),
            Input::Signal(Signal::Changed(instance, change)) => self.changed(instance, *change),
            Input::Signal(Signal::JobRemoved(instance, job, result)) => {
                self.job_removed(instance, job, &result);
            }
            Input::Signal(Signal::Reloaded) => self.reloaded(),
            Input::Signal(Signal::Reexecuted) => self.reexecuted(),
            Input::Answer(token, answer) => {
                if let Some(purpose) = self.purposes.remove(&token) {
                    self.answered(purpose, token, answer);
                }
            }
            Input::Request(caller, request) => self.request(caller, request),
            Input::ReloadSignal => self.reload_by_signal(),
            Input::Terminate => self.terminate(),
            Input::Wake => {}
        }
        self.go_on();
    }

    /// Returns the next effect to perform, if there is one.
    pub fn poll(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// When [`Input::Wake`] is wanted, whatever else happens. `None` if nothing is due at a known time.
    pub fn next_wake(&self) -> Option<Moment> {
        if matches!(self.phase, Phase::Ended | Phase::Opening) {
            return None;
        }
        let workers = self.workers.values().filter_map(|worker| self.wake_for(worker)).min();
        let rollout = match &self.activity {
            Activity::Rolling(rollout) => rollout.next_wake(),
            Activity::Preparing(_) | Activity::None => None,
        };
        let retries = [
            self.wait_wake(),
            self.again.wake(),
            self.to_point.0,
            self.watch_wake(),
            self.look_wake(),
            self.recycle_wake(),
            self.resume_wake(),
        ];
        [workers, rollout, self.stop_wake()].into_iter().chain(retries).flatten().min()
    }

    /// Does everything that follows from the present state.
    fn go_on(&mut self) {
        if matches!(self.phase, Phase::Ended) {
            return;
        }
        self.maybe_adopt();
        self.tell_what_waits();
        self.look_at_what_is_due();
        self.roll_what_is_due();
        self.apply_deferred();
        self.supervise();
        self.maybe_ready();
        self.maybe_stopped();
        self.maybe_resume();
        self.look_at_queues();
        self.maybe_undo();
        self.maybe_recycle();
        self.write_again();
        self.point_if_due();
        self.save_ledger();
        self.tell();
    }

    fn answered(&mut self, purpose: Purpose, token: Token, answer: Answer) {
        match (purpose, answer) {
            (Purpose::Open, Answer::Opened(opened)) => self.opened(*opened),
            (Purpose::List, Answer::Listed(listed)) => self.listed(listed),
            (Purpose::Inspect(instance, look), Answer::Inspected(read)) => {
                self.inspected(instance, look, read);
            }
            (Purpose::Begun(id), Answer::Inspected(read)) => self.read_for_rollout(id, token, read),
            (Purpose::Enqueue(instance, verb), Answer::Enqueued(job)) => {
                self.enqueued(instance, verb, token, job)
            }
            (Purpose::Point(instance, release), Answer::Done(done)) => {
                self.pointed(instance, release, token, done);
            }
            (Purpose::Socket, Answer::Socket(socket)) => self.socket_read(socket),
            (Purpose::AdoptSocket, Answer::Socket(socket)) => self.adopt_socket(socket),
            (Purpose::AdoptSurvey, Answer::Surveyed(survey)) => self.adopt_survey(survey),
            (Purpose::WhySocketFailed, Answer::FailureOf(why)) => self.socket_has_failed(why),
            (Purpose::WasStopped(instance), Answer::WasStopped(was)) => {
                self.was_stopped(instance, token, was)
            }
            (Purpose::WasRestarted, Answer::WasRestarted(was)) => self.listen_anew(was),
            (Purpose::RestartTarget, Answer::Done(done)) => self.target_restarted(done),
            (Purpose::Subscribe, Answer::Done(Err(error))) => {
                self.warn(format!("{error}; changes are seen late"));
            }
            (Purpose::OwnJob, Answer::OwnJob(job)) => self.own_job(job),
            (Purpose::ReadSettings(caller), Answer::Settings(settings)) => {
                self.reconfigured(caller, settings);
            }
            (Purpose::Probe(id), Answer::Enqueued(job)) => self.probed(id, token, job),
            (Purpose::Prepare(id), answer) => self.prepare_answered(id, token, answer),
            (Purpose::Finish(id), Answer::Done(done)) => self.finish_answered(id, done),
            (Purpose::Relink(id, instance, release), Answer::Done(done)) => {
                self.relinked(id, instance, release, token, done);
            }
            (Purpose::Compare(instance, id), Answer::Compared(compared)) => {
                self.compared(instance, id, compared);
            }
            (Purpose::LastWords(id), Answer::LastWords(words)) => self.heard_last_words(id, words),
            (Purpose::Queues, Answer::Queues(seen)) => self.queues_seen(token, seen),
            (Purpose::Commit, Answer::Done(done)) => self.committed(done),
            (Purpose::History, Answer::Done(done)) => self.history_saved(done),
            (Purpose::PruneSurvey, Answer::Surveyed(survey)) => self.prune(survey),
            (Purpose::Removed(ids), Answer::Done(done)) => self.removed(&ids, done),
            (Purpose::Warn(consequence), Answer::Done(Err(error))) => {
                self.warn(format!("{error}; {consequence}"));
            }
            _ => {}
        }
    }

    fn token(&mut self, purpose: Purpose) -> Token {
        self.tokens += 1;
        let token = Token(self.tokens);
        self.purposes.insert(token, purpose);
        token
    }

    fn call(&mut self, call: Call, purpose: Purpose) -> Token {
        let token = self.token(purpose);
        self.effects.push_back(Effect::Call(token, call));
        token
    }

    fn disk(&mut self, disk: Disk, purpose: Purpose) -> Token {
        let token = self.token(purpose);
        self.effects.push_back(Effect::Disk(token, disk));
        token
    }

    fn in_time(&self, span: Duration) -> Moment {
        self.now.moment.saturating_add(span)
    }

    fn is_running(&self) -> bool {
        matches!(self.phase, Phase::Running)
    }

    fn rolling(&self) -> Option<&ActiveRollout> {
        match &self.activity {
            Activity::Rolling(rollout) => Some(rollout),
            Activity::Preparing(_) | Activity::None => None,
        }
    }

    fn rolling_mut(&mut self) -> Option<&mut ActiveRollout> {
        match &mut self.activity {
            Activity::Rolling(rollout) => Some(rollout),
            Activity::Preparing(_) | Activity::None => None,
        }
    }

    fn is_busy(&self) -> bool {
        !matches!(self.activity, Activity::None)
    }
}
