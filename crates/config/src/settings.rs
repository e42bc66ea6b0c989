//! Settings: what the program works with. Every value is valid and every key has one.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use crate::problem::Position;
use crate::timespan;

/// The whole configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// `workers`: how many workers run.
    pub workers: Workers,
    /// The table `[rollout]`.
    pub rollout: RolloutSettings,
    pub(crate) origins: Origins,
}

/// The table `[rollout]`: how workers are replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RolloutSettings {
    /// `settle`: how long a new worker has to stay ready before the next is replaced; 1 s unless set.
    pub settle: Duration,
}

impl RolloutSettings {
    /// The longest `settle`: ten minutes.
    pub const MAX_SETTLE: Duration = Duration::from_secs(600);
}

impl Default for RolloutSettings {
    fn default() -> Self {
        Self { settle: Duration::from_secs(1) }
    }
}

/// How many workers run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Workers {
    /// As many as there are CPUs that the orchestrator may use.
    #[default]
    Auto,
    /// This many.
    Count(Count),
}

impl fmt::Display for Workers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Count(count) => write!(f, "{}", count.get()),
        }
    }
}

/// The text is neither `auto` nor a number of workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected `auto` or a number from 1 to {max}", max = Count::MAX)]
pub struct ParseWorkersError;

impl FromStr for Workers {
    type Err = ParseWorkersError;

    fn from_str(text: &str) -> Result<Self, ParseWorkersError> {
        match text {
            "auto" => Ok(Self::Auto),
            _ => text.parse().ok().and_then(Count::new).map(Self::Count).ok_or(ParseWorkersError),
        }
    }
}

/// A number of workers, from 1 to [`Count::MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Count(u32);

impl Count {
    /// The greatest number of workers. The system bus allows 512 match rules per connection, and the orchestrator
    /// has one for each worker.
    pub const MAX: u32 = 500;

    /// The count, if it is one.
    pub fn new(count: u32) -> Option<Self> {
        (1..=Self::MAX).contains(&count).then_some(Self(count))
    }

    /// The number.
    pub fn get(self) -> u32 {
        self.0
    }
}

/// Where a value was set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The file.
    pub file: PathBuf,
    /// The position of the value in it.
    pub position: Position,
}

/// Where each key was set; absent for a default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Origins {
    pub(crate) workers: Option<Origin>,
    pub(crate) settle: Option<Origin>,
}

/// One key with the value that holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effective<'a> {
    /// The key, with its table: `rollout.settle`.
    pub key: &'static str,
    /// The value, as it is written in TOML.
    pub value: String,
    /// Where it was set; absent for a default.
    pub origin: Option<&'a Origin>,
}

impl Settings {
    /// Every key with the value that holds and where it comes from, in the order of the manual.
    pub fn effective(&self) -> [Effective<'_>; 2] {
        let workers = match self.workers {
            Workers::Auto => "\"auto\"".to_owned(),
            Workers::Count(count) => count.get().to_string(),
        };
        let settle = format!("{:?}", timespan::format(self.rollout.settle));
        [
            Effective { key: "workers", value: workers, origin: self.origins.workers.as_ref() },
            Effective { key: "rollout.settle", value: settle, origin: self.origins.settle.as_ref() },
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_are_parsed_as_they_are_shown() {
        for text in ["auto", "1", "500"] {
            assert_eq!(text.parse::<Workers>().map(|w| w.to_string()).as_deref(), Ok(text));
        }
        for text in ["", "0", "1025", "-1", "Auto", "4.0", "99999999999"] {
            assert_eq!(text.parse::<Workers>(), Err(ParseWorkersError), "{text}");
        }
    }
}
