//! The other workers that accept connections, as their seats tell.

use std::fmt;
use std::sync::atomic::Ordering::Relaxed;

use crate::Instance;
use crate::claim::Claim;
use crate::layout::HIGH_WATER;
use crate::seat::{self, Seat};

/// Another worker that accepts, according to its seat.
#[derive(Clone, Copy)]
pub struct Sibling<'a> {
    claim: &'a Claim,
    /// The instance of the worker.
    pub instance: Instance,
    /// Its seat at the time of the reading.
    pub seat: Seat,
}

impl Sibling<'_> {
    /// Whether a living process has the slot. This makes one system call. If that fails, the result is
    /// `false`: a worker that waits for no sibling loses nothing.
    pub fn is_held(&self) -> bool {
        self.claim.is_held(self.instance)
    }
}

impl fmt::Debug for Sibling<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sibling").field("instance", &self.instance).field("seat", &self.seat).finish()
    }
}

/// The other workers that accept, in the order of their numbers.
pub(crate) fn siblings(claim: &Claim) -> impl Iterator<Item = Sibling<'_>> {
    let highest = claim.front[HIGH_WATER].load(Relaxed);
    let others = Instance::up_to(highest).filter(|instance| *instance != claim.instance);
    others
        .map(move |instance| Sibling { claim, instance, seat: seat::read(&claim.front, instance) })
        .filter(|sibling| sibling.seat.is_accepting)
}
