//! Judging a new worker by numbers: how it answers while it settles, beside the old ones in the same time.
//!
//! A worker may be ready, feed its watchdog, and answer everything with 500. What a good answer is, only the service
//! knows; but the old workers give good ones as a rule, so one that does much worse than they do under the same load is
//! taken for bad.
//!
//! The workers have counted themselves, on a board where they may write what they like. No figure makes this panic,
//! and without enough of them nothing is decided.

use std::fmt;
use std::time::Duration;

/// A ratio in millionths: 50,000 is 0.05.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Millionths(pub u32);

/// By how much a new worker may do worse than the old ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// By how much its share of 5xx answers may exceed theirs; none for no limit.
    pub max_error_ratio: Option<Millionths>,
    /// How many times as long as for them 99 of 100 requests may take it; none for no limit.
    pub max_latency_ratio: Option<Millionths>,
    /// With fewer answers of the new worker, or of the old ones together, nothing is decided.
    pub min_requests: u32,
}

/// What one or several workers answered in some time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Figures {
    /// Answers with 5xx.
    pub errors: u64,
    /// All other answers.
    pub others: u64,
    /// What 99 of 100 requests took at most; none if there were none.
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

/// What the figures say of a new worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It keeps the limits, or there are none.
    Passed,
    /// It does not.
    Failed(Excess),
    /// Nothing.
    Undecided(Undecided),
}

/// Which limit a worker exceeded, as a phrase that follows its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Excess {
    /// The one on errors.
    Errors(Compared),
    /// The one on latency: what 99 of 100 requests took.
    Latency {
        /// The new worker.
        new: Duration,
        /// The old ones.
        old: Duration,
    },
}

/// Why nothing can be said of a new worker, as a phrase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Undecided {
    /// The figures are not known, for this reason.
    Unknown(String),
    /// There are too few of them.
    TooFew {
        /// What the new worker answered.
        new: u64,
        /// What the old ones answered.
        old: u64,
        /// What either has to.
        least: u32,
    },
}

impl Limits {
    /// Nothing is compared.
    pub const NONE: Self = Self { max_error_ratio: None, max_latency_ratio: None, min_requests: 0 };

    /// Whether there is a limit.
    pub fn is_set(&self) -> bool {
        self.max_error_ratio.is_some() || self.max_latency_ratio.is_some()
    }

    /// Judges by what is known, or by why nothing is.
    pub fn judge(&self, compared: Result<Compared, String>) -> Verdict {
        if !self.is_set() {
            return Verdict::Passed;
        }
        let compared = match compared {
            Ok(compared) => compared,
            Err(reason) => return Verdict::Undecided(Undecided::Unknown(reason)),
        };
        let (new, old) = (compared.new.answers(), compared.old.answers());
        // Nobody has a share of nothing.
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

    /// Which share of the answers was 5xx, in a hundred; only for people.
    fn percentage(&self) -> f64 {
        self.errors as f64 * 100.0 / self.answers().max(1) as f64
    }
}

impl Compared {
    fn excess_of_errors(&self, limit: Option<Millionths>) -> Option<Excess> {
        let Millionths(limit) = limit?;
        let (new, old) = (wide(self.new.answers()), wide(self.old.answers()));
        // The shares, and the limit, by their common denominator. What is too large for that is no count of answers.
        let scaled = |share: u128| share.saturating_mul(MILLION);
        let has = scaled(wide(self.new.errors) * old);
        let may =
            scaled(wide(self.old.errors) * new).saturating_add((new * old).saturating_mul(limit.into()));
        (has > may).then_some(Excess::Errors(*self))
    }

    /// What fails often fails fast: the time that workers take which mostly fail is no measure for one that works.
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

/// `90 ms`, and `1.3 ms` where less than a millisecond makes a difference.
fn milliseconds(time: Duration) -> String {
    let milliseconds = time.as_secs_f64() * 1000.0;
    if milliseconds < 10.0 { format!("{milliseconds:.1} ms") } else { format!("{milliseconds:.0} ms") }
}

#[cfg(test)]
mod tests;
