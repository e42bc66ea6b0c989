//! The claim of this process to a slot, and the mapped memory of the slot.

use std::convert::Infallible;
use std::fs::File;
use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use crate::layout::{FRONT_WORDS, HIGH_WATER, SLOT_BYTES, SLOT_WORDS, seat::NOBODY, seat::STATE};
use crate::sys::{self, Memory};
use crate::{Error, Instance, file, process, seat};

/// While a claim exists, no other process writes to the slot and the seat of this instance.
#[derive(Debug)]
pub(crate) struct Claim {
    pub(crate) instance: Instance,
    pub(crate) front: Memory<FRONT_WORDS>,
    slot: Memory<SLOT_WORDS>,
    /// The file that has the locks. `None` for a private slot.
    file: Option<File>,
}

impl Claim {
    /// Claims the slot of this instance on an open board.
    pub(crate) fn of_board(
        file: File,
        path: &Path,
        instance: Instance,
        release: &str,
    ) -> Result<Self, Error> {
        let begin = instance.slot_offset();
        let is_free = sys::try_lock(&file, instance.writer_bytes());
        if !is_free.map_err(Error::system("lock a slot of", path))? {
            return Err(Error::Taken { instance });
        }
        file::allocate(&file, begin, SLOT_BYTES).map_err(Error::system("make room for a slot in", path))?;
        let front = Memory::<FRONT_WORDS>::of_file(&file, 0).map_err(Error::system("map", path))?;
        let slot = Memory::of_file(&file, begin).map_err(Error::system("map a slot of", path))?;
        process::publish(&slot, release, || {
            for word in seat::words(&front, instance) {
                word.store(0, Relaxed);
            }
            // No other process can have this lock, because it would need the first lock too.
            let lives = sys::try_lock(&file, instance.life_bytes());
            lives.map(drop).map_err(Error::system("lock a slot of", path))
        })?;
        front[HIGH_WATER].fetch_max(instance.number().into(), Relaxed);
        Ok(Self { instance, front, slot, file: Some(file) })
    }

    /// A slot and a seat in private memory.
    pub(crate) fn private(instance: Instance, release: &str) -> Self {
        let slot = Memory::private();
        let Ok(()) = process::publish(&slot, release, || Ok::<_, Infallible>(()));
        Self { instance, front: Memory::private(), slot, file: None }
    }

    /// A word of the slot.
    pub(crate) fn slot(&self, word: usize) -> &AtomicU64 {
        &self.slot[word]
    }

    /// A word of the seat.
    pub(crate) fn seat(&self, word: usize) -> &AtomicU64 {
        &seat::words(&self.front, self.instance)[word]
    }

    /// Marks the seat as empty.
    pub(crate) fn leave(&self) {
        self.seat(STATE).store(NOBODY, Relaxed);
    }

    pub(crate) fn is_private(&self) -> bool {
        self.file.is_none()
    }

    /// Whether another living process has the slot of `instance`. `false` if this cannot be determined.
    pub(crate) fn is_held(&self, instance: Instance) -> bool {
        let is_locked = |file| sys::is_write_locked(file, instance.life_bytes()).unwrap_or(false);
        self.file.as_ref().is_some_and(is_locked)
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.leave();
    }
}
