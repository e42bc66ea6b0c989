//! A cluster in a world that does at once what it is asked, except for what a test holds back.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use cluster::accept::Waiting;
use cluster::backoff::BackoffPolicy;
use cluster::effect::{Call, Disk, Effect, Token};
use cluster::history::Entry;
use cluster::info::{Change, UnitInfo};
use cluster::input::{Answer, Caller, Found, Input, LastWords, Opened, OwnJob, Refusal, Reply, Request};
use cluster::input::{Signal, SocketState, Survey};
use cluster::ledger::Ledger;
use cluster::moment::Now;
use cluster::numbers::Limits;
use cluster::order::{Order, Target};
use cluster::release::ReleaseId;
use cluster::settings::Settings;
use cluster::unit::{ActiveState, InvocationId, JobId, JobResult};
use cluster::{Cluster, OnFailure};
use names::{Instance, Names};

const BEGIN: Duration = Duration::from_secs(1_000);

pub(crate) const SETTINGS: Settings = Settings {
    workers: 2,
    surge: 0,
    max_unavailable: 1,
    settle: Duration::from_secs(1),
    limits: Limits::NONE,
    worker_deadline: Some(Duration::from_secs(60)),
    deadline: None,
    on_failure: OnFailure::Rollback,
    watch: Duration::from_secs(60),
    keep: 3,
    backoff: BackoffPolicy {
        burst: 5,
        window: Duration::from_secs(10),
        first: Duration::from_secs(1),
        max: Duration::from_secs(60),
        stable: Duration::from_secs(60),
    },
};

pub(crate) fn id(name: &str) -> ReleaseId {
    ReleaseId::new(name).unwrap()
}

pub(crate) fn instance(number: u32) -> Instance {
    Instance::new(number).unwrap()
}

/// Which effects a test answers itself.
type Held = fn(&Effect) -> bool;

pub(crate) struct Rig {
    pub(crate) cluster: Cluster,
    pub(crate) settings: Settings,
    now: Duration,
    units: BTreeMap<u32, UnitInfo>,
    /// The release that the package brings, if it is not current.
    pub(crate) packaged: Option<ReleaseId>,
    jobs: u32,
    runs: u8,
    holds: Held,
    /// The effects that were held back and not answered yet.
    pub(crate) held: Vec<Effect>,
    /// What systemd and the disk were asked for, in that order.
    pub(crate) asked: Vec<String>,
    pub(crate) history: Vec<Entry>,
    pub(crate) ledger: Ledger,
    pub(crate) links: BTreeMap<Instance, ReleaseId>,
    pub(crate) replies: Vec<Result<Reply, Refusal>>,
    /// The last message about a rollout.
    pub(crate) last_end: Option<String>,
    /// What waits in the queues of the listeners at the nth look.
    pub(crate) queues: fn(usize) -> Option<Waiting>,
    /// When the queues were looked at.
    pub(crate) looks: Vec<Duration>,
    pub(crate) log: Vec<String>,
    /// How the orchestrator ended.
    pub(crate) end: Option<Result<(), String>>,
}

impl Rig {
    /// Two workers run release 1.0.0. The orchestrator has not begun.
    pub(crate) fn new() -> Self {
        let run = |number: u32| (number, active(number as u8, BEGIN - Duration::from_secs(100)));
        Self {
            cluster: Cluster::new(Names::packaged(), SETTINGS, 1),
            settings: SETTINGS,
            now: BEGIN,
            units: [1, 2].map(run).into(),
            packaged: None,
            jobs: 0,
            runs: 10,
            holds: |_| false,
            held: Vec::new(),
            asked: Vec::new(),
            history: Vec::new(),
            ledger: Ledger { wanted: Some(SETTINGS.workers), ..Ledger::default() },
            links: [1, 2].map(|number| (instance(number), id("1.0.0"))).into(),
            replies: Vec::new(),
            last_end: None,
            queues: |_| None,
            looks: Vec::new(),
            log: Vec::new(),
            end: None,
        }
    }

    /// The orchestrator has begun, and found the workers.
    pub(crate) fn running() -> Self {
        let mut rig = Self::new();
        rig.begin();
        rig
    }

    /// An orchestrator begins, the first one or its successor.
    pub(crate) fn begin(&mut self) {
        self.cluster = Cluster::new(Names::packaged(), self.settings, 1);
        self.asked.clear();
        self.hear(Input::Connected);
    }

    /// From now on the test answers these effects.
    pub(crate) fn hold(&mut self, holds: Held) {
        self.holds = holds;
    }

    /// Asks for a rollout to a release of this name.
    pub(crate) fn deploy(&mut self, name: &str) {
        let order = Order { target: Target::Deploy(id(name)), canary: None, by: "alice".to_owned() };
        self.hear(Input::Request(Caller(1), Request::Roll(order)));
    }

