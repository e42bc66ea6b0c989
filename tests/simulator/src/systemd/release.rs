//! What a process executes, and how that behaves.

use super::Env;
use crate::chaos::Class;

/// How a release behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Quality {
    Good,
    Bad(Class),
    /// Each process is one of the bad kind at this rate in 1000.
    Flaky(u32),
}

/// The ways in which a release is bad.
pub(crate) const BAD: [Class; 7] = [
    Class::NeverReady,
    Class::Hangs,
    Class::DiesAfterReady,
    Class::ExitsZero,
    Class::Stalls,
    Class::Errors,
    Class::Unstartable,
];

impl Quality {
    /// What is wrong with a process that is started now.
    pub(super) fn fault(self, env: &mut Env<'_>) -> Option<Class> {
        match self {
            Self::Good => None,
            Self::Bad(class) => Some(class),
            Self::Flaky(rate) if !env.chaos.is_quiet && env.rng.per_mille(rate) => {
                env.chaos.note(Class::Flaky);
                Some(env.rng.pick(&BAD))
            }
            Self::Flaky(_) => None,
        }
    }
}
