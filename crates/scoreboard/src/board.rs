//! The board for a worker: opens it, and claims one slot.

use std::fs::File;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, fchmod};

use crate::file::{self, Header};
use crate::layout::{FRONT_BYTES, HEADER};
use crate::{Error, Instance, Slot, claim::Claim};

/// A board on which one slot can be claimed.
///
/// Only one slot, because a lock belongs to an open file description: with the same description, a process
/// could claim a slot twice. A process that needs several slots opens the board once for each.
#[derive(Debug)]
#[must_use = "a board is useful only if a slot of it is claimed"]
pub struct Board {
    file: File,
    path: PathBuf,
}

impl Board {
    /// Opens the board. If the file is missing or empty, it creates the board. The directory must exist.
    ///
    /// The first process creates it without a lock, because all processes write the same bytes. Any user may
    /// read the board (mode 0644), however strict the umask(2) of the process is.
    ///
    /// # Errors
    /// [`Error::Foreign`] and [`Error::TooShort`]: the file is not this board, and is left unchanged.
    /// [`Error::System`]: the file cannot be opened, or `/run` is full.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let file = file::open(path, OFlags::RDWR | OFlags::CREATE)?;
        let found = file::header(&file, path)?;
        match found {
            Header::Foreign => return Err(Error::Foreign { path: path.to_owned() }),
            Header::Ours => file::require_front(&file, path)?,
            // This fails if another user has created the file. That user has then chosen its mode.
            Header::Unwritten => drop(fchmod(&file, Mode::from_raw_mode(0o644))),
        }
        file::allocate(&file, 0, FRONT_BYTES).map_err(Error::system("make room in", path))?;
        if found == Header::Unwritten {
            rustix::io::pwrite(&file, &HEADER, 0).map_err(Error::system("write to", path))?;
        }
        Ok(Self { file, path: path.to_owned() })
    }

    /// Claims the slot of this instance. All of its words are set to zero. Then it names this process and the
    /// first 104 bytes of `release`. Until [`Slot::ready`], the seat is empty.
    ///
    /// # Errors
    /// [`Error::Taken`]: a living process has the slot. [`Error::System`]: `/run` is full, or the kernel has
    /// no more locks or memory.
    pub fn claim(self, instance: Instance, release: &str) -> Result<Slot, Error> {
        let claim = Claim::of_board(self.file, &self.path, instance, release)?;
        Ok(Slot::of(claim))
    }
}