    /// Gives the cluster this input, and performs all that follows at once.
    pub(crate) fn hear(&mut self, input: Input) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            self.cluster.handle(Now { moment: self.now, epoch: self.now }, input);
            while let Some(effect) = self.cluster.poll() {
                match effect {
                    effect if (self.holds)(&effect) => self.held.push(effect),
                    effect => self.perform(effect, &mut inputs),
                }
            }
        }
    }

    /// Lets this much time pass.
    pub(crate) fn wait(&mut self, span: Duration) {
        let end = self.now + span;
        while let Some(wake) = self.cluster.next_wake().filter(|wake| *wake <= end) {
            self.now = wake.max(self.now);
            self.hear(Input::Wake);
        }
        self.now = end;
    }

    /// Changes the unit, and systemd sends a signal about it.
    pub(crate) fn change(&mut self, number: u32, change: impl Fn(&mut UnitInfo)) {
        let unit = self.units.entry(number).or_default();
        change(unit);
        let told = told(unit);
        self.hear(Input::Signal(Signal::Changed(instance(number), Box::new(told))));
    }

    /// Changes the unit without a signal.
    pub(crate) fn unheard(&mut self, number: u32, change: impl Fn(&mut UnitInfo)) {
        change(self.units.entry(number).or_default());
    }

    /// Another worker runs release 1.0.0.
    pub(crate) fn runs(&mut self, number: u32) {
        self.units.insert(number, active(number as u8, BEGIN - Duration::from_secs(100)));
        self.links.insert(instance(number), id("1.0.0"));
    }

    pub(crate) fn now(&self) -> Duration {
        self.now
    }

    /// Asks for a rollback to the release of this name.
    pub(crate) fn roll_back(&mut self, name: &str) {
        let order = Order { target: Target::Rollback(Some(id(name))), canary: None, by: "alice".to_owned() };
        self.hear(Input::Request(Caller(2), Request::Roll(order)));
    }

    /// A job of the orchestrator's is done.
    pub(crate) fn job_is_done(&mut self, number: u32, job: u32) {
        self.hear(Input::Signal(Signal::JobRemoved(instance(number), JobId(job), JobResult::Done)));
    }

    /// A job of another client's is done.
    pub(crate) fn foreign_job_is_done(&mut self, number: u32) {
        self.jobs += 1;
        // systemd signals only after that that the unit has no job any more.
        self.units.entry(number).or_default().job = None;
        self.hear(Input::Signal(Signal::JobRemoved(instance(number), JobId(self.jobs), JobResult::Done)));
    }

    /// Performs the first effect that is held.
    pub(crate) fn release_first(&mut self) {
        let mut inputs = VecDeque::new();
        let effect = self.held.remove(0);
        self.perform(effect, &mut inputs);
        inputs.into_iter().for_each(|input| self.hear(input));
    }

    /// Performs all effects that are held.
    pub(crate) fn release_all(&mut self) {
        while !self.held.is_empty() {
            self.release_first();
        }
    }

    /// Whether the cluster shows this worker.
    pub(crate) fn knows(&self, number: u32) -> bool {
        let view = self.cluster.view(Now { moment: self.now, epoch: self.now });
        view.workers.iter().any(|worker| worker.instance == instance(number))
    }

    pub(crate) fn has_asked(&self, what: &str) -> bool {
        self.asked.iter().any(|asked| asked == what)
    }

    fn perform(&mut self, effect: Effect, inputs: &mut VecDeque<Input>) {
        match effect {
            Effect::Call(token, call) => self.call(token, call, inputs),
            Effect::Disk(token, disk) => inputs.push_back(Input::Answer(token, self.disk(disk))),
            Effect::Compare(token, _) => {
                let unknown = Answer::Compared(Err("nobody counts".to_owned()));
                inputs.push_back(Input::Answer(token, unknown));
            }
            Effect::LastWords(token, _) => {
                inputs.push_back(Input::Answer(token, Answer::LastWords(LastWords::default())));
            }
            Effect::LookAtQueues(token) => {
                self.looks.push(self.now);
                let seen = (self.queues)(self.looks.len());
                inputs.push_back(Input::Answer(token, Answer::Queues(Ok(seen))));
            }
            Effect::Log(line) => self.log.push(line.text),
            Effect::WasStopped(token, _) => {
                inputs.push_back(Input::Answer(token, Answer::WasStopped(false)));
            }
            Effect::Announce(rollout) => self.last_end = Some(rollout.message),
            Effect::Reply(_, reply) => self.replies.push(reply),
            Effect::Exit => self.end = Some(Ok(())),
            Effect::Fail(why) => self.end = Some(Err(why)),
            _ => {}
        }
    }

    fn call(&mut self, token: Token, call: Call, inputs: &mut VecDeque<Input>) {
        let answer = match call {
            Call::List => {
                let known = self.units.keys().map(|number| instance(*number)).collect();
                Answer::Listed(Ok((known, Vec::new())))
            }
            Call::Inspect(of) => {
                let unit = self.units.get(&of.number()).cloned().unwrap_or_default();
                Answer::Inspected(Ok(Box::new(unit)))
            }
            Call::Restart(of) => {
                self.asked.push(format!("restart {}", of.number()));
                self.runs += 1;
                return self.job(token, of, active(self.runs, self.now), inputs);
            }
            Call::Stop(of) => {
                self.asked.push(format!("stop {}", of.number()));
                return self.job(token, of, UnitInfo::default(), inputs);
            }
            Call::Socket => Answer::Socket(Ok(SocketState {
                active: ActiveState::Active,
                is_masked: false,
                missing: Vec::new(),
                has_any: true,
            })),
            Call::OwnJob => Answer::OwnJob(Ok(OwnJob::None)),
            Call::WasRestarted => Answer::WasRestarted(Ok(false)),
            Call::Subscribe | Call::RestartTarget => Answer::Done(Ok(())),
        };
        inputs.push_back(Input::Answer(token, answer));
    }

    /// systemd accepts a job, and does it at once.
    fn job(&mut self, token: Token, of: Instance, unit: UnitInfo, inputs: &mut VecDeque<Input>) {
        self.jobs += 1;
        let job = JobId(self.jobs);
        let told = told(&unit);
        self.units.insert(of.number(), unit);
        inputs.extend([
            Input::Answer(token, Answer::Enqueued(Ok(job))),
            Input::Signal(Signal::Changed(of, Box::new(told))),
            Input::Signal(Signal::JobRemoved(of, job, JobResult::Done)),
        ]);
    }

    fn disk(&mut self, disk: Disk) -> Answer {
        match disk {
            Disk::Open => {
                return Answer::Opened(Box::new(Opened {
                    history: self.history.clone(),
                    ledger: self.ledger.clone(),
                    links: self.links.clone().into_iter().collect(),
                }));
            }
            Disk::Settings => return Answer::Settings(Ok(self.settings)),
            Disk::Survey { .. } => return Answer::Surveyed(Ok(Box::new(survey(&self.packaged)))),
            Disk::History(entries) => {
                self.history = entries.to_vec();
                let state = entries.last().map(|entry| entry.state);
                self.asked.push(format!("history {state:?}"));
            }
            Disk::Ledger(ledger) => {
                self.asked.push(format!("ledger {:?}", ledger.watched.as_ref().map(|watched| &watched.to)));
                self.ledger = ledger;
            }
            Disk::Point(of, release) => {
                self.asked.push(format!("point {} {release}", of.number()));
                self.links.insert(of, release);
            }
            Disk::MakeCurrent(release) => self.asked.push(format!("current {release}")),
            Disk::Unlink(kept) => {
                self.links.retain(|instance, _| kept.contains(instance));
                self.asked.push(format!("unlink all but {}", kept.len()));
            }
            _ => {}
        }
        Answer::Done(Ok(()))
    }
}

