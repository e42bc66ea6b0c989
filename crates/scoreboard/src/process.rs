//! Which process the figures of a slot are of. The slot's sequence guards it: a reader that finds the same even
//! number before and after has read of one process only.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicU64, fence};
use std::thread;

use crate::clock;
use crate::layout::slot::{PID, RELEASE, RELEASE_WORDS, SEQUENCE, STARTED};
use crate::layout::{SLOT_WORDS, WORD};

/// How often a slot that is being claimed is looked at again. A claim takes microseconds; a process that dies or is
/// stopped in it would be waited for without end.
const ATTEMPTS: u32 = 100;

/// Wipes what the process before has counted, and names this one. Nobody else may write to the slot meanwhile.
///
/// `come_to_life` makes the process visible as the living one; when it fails, the slot stays without a name.
pub(crate) fn publish<E>(
    slot: &[AtomicU64; SLOT_WORDS],
    release: &str,
    come_to_life: impl FnOnce() -> Result<(), E>,
) -> Result<(), E> {
    // It is odd already if the process before died in here.
    let odd = slot[SEQUENCE].load(Relaxed) | 1;
    slot[SEQUENCE].store(odd, Relaxed);
    fence(Release);
    for word in slot.iter().skip(SEQUENCE + 1) {
        word.store(0, Relaxed);
    }
    slot[PID].store(std::process::id().into(), Relaxed);
    slot[STARTED].store(clock::boottime_ns(), Relaxed);
    let fits = &release[..release.floor_char_boundary(RELEASE_WORDS * WORD)];
    for (word, text) in slot[RELEASE..].iter().zip(fits.as_bytes().chunks(WORD)) {
        let mut bytes = [0; WORD];
        bytes[..text.len()].copy_from_slice(text);
        word.store(u64::from_ne_bytes(bytes), Relaxed);
    }
    come_to_life()?;
    // Not 0, which says that nobody was ever here, even if somebody has scribbled over the number.
    slot[SEQUENCE].store(odd.wrapping_add(1).max(2), Release);
    Ok(())
}

/// Reads between two looks at the sequence of a slot, until both find the same even number. `None` if a process is
/// claiming the slot all the while, or has died in it.
pub(crate) fn settled<T, E>(
    mut sequence: impl FnMut() -> Result<u64, E>,
    mut read: impl FnMut() -> Result<T, E>,
) -> Result<Option<T>, E> {
    for _ in 0..ATTEMPTS {
        let before = sequence()?;
        fence(Acquire);
        let found = read()?;
        fence(Acquire);
        if before.is_multiple_of(2) && before == sequence()? {
            return Ok(Some(found));
        }
        thread::yield_now();
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use std::array;
    use std::convert::Infallible;

    use super::*;

    /// Which reading is settled, if the sequence is found to have these numbers.
    fn reading(found: impl IntoIterator<Item = u64>) -> Option<u32> {
        let (mut found, mut readings) = (found.into_iter(), 0);
        let sequence = || Ok::<_, Infallible>(found.next().expect("there is another number"));
        let read = || {
            readings += 1;
            Ok(readings)
        };
        let Ok(reading) = settled(sequence, read);
        reading
    }

    #[test]
    fn what_is_read_while_a_process_claims_the_slot_is_read_again() {
        assert_eq!(reading([2, 2]), Some(1));
        assert_eq!(reading([2, 3, 3, 4, 4]), Some(3), "it began meanwhile, and ended");
        assert_eq!(reading([2, 4, 4, 4]), Some(2), "it began and ended meanwhile");
        assert_eq!(reading([3, 5, 6, 6]), Some(3), "two after each other");
        assert_eq!(reading(std::iter::repeat(3)), None, "it has died in it");
    }

    #[test]
    fn a_claim_that_fails_leaves_the_slot_without_a_name() {
        let slot = array::from_fn(|_| AtomicU64::new(2));
        let sequence = || slot[SEQUENCE].load(Relaxed);
        assert_eq!(publish(&slot, "1", || Err("no more locks")), Err("no more locks"));
        assert_eq!(sequence(), 3);
        let come_to_life = || if sequence() == 3 { Ok(()) } else { Err(sequence()) };
        assert_eq!(publish(&slot, "1", come_to_life), Ok(()));
        assert_eq!(sequence(), 4);
    }
}
