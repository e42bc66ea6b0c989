//! Open file description locks on a range of bytes (fcntl(2)).

use std::io;
use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd};

use libc::{F_OFD_GETLK, F_OFD_SETLK, F_RDLCK, F_UNLCK, F_WRLCK, SEEK_SET, c_int, flock, off_t};

/// Takes the write lock on these bytes for the description behind `file`. `false` if another description has
/// a lock there.
pub(crate) fn try_lock(file: impl AsFd, bytes: Range<u64>) -> io::Result<bool> {
    match call(file, F_OFD_SETLK, F_WRLCK, bytes) {
        Ok(_) => Ok(true),
        // fcntl(2): EACCES or EAGAIN.
        Err(error) if matches!(error.raw_os_error(), Some(libc::EACCES | libc::EAGAIN)) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whether another description has a write lock on any of these bytes. It asks the kernel whether a *read*
/// lock would be possible. Other read locks do not prevent that, and a process can take those without write
/// access to the file.
pub(crate) fn is_write_locked(file: impl AsFd, bytes: Range<u64>) -> io::Result<bool> {
    Ok(call(file, F_OFD_GETLK, F_RDLCK, bytes)?.l_type != F_UNLCK as i16)
}

fn call(file: impl AsFd, command: c_int, kind: c_int, bytes: Range<u64>) -> io::Result<flock> {
    let too_far = |_| io::Error::from(io::ErrorKind::InvalidInput);
    let mut lock = flock {
        l_type: kind as i16,
        l_whence: SEEK_SET as i16,
        l_start: off_t::try_from(bytes.start).map_err(too_far)?,
        l_len: off_t::try_from(bytes.end.saturating_sub(bytes.start)).map_err(too_far)?,
        // Locks of this kind fail with EINVAL for any other value.
        l_pid: 0,
    };
    // SAFETY: the descriptor is borrowed for the call. Both commands take a `struct flock`, and this one is
    // ours.
    let result = unsafe { libc::fcntl(file.as_fd().as_raw_fd(), command, &raw mut lock) };
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(lock) }
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    #[test]
    fn a_lock_belongs_to_the_description_and_a_reader_is_no_writer() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let [first, second] = [File::create(&path).unwrap(), File::create(&path).unwrap()];
        let reader = File::open(&path).unwrap();

        assert!(try_lock(&first, 10..20).unwrap());
        assert!(try_lock(&first, 10..20).unwrap(), "again by the same description");
        assert!(!try_lock(&second, 19..30).unwrap(), "one byte in common");
        assert!(try_lock(&second, 20..30).unwrap());
        assert!(is_write_locked(&reader, 0..11).unwrap());
        assert!(!is_write_locked(&reader, 0..10).unwrap());

        // A forked child would have such a copy.
        let copy = first.try_clone().unwrap();
        drop(first);
        assert!(is_write_locked(&reader, 0..20).unwrap());
        drop(copy);
        assert!(!is_write_locked(&reader, 0..20).unwrap());
        call(&reader, F_OFD_SETLK, F_RDLCK, 0..20).unwrap();
        assert!(!is_write_locked(&second, 0..20).unwrap(), "a read lock is not a writer");
        assert!(!try_lock(&second, 0..20).unwrap());
    }
}
