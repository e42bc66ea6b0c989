//! The file of a board: opened with care, and known by its header.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::fs::{FallocateFlags, Mode, OFlags, fallocate};
use rustix::io::retry_on_intr;

use crate::Error;
use crate::layout::{FRONT_BYTES, HEADER};

/// What there is where a header should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Header {
    /// A board of this version.
    Ours,
    /// Nothing yet, or a header that somebody is writing at this moment.
    Unwritten,
    /// Something else.
    Foreign,
}

/// Opens the file. The directory belongs to the workers' user while the reader may be root, so no link is followed,
/// and what is no file is not waited for.
pub(crate) fn open(path: &Path, access: OFlags) -> Result<File, Error> {
    let careful = OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
    let mode = Mode::RUSR | Mode::WUSR | Mode::RGRP | Mode::ROTH;
    let file =
        File::from(rustix::fs::open(path, access | careful, mode).map_err(Error::system("open", path))?);
    let metadata = file.metadata().map_err(Error::system("look at", path))?;
    if metadata.is_file() { Ok(file) } else { Err(Error::Foreign { path: path.to_owned() }) }
}

/// Reads the header.
pub(crate) fn header(file: &File, path: &Path) -> Result<Header, Error> {
    let mut found = [0; HEADER.len()];
    read_at(file, &mut found, 0).map_err(Error::system("read", path))?;
    // A header that is half written has zeros for the rest.
    let is_begun = found.iter().zip(HEADER).all(|(found, ours)| *found == 0 || *found == ours);
    Ok(match (found == HEADER, is_begun) {
        (true, _) => Header::Ours,
        (false, true) => Header::Unwritten,
        (false, false) => Header::Foreign,
    })
}

/// Whoever writes a header has made room for the table of seats before: it cannot be missing.
pub(crate) fn require_front(file: &File, path: &Path) -> Result<(), Error> {
    let bytes = file.metadata().map_err(Error::system("look at", path))?.len();
    if bytes < FRONT_BYTES as u64 { Err(Error::TooShort { path: path.to_owned(), bytes }) } else { Ok(()) }
}

/// Fills the buffer from the file as far as it goes, and says how far that was.
pub(crate) fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut done = 0;
    while let Some(rest) = buffer.get_mut(done..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, offset + done as u64) {
            Ok(0) => break,
            Ok(bytes) => done += bytes,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

/// Makes room. Without this a page that `/run` has no room for would be noticed when it is written to, by a SIGBUS.
pub(crate) fn allocate(file: &File, offset: u64, bytes: usize) -> rustix::io::Result<()> {
    retry_on_intr(|| fallocate(file, FallocateFlags::empty(), offset, bytes as u64))
}
