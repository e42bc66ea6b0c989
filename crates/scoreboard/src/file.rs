//! The file of a board: opens it safely, and identifies it by its header.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::fs::{FallocateFlags, Mode, OFlags, fallocate};
use rustix::io::retry_on_intr;

use crate::Error;
use crate::layout::{FRONT_BYTES, HEADER};

/// What the file contains in place of the header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Header {
    /// The header of this version.
    Ours,
    /// Nothing yet, or a header that another process is writing at this moment.
    Unwritten,
    /// Something else.
    Foreign,
}

/// Opens the file. The directory belongs to the workers' user while the reader may be root. So it follows no
/// symbolic link, and does not wait for a file that is not a regular file.
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
    // If only part of the header is written, the rest is zero.
    let is_begun = found.iter().zip(HEADER).all(|(found, ours)| *found == 0 || *found == ours);
    Ok(match (found == HEADER, is_begun) {
        (true, _) => Header::Ours,
        (false, true) => Header::Unwritten,
        (false, false) => Header::Foreign,
    })
}

/// Fails if the table of seats is missing. A process makes room for it before it writes the header, so a
/// valid board has it.
pub(crate) fn require_front(file: &File, path: &Path) -> Result<(), Error> {
    let bytes = file.metadata().map_err(Error::system("look at", path))?.len();
    if bytes < FRONT_BYTES as u64 { Err(Error::TooShort { path: path.to_owned(), bytes }) } else { Ok(()) }
}

/// Fills the buffer from the file up to its end, and returns the number of bytes read.
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

/// Allocates the pages. Without this, a worker would notice a full `/run` only when it writes to a page, by a
/// SIGBUS.
pub(crate) fn allocate(file: &File, offset: u64, bytes: usize) -> rustix::io::Result<()> {
    retry_on_intr(|| fallocate(file, FallocateFlags::empty(), offset, bytes as u64))
}
