//! What a process executes, and how that behaves.

use cluster::release::ReleaseId;

use crate::chaos::{Chaos, Class};
use crate::rng::Rng;

/// How long a process lives that dies later, in us.
pub(crate) const STAYS: u64 = 3_000_000;

/// How a release behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Quality {
    Good,
    Bad(Class),
    /// Until the world calms down, each process is bad at this rate in 1000.
    Flaky(u32),
}

/// The ways in which a release is bad.
pub(crate) const BAD: [Class; 9] = [
    Class::NeverReady,
    Class::Hangs,
    Class::DiesAfterReady,
    Class::DiesLater,
    Class::ExitsZero,
    Class::Stalls,
    Class::Errors,
    Class::AcceptsNothing,
    Class::Unstartable,
];

/// A release that is or was on disk.
#[derive(Debug, Clone)]
pub(crate) struct Release {
    pub(crate) id: ReleaseId,
    pub(crate) quality: Quality,
    pub(crate) is_packaged: bool,
    pub(crate) is_on_disk: bool,
    pub(crate) is_rejected: bool,
    pub(crate) is_runnable: bool,
}

impl Quality {
    /// The fault of a process that starts now.
    pub(crate) fn fault(self, rng: &mut Rng, chaos: &mut Chaos) -> Option<Class> {
        match self {
            Self::Good => None,
            Self::Bad(class) => Some(class),
            Self::Flaky(rate) if !chaos.is_quiet && rng.per_mille(rate) => {
                chaos.note(Class::Flaky);
                Some(rng.pick(&BAD))
            }
            Self::Flaky(_) => None,
        }
    }

    /// Whether it works once the world is calm.
    pub(crate) fn is_sound(self) -> bool {
        !matches!(self, Self::Bad(class) if !matches!(class, Class::Errors | Class::AcceptsNothing))
    }
}
