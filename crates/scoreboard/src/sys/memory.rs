//! Memory in words that several processes may write to at the same time.

use std::ffi::c_void;
use std::fmt;
use std::io;
use std::ops::Deref;
use std::os::fd::AsFd;
use std::ptr::{self, NonNull};
use std::sync::atomic::AtomicU64;

use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
use rustix::param::page_size;

/// `N` words of a mapped file or of private memory.
///
/// It holds only atomic words. So whatever another process writes is a valid value, and concurrent access is
/// no data race.
pub(crate) struct Memory<const N: usize> {
    words: NonNull<[AtomicU64; N]>,
    mapping: Option<Mapping>,
}

/// The pages that mmap(2) has mapped. The first page may begin before the words do.
struct Mapping {
    begin: NonNull<c_void>,
    length: usize,
}

// SAFETY: it owns what it points to, and lends it only as atomics, which any thread may use.
unsafe impl<const N: usize> Send for Memory<N> {}
// SAFETY: as above.
unsafe impl<const N: usize> Sync for Memory<N> {}

impl<const N: usize> Memory<N> {
    const BYTES: usize = N * size_of::<AtomicU64>();

    /// Maps words of a file from `offset` on, which must be a multiple of a word's size. The caller must have
    /// allocated them. Touching a word that the file system has no room for, or that is beyond the end of the
    /// file, raises SIGBUS (mmap(2)).
    pub(crate) fn of_file(file: impl AsFd, offset: u64) -> io::Result<Self> {
        let access = ProtFlags::READ | ProtFlags::WRITE;
        // On some machines a page has 16 or 64 KiB. A slot always has 4 KiB.
        let before = offset % page_size() as u64;
        let length = before as usize + Self::BYTES;
        // SAFETY: the kernel chooses the address, so the call replaces no existing mapping.
        let begin =
            unsafe { mmap(ptr::null_mut(), length, access, MapFlags::SHARED, file, offset - before) }?;
        let begin = NonNull::new(begin).ok_or(io::ErrorKind::OutOfMemory)?;
        // SAFETY: the mapping is longer than `before` bytes.
        let words = unsafe { begin.byte_add(before as usize) }.cast();
        Ok(Self { words, mapping: Some(Mapping { begin, length }) })
    }

    /// Allocates zeros in private memory.
    pub(crate) fn private() -> Self {
        // SAFETY: zero is a value of an atomic word.
        let words = unsafe { Box::<[AtomicU64; N]>::new_zeroed().assume_init() };
        Self { words: NonNull::from(Box::leak(words)), mapping: None }
    }
}

impl<const N: usize> Deref for Memory<N> {
    type Target = [AtomicU64; N];

    fn deref(&self) -> &[AtomicU64; N] {
        // SAFETY: `N` words are mapped or allocated there until `drop`. They are aligned to a word, and every
        // combination of bits is valid.
        unsafe { self.words.as_ref() }
    }
}

impl<const N: usize> Drop for Memory<N> {
    fn drop(&mut self) {
        if let Some(mapping) = &self.mapping {
            // SAFETY: `of_file` has mapped this, and no borrow of it is left.
            let result = unsafe { munmap(mapping.begin.as_ptr(), mapping.length) };
            // The call fails only for an invalid address, and this one came from the kernel.
            debug_assert!(result.is_ok());
        } else {
            // SAFETY: `private` has leaked this box, and no borrow of it is left.
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