/// A ready worker, in this run of its unit.
pub(crate) fn active(run: u8, since: Duration) -> UnitInfo {
    let usec = since.as_micros() as u64;
    UnitInfo {
        active: ActiveState::Active,
        sub_state: "running".to_owned(),
        invocation: InvocationId::from_bytes(&[run; 16]),
        main_pid: 100 + u32::from(run),
        started_usec: usec,
        active_usec: usec,
        fed_usec: usec,
        ..UnitInfo::default()
    }
}

fn told(unit: &UnitInfo) -> Change {
    Change {
        active: Some(unit.active),
        sub_state: Some(unit.sub_state.clone()),
        invocation: Some(unit.invocation),
        job: Some(unit.job),
        restarts: Some(unit.restarts),
        main_pid: Some(unit.main_pid),
        started_usec: Some(unit.started_usec),
        active_usec: Some(unit.active_usec),
        exit_code: Some(unit.exit_code),
        exit_status: Some(unit.exit_status),
        result: Some(unit.result.clone()),
        cut: Some(unit.cut),
        ..Change::default()
    }
}

fn survey(packaged: &Option<ReleaseId>) -> Survey {
    let found = |name| Found { id: id(name), is_rejected: false, runnable: Ok(()) };
    Survey {
        current: Some(id("1.0.0")),
        releases: ["1.0.0", "2.0.0"].map(found).into(),
        packaged: packaged.clone().map(Ok),
        boot_id: Ok("boot".to_owned()),
    }
}
