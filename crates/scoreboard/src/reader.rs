//! Reads the board without writing to it.

use std::fs::File;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use crate::file::{self, Header};
use crate::layout::{FRONT_BYTES, HIGH_WATER, SEAT_WORDS, SLOT_BYTES, WORD, slot::SEQUENCE};
use crate::snapshot::{self, parse};
use crate::{Error, Instance, Record, Seat, Snapshot, process, sys};

/// A board opened for reading.
///
/// It keeps the file that it has opened. If you read repeatedly, open the board anew each time. You then also
/// see a board that was created since.
#[derive(Debug)]
pub struct Reader {
    file: File,
    path: PathBuf,
}

/// A buffer for reading. Its alignment ensures that the kernel never copies a word in two parts.
#[repr(align(64))]
struct Aligned<const N: usize>([u8; N]);

impl Reader {
    /// Opens the board. Read access is enough.
    ///
    /// # Errors
    /// [`Error::System`]: the board cannot be opened or read. The kind is `NotFound` if no worker has counted
    /// since the boot. [`Error::TooShort`] and [`Error::Foreign`]: the file is no board of this version, or
    /// no worker has finished creating it.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let file = file::open(path, OFlags::RDONLY)?;
        file::require_front(&file, path)?;
        match file::header(&file, path)? {
            Header::Ours => Ok(Self { file, path: path.to_owned() }),
            Header::Unwritten | Header::Foreign => Err(Error::Foreign { path: path.to_owned() }),
        }
    }

    /// Reads the slot of an instance. `None` if no process has ever claimed it, or if a process is claiming
    /// it now.
    ///
    /// # Errors
    /// [`Error::SlotTooShort`]: the file was truncated. [`Error::System`]: the file cannot be read.
    pub fn read(&self, instance: Instance) -> Result<Option<Snapshot>, Error> {
        let Some((record, is_alive)) = self.record(instance)? else { return Ok(None) };
        Ok(Some(Snapshot { instance, is_alive, seat: self.seat(instance)?, record }))
    }

    /// Reads all slots that were ever claimed, in the order of the instances.
    ///
    /// # Errors
    /// The error of [`read`](Self::read) for the first slot that cannot be read.
    pub fn all(&self) -> Result<Vec<Snapshot>, Error> {
        let highest = self.word((HIGH_WATER * WORD) as u64)?;
        Instance::up_to(highest).filter_map(|instance| self.read(instance).transpose()).collect()
    }

    /// Reads the slot, and whether the process that it names is alive. Both happen while the sequence stays
    /// the same.
    fn record(&self, instance: Instance) -> Result<Option<(Record, bool)>, Error> {
        let sequence = instance.slot_offset() + (SEQUENCE * WORD) as u64;
        let mut page = Aligned([0; SLOT_BYTES]);
        let read = || {
            let bytes = file::read_at(&self.file, &mut page.0, instance.slot_offset());
            let is_alive = sys::is_write_locked(&self.file, instance.life_bytes());
            let bytes = bytes.map_err(Error::system("read a slot of", &self.path))?;
            Ok((bytes, is_alive.map_err(Error::system("ask for the locks on", &self.path))?))
        };
        let Some((bytes, is_alive)) = process::settled(|| self.word(sequence), read)? else {
            return Ok(None);
        };
        Ok(parse(&page.0[..bytes])?.map(|record| (record, is_alive)))
    }

    fn seat(&self, instance: Instance) -> Result<Seat, Error> {
        let mut bytes = Aligned([0; SEAT_WORDS * WORD]);
        self.fill(&mut bytes.0, (instance.seat_word() * WORD) as u64)?;
        Ok(Seat::parse(snapshot::words(&bytes.0)))
    }

    fn word(&self, offset: u64) -> Result<u64, Error> {
        let mut bytes = Aligned([0; WORD]);
        self.fill(&mut bytes.0, offset)?;
        Ok(u64::from_ne_bytes(bytes.0))
    }

    /// Bytes beyond the end of the file stay zero, because no process has ever claimed a slot there.
    fn fill(&self, bytes: &mut [u8], offset: u64) -> Result<(), Error> {
        file::read_at(&self.file, bytes, offset).map(drop).map_err(Error::system("read", &self.path))
    }
}

const _: () = assert!(FRONT_BYTES.is_multiple_of(SLOT_BYTES), "a slot is a page of the file");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Board;

    #[test]
    fn who_is_about_to_claim_a_slot_does_not_bring_its_predecessor_back_to_life() {
        let dir = tempfile::tempdir().unwrap();
        let (path, instance) = (dir.path().join("board"), Instance::new(1).unwrap());
        let slot = Board::open(&path).unwrap().claim(instance, "1").unwrap();
        let is_alive = || Reader::open(&path).unwrap().read(instance).unwrap().unwrap().is_alive;
        assert!(is_alive());
        drop(slot);
        let successor = file::open(&path, OFlags::RDWR).unwrap();
        assert!(sys::try_lock(&successor, instance.writer_bytes()).unwrap());
        assert!(!is_alive());
        assert!(matches!(Board::open(&path).unwrap().claim(instance, "2"), Err(Error::Taken { .. })));
    }
}
