//! What may go wrong, and how often in this schedule.

use crate::rng::Rng;

macro_rules! classes {
    ($($class:ident = $words:literal,)*) => {
        /// A way in which things go wrong, or in which people interfere.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Class {
            $(#[doc = $words] $class,)*
        }

        impl Class {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$class,)*];

            /// In words.
            pub fn words(self) -> &'static str {
                match self { $(Self::$class => $words,)* }
            }
        }
    };
}

classes! {
    LostSignal = "a signal is lost",
    DoubledSignal = "a signal comes twice",
    LateSignal = "a signal comes late, after others",
    Refused = "systemd refuses a job",
    NoAnswer = "a job is enqueued and the answer is lost",
    NotAsked = "a job is not enqueued and nobody says so",
    Canceled = "a job is canceled before it has done anything",
    LateStop = "a worker drains until systemd kills it",
    Crash = "a worker crashes",
    CrashBetween = "a worker crashes between two actions of the orchestrator and is started again at once",
    ExitZero = "a worker ends with status 0",
    Death = "the orchestrator dies",
    OperatorStop = "somebody stops a worker",
    OperatorStart = "somebody starts a worker",
    OperatorRestart = "somebody restarts a worker",
    Pause = "somebody pauses the rollout",
    Resume = "somebody resumes the rollout",
    Abort = "somebody aborts the rollout",
    Reload = "somebody asks for one more rollout",
    Scale = "somebody wants another number of workers",
    ShortDeadline = "the rollout has too little time",
    Canary = "the rollout waits after some workers",
    Halt = "a failure halts the rollout",
    SameRelease = "the rollout has no old release to go back to",
    NeverReady = "a release ends before it is ready",
    Hangs = "a release is never ready",
    DiesAfterReady = "a release crashes after it was ready",
    ExitsZero = "a release ends with status 0 after it was ready",
    Stalls = "a release stops feeding its watchdog",
    Errors = "a release answers with errors",
    Uncounted = "nobody knows what workers have answered",
    Unstartable = "a release ends with a status that systemd does not restart",
    Flaky = "a release that works most of the time does not",
}

/// How often each class strikes in one schedule: most of them never (swarm testing, Groce et al. 2012).
#[derive(Debug)]
pub(crate) struct Chaos {
    rates: Vec<u32>,
    /// How often each struck.
    pub(crate) struck: Vec<u64>,
    /// The world has calmed down.
    pub(crate) is_quiet: bool,
}

impl Chaos {
    pub(crate) fn draw(rng: &mut Rng) -> Self {
        let rates =
            Class::ALL.iter().map(|_| if rng.below(4) == 0 { rng.pick(&[10, 50, 200, 400]) } else { 0 });
        Self { rates: rates.collect(), struck: vec![0; Class::ALL.len()], is_quiet: false }
    }

    /// Whether this goes wrong now.
    pub(crate) fn strikes(&mut self, rng: &mut Rng, class: Class) -> bool {
        let strikes = !self.is_quiet && rng.per_mille(self.rates[class as usize]);
        self.struck[class as usize] += u64::from(strikes);
        strikes
    }

    pub(crate) fn note(&mut self, class: Class) {
        self.struck[class as usize] += 1;
    }
}
