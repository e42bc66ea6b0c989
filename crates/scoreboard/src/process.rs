//! The process that the figures of a slot belong to. The slot's sequence guards them. If a reader finds the
//! same even number before and after it reads, all figures belong to one process.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicU64, fence};
use std::thread;

use crate::clock;
use crate::layout::slot::{PID, RELEASE, RELEASE_WORDS, SEQUENCE, STARTED};
use crate::layout::{SLOT_WORDS, WORD};

/// How often a reader retries while a slot is being claimed. A claim takes microseconds. But if a process
/// dies or is stopped during its claim, the reader would wait forever.
const ATTEMPTS: u32 = 100;

/// Erases what the previous process has counted, and writes the identity of this one. No other process may
/// write to the slot meanwhile.
///
/// `come_to_life` makes this process visible as the living owner. If it fails, the slot names no process.
pub(crate) fn publish<E>(
    slot: &[AtomicU64; SLOT_WORDS],
    release: &str,
    come_to_life: impl FnOnce() -> Result<(), E>,
) -> Result<(), E> {
    // The number is already odd if the previous process died in this function.
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
    // Never 0, even if another program has overwritten the number: 0 means that no process has ever claimed
    // the slot.
    slot[SEQUENCE].store(odd.wrapping_add(1).max(2), Release);
    Ok(())
}

/// Reads the sequence of a slot before and after `read`, until both are the same even number. `None` if a
/// process keeps claiming the slot, or has died during its claim.
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

    /// The number of the reading that is settled, if the sequence has these values one after another.
    fn reading(found: impl IntoIterator<Item = u64>) -> Option<u32> {
        let (mut found, mut readings) = (found.into_iter(), 0);
        let sequence = || Ok::<_, Infallible>(found.next().expect("there is another value"));
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
        assert_eq!(reading([2, 3, 3, 4, 4]), Some(3), "a claim began meanwhile, and ended");
        assert_eq!(reading([2, 4, 4, 4]), Some(2), "a claim began and ended meanwhile");
        assert_eq!(reading([3, 5, 6, 6]), Some(3), "two claims, one after the other");
        assert_eq!(reading(std::iter::repeat(3)), None, "the process has died during its claim");
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
