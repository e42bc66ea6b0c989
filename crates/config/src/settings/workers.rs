//! How many workers run: a number, or as many as there are CPUs.

use std::fmt;
use std::str::FromStr;

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
            // For other commands, `+2` means two more.
            _ if text.starts_with('+') => Err(ParseWorkersError),
            _ => text.parse().ok().and_then(Count::new).map(Self::Count).ok_or(ParseWorkersError),
        }
    }
}

/// A number of workers, from 1 to [`Count::MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Count(u32);

impl Count {
    /// The greatest number of workers, including those of a surge. The system bus allows 512 match rules per
    /// connection, and the orchestrator needs one for each worker.
    pub const MAX: u32 = 500;

    /// The count, if it is in range.
    pub fn new(count: u32) -> Option<Self> {
        (1..=Self::MAX).contains(&count).then_some(Self(count))
    }

    /// The number.
    pub fn get(self) -> u32 {
        self.0
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
        for text in ["", "0", "1025", "-1", "+2", "Auto", "4.0", "99999999999"] {
            assert_eq!(text.parse::<Workers>(), Err(ParseWorkersError), "{text}");
        }
    }
}
