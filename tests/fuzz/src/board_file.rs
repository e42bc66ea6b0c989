//! A file at the scoreboard's path: any user reads it, and a worker claims a slot in it.

use std::fs;
use std::path::Path;

use scoreboard::{Board, Error, Instance, Reader};
use tempfile::TempDir;

const FRONT: usize = 36_864;
const SLOT: usize = 4096;

thread_local! {
    /// In memory, like the board.
    static DIRECTORY: TempDir = tempfile::tempdir_in("/dev/shm").expect("/dev/shm is there");
}

/// The first four bytes are the length of the file. After them come patches for a valid board: the position
/// in words in two bytes, the length in one, and the bytes.
pub(crate) fn run(bytes: &[u8]) {
    let file = file(bytes);
    DIRECTORY.with(|directory| {
        let path = directory.path().join("board");
        fs::write(&path, &file).expect("there is room in /dev/shm");
        read(&path, &file);
        claim(&path, &file);
    });
}

fn file(bytes: &[u8]) -> Vec<u8> {
    let mut file = sound();
    let Some((length, mut pieces)) = bytes.split_first_chunk() else { return bytes.to_vec() };
    while let Some(([low, high, length], rest)) = pieces.split_first_chunk() {
        let (piece, rest) = rest.split_at(usize::from(*length).min(rest.len()));
        let begin = usize::from(u16::from_le_bytes([*low, *high])) * 8;
        let space = file.iter_mut().skip(begin);
        space.zip(piece).for_each(|(byte, new)| *byte = *new);
        pieces = rest;
    }
    file.resize(u32::from_le_bytes(*length) as usize % (FRONT + 3 * SLOT), 0);
    file
}

/// A board with two slots, which processes claimed that are dead.
fn sound() -> Vec<u8> {
    let mut file = vec![0; FRONT + 2 * SLOT];
    let mut write = |at: usize, words: &[u64]| {
        for (space, word) in file[at..].chunks_mut(8).zip(words) {
            space.copy_from_slice(&word.to_ne_bytes());
        }
    };
    write(0, &[u64::from_ne_bytes(*b"appclus\n"), 1, 512, 64, 4096]);
    write(64, &[2]);
    write(4096, &[1, 3, 1_000, 0, 0, 0, 0, 0, 1, 5, 2_000]);
    for slot in [FRONT, FRONT + SLOT] {
        write(slot, &[2, 99, 1_000, u64::from_ne_bytes(*b"1.3.0\0\0\0")]);
    }
    file
}

/// No process has claimed a slot of this file, so none is alive, whatever the file says.
fn read(path: &Path, file: &[u8]) {
    match Reader::open(path) {
        Ok(reader) => {
            assert!(file.len() >= FRONT && file.starts_with(b"appclus\n"));
            for number in [1, 2, 3, Instance::MAX] {
                let instance = Instance::new(number).expect("there is room for it");
                match reader.read(instance) {
                    Ok(found) => assert!(found.is_none_or(|snapshot| !snapshot.is_alive)),
                    Err(Error::SlotTooShort { bytes }) => assert!(bytes < SLOT),
                    Err(error) => panic!("{error}"),
                }
            }
            match reader.all() {
                Ok(all) => assert!(all.is_sorted_by_key(|snapshot| snapshot.instance)),
                Err(Error::SlotTooShort { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
        Err(Error::TooShort { bytes, .. }) => assert!(bytes == file.len() as u64 && file.len() < FRONT),
        Err(Error::Foreign { .. }) => assert!(file.len() >= FRONT),
        Err(error) => panic!("{error}"),
    }
}

/// A worker claims its slot if the file can be a board, and changes nothing otherwise.
fn claim(path: &Path, file: &[u8]) {
    match Board::open(path).and_then(|board| board.claim(Instance::FIRST, "2")) {
        Ok(slot) => {
            slot.ready();
            assert!(slot.siblings().all(|sibling| sibling.seat.is_accepting && !sibling.is_held()));
            let snapshot = Reader::open(path).and_then(|reader| reader.read(Instance::FIRST));
            let snapshot = snapshot.expect("the file is a board now").expect("the slot is claimed");
            assert!(snapshot.is_alive && snapshot.seat.is_accepting);
            assert_eq!(snapshot.record.identity.release, "2");
            assert_eq!((snapshot.record.counters.accepts, snapshot.record.counters.latency.count()), (0, 0));
        }
        Err(Error::Foreign { .. } | Error::TooShort { .. }) => {
            assert!(fs::read(path).is_ok_and(|now| now == file), "the file was changed");
        }
        Err(error) => panic!("{error}"),
    }
}
