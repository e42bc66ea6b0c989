//! Words that several processes may write to at once.

use std::ffi::c_void;
use std::fmt;
use std::io;
use std::ops::Deref;
use std::os::fd::AsFd;
use std::ptr::{self, NonNull};
use std::sync::atomic::AtomicU64;

use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
use rustix::param::page_size;

/// `N` words, of a file or of nobody else's.
///
/// There is nothing in it but atomic words: whatever another process writes is a value, and a race is none.
pub(crate) struct Memory<const N: usize> {
    words: NonNull<[AtomicU64; N]>,
    mapping: Option<Mapping>,
}

/// What mmap(2) has mapped: whole pages, the first of which may begin before the words do.
struct Mapping {
    begin: NonNull<c_void>,
    length: usize,
}

// SAFETY: it owns what it points to, and lends it as atomics only, which any thread may use.
unsafe impl<const N: usize> Send for Memory<N> {}
// SAFETY: as above.
unsafe impl<const N: usize> Sync for Memory<N> {}

impl<const N: usize> Memory<N> {
    const BYTES: usize = N * size_of::<AtomicU64>();

    /// Words of a file, from `offset` on, a multiple of a word's size. They must have been allocated: touching
    /// one that the file system has no room for, or that is behind the end of the file, is SIGBUS (mmap(2)).
    pub(crate) fn of_file(file: impl AsFd, offset: u64) -> io::Result<Self> {
        let access = ProtFlags::READ | ProtFlags::WRITE;
        // Pages have 16 or 64 KiB on some machines, slots have 4 everywhere.
        let before = offset % page_size() as u64;
        let length = before as usize + Self::BYTES;
        // SAFETY: the kernel chooses the address, so nothing that is mapped already is replaced.
        let begin =
            unsafe { mmap(ptr::null_mut(), length, access, MapFlags::SHARED, file, offset - before) }?;
        let begin = NonNull::new(begin).ok_or(io::ErrorKind::OutOfMemory)?;
        // SAFETY: so many bytes are mapped, and more than these.
        let words = unsafe { begin.byte_add(before as usize) }.cast();
        Ok(Self { words, mapping: Some(Mapping { begin, length }) })
    }

    /// Zeros that nobody else sees.
    pub(crate) fn private() -> Self {
        // SAFETY: zero is a value of an atomic word.
        let words = unsafe { Box::<[AtomicU64; N]>::new_zeroed().assume_init() };
        Self { words: NonNull::from(Box::leak(words)), mapping: None }
    }
}

impl<const N: usize> Deref for Memory<N> {
    type Target = [AtomicU64; N];

    fn deref(&self) -> &[AtomicU64; N] {
        // SAFETY: `N` words are mapped or allocated there until `drop`, aligned to a word, and every
        // combination of bits is a value.
        unsafe { self.words.as_ref() }
    }
}

impl<const N: usize> Drop for Memory<N> {
    fn drop(&mut self) {
        if let Some(mapping) = &self.mapping {
            // SAFETY: that is what `of_file` has mapped, and who borrowed it is gone.
            let result = unsafe { munmap(mapping.begin.as_ptr(), mapping.length) };
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
        f.debug_struct("Memory").field("words", &N).field("is_mapped", &self.mapping.is_some()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::*;

    #[test]
    fn words_may_begin_within_a_page() {
        let path = std::env::temp_dir().join(format!("app-cluster-memory-{}", std::process::id()));
        let file = std::fs::File::options().read(true).write(true).create_new(true).open(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        file.set_len(3 * page_size() as u64).unwrap();
        let whole = Memory::<1024>::of_file(&file, 0).unwrap();
        let within = Memory::<8>::of_file(&file, page_size() as u64 - 32).unwrap();
        within[7].store(7, Ordering::Relaxed);
        assert_eq!(whole[page_size() / 8 + 3].load(Ordering::Relaxed), 7);
        drop(within);
        assert_eq!(whole[page_size() / 8 + 3].load(Ordering::Relaxed), 7);
    }
}
