//! Judging a new worker by numbers: its answers while it settles, compared with those of the old ones in the
//! same time.
//!
//! A worker may be ready, feed its watchdog, and answer every request with 500. Only the service knows what a
//! good answer is, but the old workers usually give good ones. So a worker that does much worse than they do
//! under the same load counts as bad.
//!
//! Each worker has counted its own answers, on a scoreboard where it may write anything. No figure makes this
//! code panic. With too few figures it decides nothing.

use std::fmt;
use std::time::Duration;

/// A ratio in millionths: 50,000 is 0.05.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Millionths(pub u32);

/// By how much a new worker may do worse than the old ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// By how much its share of 5xx answers may exceed theirs. None for no limit.
    pub max_error_ratio: Option<Millionths>,
    /// How many times as long as the old workers it may take for 99 of 100 requests. None for no limit.
    pub max_latency_ratio: Option<Millionths>,
    /// The least number of answers that a decision needs, from the new worker, and from the old ones
    /// together.
    pub min_requests: u32,
}

/// What one or several workers answered in some time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Figures {
    /// Answers with 5xx.
    pub errors: u64,
    /// All other answers.
    pub others: u64,
    /// The time in which 99 of 100 requests were answered. None if there were none.
    pub p99: Option<Duration>,
}

/// What a new worker and the old ones answered in the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compared {
    /// The new one.
    pub new: Figures,
    /// The old ones together.
    pub old: Figures,
}

/// What follows from the figures of a new worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The worker keeps the limits, or there are none.
    Passed,
    /// The worker exceeds a limit.
    Failed(Excess),
    /// The figures do not decide.
    Undecided(Undecided),
}

/// Which limit a worker exceeded, as a phrase that follows its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Excess {
    /// The limit on errors.
    Errors(Compared),
    /// The limit on latency, the time in which 99 of 100 requests were answered.
    Latency {
        /// The new worker.
        new: Duration,
        /// The old ones.
        old: Duration,
    },
}

/// Why the figures do not decide, as a phrase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Undecided {
    /// The figures are not known, for this reason.
    Unknown(String),
    /// There are too few of them.
    TooFew {
        /// How many requests the new worker answered.
        new: u64,
        /// How many the old ones answered.
        old: u64,
        /// How many each side has to answer.
        least: u32,
    },
}

impl Limits {
    /// No limits: nothing is compared.
    pub const NONE: Self = Self { max_error_ratio: None, max_latency_ratio: None, min_requests: 0 };

    /// Whether there is a limit.
    pub fn is_set(&self) -> bool {
        self.max_error_ratio.is_some() || self.max_latency_ratio.is_some()
    }

    /// Judges by the figures, or by the reason why there are none.
    pub fn judge(&self, compared: Result<Compared, String>) -> Verdict {
        if !self.is_set() {
            return Verdict::Passed;
        }
        let compared = match compared {
            Ok(compared) => compared,
            Err(reason) => return Verdict::Undecided(Undecided::Unknown(reason)),
        };
        let (new, old) = (compared.new.answers(), compared.old.answers());
        // Without an answer there is no share.
        let least = self.min_requests.max(1);
        if new.min(old) < least.into() {
            return Verdict::Undecided(Undecided::TooFew { new, old, least });
        }
        let excess = compared.excess_of_errors(self.max_error_ratio);
        match excess.or_else(|| compared.excess_of_latency(self.max_latency_ratio)) {
            Some(excess) => Verdict::Failed(excess),
            None => Verdict::Passed,
        }
    }
}

impl Figures {
    /// How many answers there were.
    pub fn answers(&self) -> u64 {
        self.errors.saturating_add(self.others)
    }

    /// The share of 5xx answers in percent, for operators to read.
    fn percentage(&self) -> f64 {
        self.errors as f64 * 100.0 / self.answers().max(1) as f64
    }
}

impl Compared {
    fn excess_of_errors(&self, limit: Option<Millionths>) -> Option<Excess> {
        let Millionths(limit) = limit?;
        let (new, old) = (wide(self.new.answers()), wide(self.old.answers()));
        // Both shares and the limit get a common denominator. A number that overflows here is not a count of
        // answers.
        let scaled = |share: u128| share.saturating_mul(MILLION);
        let has = scaled(wide(self.new.errors) * old);
        let may =
            scaled(wide(self.old.errors) * new).saturating_add((new * old).saturating_mul(limit.into()));
        (has > may).then_some(Excess::Errors(*self))
    }

    /// A worker that fails often fails fast. So the latency of workers that mostly fail is no measure for one
    /// that works.
    fn excess_of_latency(&self, limit: Option<Millionths>) -> Option<Excess> {
        let Millionths(limit) = limit?;
        let (new, old) = (self.new.p99?, self.old.p99?);
        let is_measure = self.old.errors <= self.old.others;
        let has = new.as_micros().saturating_mul(MILLION);
        let may = old.as_micros().saturating_mul(limit.into());
        (is_measure && has > may).then_some(Excess::Latency { new, old })
    }
}

const MILLION: u128 = 1_000_000;

fn wide(number: u64) -> u128 {
    number.into()
}

impl fmt::Display for Excess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Errors(Compared { new, old }) => write!(
                f,
                "answers {:.1} % of {} requests with 5xx, the old workers {:.1} %",
                new.percentage(),
                new.answers(),
                old.percentage()
            ),
            Self::Latency { new, old } => {
                let (new, old) = (milliseconds(*new), milliseconds(*old));
                write!(f, "takes {new} for 99 of 100 requests, the old workers {old}")
            }
        }
    }
}

impl fmt::Display for Undecided {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(reason) => f.write_str(reason),
            Self::TooFew { new, old, least } => write!(
                f,
                "it answered {new} requests and the old workers {old}, and {least} are asked for (rollout.min_requests)"
            ),
        }
    }
}

/// `90 ms`, and `1.3 ms` below ten milliseconds.
fn milliseconds(time: Duration) -> String {
    let milliseconds = time.as_secs_f64() * 1000.0;
    if milliseconds < 10.0 { format!("{milliseconds:.1} ms") } else { format!("{milliseconds:.0} ms") }
}

#[cfg(test)]
mod tests;
