//! Words that several processes may write to at once.

use std::fmt;
use std::io;
use std::ops::Deref;
use std::os::fd::AsFd;
use std::ptr::{self, NonNull};
use std::sync::atomic::AtomicU64;

use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

/// `N` words, of a file or of nobody else's.
///
/// There is nothing in it but atomic words: whatever another process writes is a value, and a race is none.
pub(crate) struct Memory<const N: usize> {
    words: NonNull<[AtomicU64; N]>,
    is_mapped: bool,
}

// SAFETY: it owns what it points to, and lends it as atomics only, which any thread may use.
unsafe impl<const N: usize> Send for Memory<N> {}
// SAFETY: as above.
unsafe impl<const N: usize> Sync for Memory<N> {}

impl<const N: usize> Memory<N> {
    const BYTES: usize = N * size_of::<AtomicU64>();

    /// Words of a file, from `offset` on, a multiple of the page size. The pages must have been allocated: touching
    /// one that the file system has no room for, or that is behind the end of the file, is SIGBUS (mmap(2)).
    pub(crate) fn of_file(file: impl AsFd, offset: u64) -> io::Result<Self> {
        let access = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: the kernel chooses the address, so nothing that is mapped already is replaced.
        let at = unsafe { mmap(ptr::null_mut(), Self::BYTES, access, MapFlags::SHARED, file, offset) }?;
        let words = NonNull::new(at.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { words, is_mapped: true })
    }

    /// Zeros that nobody else sees.
    pub(crate) fn private() -> Self {
        // SAFETY: zero is a value of an atomic word.
        let words = unsafe { Box::<[AtomicU64; N]>::new_zeroed().assume_init() };
        Self { words: NonNull::from(Box::leak(words)), is_mapped: false }
    }
}

impl<const N: usize> Deref for Memory<N> {
    type Target = [AtomicU64; N];

    fn deref(&self) -> &[AtomicU64; N] {
        // SAFETY: `N` words are mapped or allocated there until `drop`, aligned to a page or to a word, and every
        // combination of bits is a value.
        unsafe { self.words.as_ref() }
    }
}

impl<const N: usize> Drop for Memory<N> {
    fn drop(&mut self) {
        if self.is_mapped {
            // SAFETY: that is what `of_file` has mapped, and who borrowed it is gone.
            let result = unsafe { munmap(self.words.as_ptr().cast(), Self::BYTES) };
            // It fails for a bad address only, and this one is the kernel's own.
            debug_assert!(result.is_ok());
        } else {
            // SAFETY: that is the box that `private` has leaked, and who borrowed it is gone.
            drop(unsafe { Box::from_raw(self.words.as_ptr()) });
        }
    }
}

impl<const N: usize> fmt::Debug for Memory<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory").field("words", &N).field("is_mapped", &self.is_mapped).finish()
    }
}
