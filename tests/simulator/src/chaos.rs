//! What may go wrong, and how often in this schedule.

use crate::rng::Rng;

macro_rules! classes {
    ($($class:ident = $words:literal,)*) => {
        /// A way in which things go wrong, or in which operators interfere.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Class {
            $(#[doc = $words] $class,)*
        }

        impl Class {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$class,)*];

            /// The class in words.
            pub fn words(self) -> &'static str {
                match self { $(Self::$class => $words,)* }
            }
        }
    };
}

classes! {
    LostConnection = "the connection to the bus breaks",
    LateBus = "systemd is heard late",
    Reexecuted = "systemd executes itself anew, and its signals are lost",
    DaemonReload = "systemd reads the unit files anew",
    Refused = "polkit refuses for a while",
    Stuck = "polkit does not answer for a while",
    LateJob = "a job is enqueued after its caller has given up",
    Masked = "the workers are masked for a while",
    LateStop = "a worker drains until systemd kills it",
    Crash = "a worker crashes",
    CrashOfAll = "all workers are killed at once",
    ExitZero = "a worker ends with status 0",
    Death = "the orchestrator is killed before it does something",
    DeathAfter = "the orchestrator is killed when it has done something",
    RestartOrchestrator = "an operator restarts the orchestrator",
    StopCluster = "an operator stops the cluster, and starts it later",
    Boot = "the machine boots",
    OperatorStop = "an operator stops a worker",
    OperatorStart = "an operator starts a worker",
    OperatorRestart = "an operator restarts a worker",
    Deploy = "somebody deploys",
    Reload = "somebody reloads",
    ReloadSignal = "a signal asks for a reload",
    Rollback = "somebody rolls back",
    RollbackNamed = "somebody rolls back to a release by its name",
    TwoAtOnce = "two orders come at once",
    Pause = "somebody pauses the rollout",
    Resume = "somebody resumes the rollout",
    Abort = "somebody aborts the rollout",
    AbortQueued = "somebody withdraws a rollout that waits",
    Scale = "somebody wants another number of workers",
    Question = "somebody asks whether a release is in place or may be replaced",
    Package = "the package is upgraded",
    InvalidConfiguration = "the configuration is invalid for a while",
    NotRunnable = "a release on disk cannot be executed any more",
    ShortDeadline = "rollouts have too little time",
    Canary = "a rollout waits after some workers",
    Halt = "a failure halts the rollout",
    WriteFails = "the disk is full",
    SlowDisk = "the disk is slow",
    LostLedger = "the ledger is lost",
    LostCurrent = "the link to the current release is lost",
    LostBootId = "it is not known which boot this is",
    NoSocket = "the socket does not listen at the start",
    Recycle = "a worker asks to be replaced",
    Stranger = "a unit runs that is called like a worker and is none",
    LateWake = "the orchestrator is woken late",
    SpareWake = "the orchestrator is woken without a reason",
    NeverReady = "a release ends before it is ready",
    Hangs = "a release is never ready",
    DiesAfterReady = "a release crashes after it was ready",
    DiesLater = "a release crashes 3 s after it was ready",
    ExitsZero = "a release ends with status 0 after it was ready",
    Stalls = "a release stops feeding its watchdog",
    Errors = "a release answers with errors",
    Uncounted = "it is not known what workers have answered",
    AcceptsNothing = "a release is ready and accepts nothing",
    Unstartable = "a release ends with a status that systemd does not restart",
    Flaky = "a release that works most of the time does not",
}

/// How often each class strikes in one schedule. Most never do (swarm testing, Groce et al. 2012).
#[derive(Debug)]
pub(crate) struct Chaos {
    rates: [u16; Class::ALL.len()],
    /// How often each class has struck.
    pub(crate) struck: Vec<u64>,
    /// The world has calmed down.
    pub(crate) is_quiet: bool,
}

impl Chaos {
    pub(crate) fn draw(rng: &mut Rng) -> Self {
        let rates =
            std::array::from_fn(|_| if rng.below(5) == 0 { rng.pick(&[10, 50, 200, 400]) } else { 0 });
        Self { rates, struck: vec![0; Class::ALL.len()], is_quiet: false }
    }

    /// Whether this goes wrong now.
    pub(crate) fn strikes(&mut self, rng: &mut Rng, class: Class) -> bool {
        let rate = self.rates[class as usize];
        // A class that never strikes takes no random number. So the others are the same without it.
        let strikes = !self.is_quiet && rate > 0 && rng.per_mille(rate.into());
        if strikes {
            self.note(class);
        }
        strikes
    }

    /// Whether it strikes at all in this schedule.
    pub(crate) fn has(&self, class: Class) -> bool {
        self.rates[class as usize] > 0
    }

    pub(crate) fn note(&mut self, class: Class) {
        self.struck[class as usize] += 1;
    }
}
