//! The board as a worker has it: opened, and one slot of it claimed.

use std::fs::File;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, fchmod};

use crate::file::{self, Header};
use crate::layout::{FRONT_BYTES, HEADER};
use crate::{Error, Instance, Slot, claim::Claim};

/// A board on which one slot can be claimed.
///
/// One only, for a lock belongs to what was opened: with the same description a process could claim a slot twice.
/// A process that wants several opens the board as often.
#[derive(Debug)]
#[must_use = "a board is of use once a slot of it is claimed"]
pub struct Board {
    file: File,
    path: PathBuf,
}

impl Board {
    /// Opens the board, and creates it if it is not there or empty. The directory has to be there.
    ///
    /// Whoever comes first creates it, without a lock: all write the same. Anybody may read it (mode 0644), however
    /// strict the process is otherwise (umask(2)).
    ///
    /// # Errors
    /// [`Error::Foreign`] and [`Error::TooShort`]: there is something that is not this board; it is left as it is.
    /// [`Error::System`]: it cannot be opened, or `/run` is full.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let file = file::open(path, OFlags::RDWR | OFlags::CREATE)?;
        let found = file::header(&file, path)?;
        match found {
            Header::Foreign => return Err(Error::Foreign { path: path.to_owned() }),
            Header::Ours => file::require_front(&file, path)?,
            // Fails if somebody else has made the file, who then has chosen its mode.
            Header::Unwritten => drop(fchmod(&file, Mode::from_raw_mode(0o644))),
        }
        file::allocate(&file, 0, FRONT_BYTES).map_err(Error::system("make room in", path))?;
        if found == Header::Unwritten {
            rustix::io::pwrite(&file, &HEADER, 0).map_err(Error::system("write to", path))?;
        }
        Ok(Self { file, path: path.to_owned() })
    }

    /// Claims the slot of this instance: everything in it is set to zero, then it names this process and `release`,
    /// of which 104 bytes are kept. Until [`Slot::ready`] nobody sits on its seat.
    ///
    /// # Errors
    /// [`Error::Taken`]: a living process has it. [`Error::System`]: `/run` is full, or the kernel is out of locks
    /// or of memory.
    pub fn claim(self, instance: Instance, release: &str) -> Result<Slot, Error> {
        let claim = Claim::of_board(self.file, &self.path, instance, release)?;
        Ok(Slot::of(claim))
    }
}
