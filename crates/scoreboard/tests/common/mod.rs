//! Helpers for the tests of one process and for those of several.

use std::path::{Path, PathBuf};

use scoreboard::{Board, Error, Instance, Reader, Slot, Snapshot};
use tempfile::TempDir;

pub(crate) fn instance(number: u32) -> Instance {
    Instance::new(number).expect("the board has room for it")
}

/// A directory, and the path in it of a board that does not exist yet.
pub(crate) fn place() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().expect("there is room for a directory");
    let path = dir.path().join("board.v1");
    (dir, path)
}

pub(crate) fn claim(path: &Path, number: u32, release: &str) -> Result<Slot, Error> {
    Board::open(path)?.claim(instance(number), release)
}

pub(crate) fn read(path: &Path, number: u32) -> Option<Snapshot> {
    let reader = Reader::open(path).expect("the board can be opened");
    reader.read(instance(number)).expect("the slot can be read")
}
