//! Files that are not a board, and boards that are damaged.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, symlink};
use std::path::Path;

use proptest::prelude::*;
use scoreboard::{Board, Error, Instance, Reader};

use crate::{claim, instance, place, read};

const FRONT: usize = 36_864;
const SLOT: usize = 4096;

#[test]
fn what_is_no_board_is_left_as_it_is() {
    let (dir, path) = place();
    let of_version_2 = {
        drop(claim(&path, 1, "1").unwrap());
        let mut file = fs::read(&path).unwrap();
        file[8] = 2;
        file
    };
    for content in [b"#!/bin/sh\n".to_vec(), vec![b'x'; FRONT + SLOT], of_version_2] {
        fs::write(&path, &content).unwrap();
        let error = Board::open(&path).unwrap_err();
        assert!(matches!(error, Error::Foreign { .. }), "{error}");
        assert_eq!(fs::read(&path).unwrap(), content);
        let error = Reader::open(&path).unwrap_err();
        let is_short = content.len() < FRONT;
        assert!(matches!(error, Error::TooShort { .. }) == is_short, "{error}");
        assert!(matches!(error, Error::Foreign { .. }) != is_short, "{error}");
    }
    for path in [Path::new("/dev/null"), Path::new("/dev/zero")] {
        assert!(matches!(Board::open(path).unwrap_err(), Error::Foreign { .. }));
        assert!(matches!(Reader::open(path).unwrap_err(), Error::Foreign { .. }));
    }
    let link = dir.path().join("link");
    symlink(&path, &link).unwrap();
    assert!(matches!(Board::open(&link).unwrap_err(), Error::System { .. }), "no link is followed");
    assert!(matches!(Reader::open(&link).unwrap_err(), Error::System { .. }), "no link is followed");
}

#[test]
fn an_empty_file_becomes_a_board_and_so_does_one_whose_creator_has_died() {
    let (_dir, path) = place();
    let half_written = [b"appclus\n".as_slice(), &[0; FRONT - 8]].concat();
    for content in [vec![], vec![0; 100], vec![0; FRONT], half_written] {
        fs::write(&path, &content).unwrap();
        assert!(Reader::open(&path).is_err(), "nobody has finished creating it");
        drop(claim(&path, 2, "1").unwrap());
        assert!(read(&path, 2).is_some());
    }
}

#[test]
fn a_board_that_is_cut_is_told_as_such() {
    let (_dir, path) = place();
    drop([1, 2].map(|number| claim(&path, number, "1").unwrap()));
    let file = File::options().write(true).open(&path).unwrap();

    file.set_len((FRONT + SLOT + 100) as u64).unwrap();
    let reader = Reader::open(&path).unwrap();
    assert!(reader.read(instance(1)).unwrap().is_some());
    assert!(matches!(reader.read(instance(2)).unwrap_err(), Error::SlotTooShort { bytes: 100 }));
    assert!(matches!(reader.all().unwrap_err(), Error::SlotTooShort { bytes: 100 }));

    file.set_len(FRONT as u64 - 1).unwrap();
    assert_eq!(reader.read(instance(1)).unwrap(), None, "it was opened before, and finds nothing there");
    for error in [Reader::open(&path).unwrap_err(), Board::open(&path).unwrap_err()] {
        assert!(matches!(error, Error::TooShort { bytes, .. } if bytes == FRONT as u64 - 1), "{error}");
    }
}

#[test]
fn a_claim_that_its_process_did_not_survive_is_nobody_and_the_next_one_succeeds() {
    let (_dir, path) = place();
    drop(claim(&path, 1, "1").unwrap());
    let file = File::options().write(true).open(&path).unwrap();
    for sequence in [3, u64::MAX] {
        file.write_all_at(&u64::to_ne_bytes(sequence), FRONT as u64).unwrap();
        assert_eq!(read(&path, 1), None);
        let _slot = claim(&path, 1, "2").unwrap();
        assert!(read(&path, 1).is_some_and(|snapshot| snapshot.is_alive));
    }
}

#[test]
fn a_claim_sets_everything_to_zero() {
    let (_dir, path) = place();
    fs::write(&path, vec![0; FRONT]).unwrap();
    drop(claim(&path, 1, "1").unwrap());
    let file = File::options().write(true).open(&path).unwrap();
    file.write_all_at(&[2; SLOT], FRONT as u64).unwrap();
    file.write_all_at(&[2; 64], 4096).unwrap();
    let garbage = read(&path, 1).unwrap();
    assert!(garbage.record.counters.accepts != 0 && garbage.seat.connections != 0);

    let slot = claim(&path, 1, "").unwrap();
    let clean = read(&path, 1).unwrap();
    assert_eq!((clean.record.counters.accepts, clean.record.counters.latency.count()), (0, 0));
    assert_eq!((clean.seat, slot.seat()), Default::default());
    assert_eq!(clean.record.identity.release, "");
    let file = fs::read(&path).unwrap();
    assert!(file[FRONT + 24..].iter().all(|byte| *byte == 0), "all but who it is");
}

/// A board with a slot, overwritten at one place and truncated at another.
fn damaged() -> impl Strategy<Value = Vec<u8>> {
    let sound = {
        let (_dir, path) = place();
        drop(claim(&path, 1, "1.3.0").expect("the slot is free"));
        fs::read(&path).expect("the board is there")
    };
    let patch = (0..FRONT + SLOT, prop::collection::vec(any::<u8>(), 1..600));
    let patches = prop::collection::vec(patch, 0..6);
    (patches, 0..=FRONT + 2 * SLOT).prop_map(move |(patches, len)| {
        let mut file = sound.clone();
        for (at, bytes) in patches {
            let end = (at + bytes.len()).min(file.len());
            file[at..end].copy_from_slice(&bytes[..end - at]);
        }
        file.resize(len, 0);
        file
    })
}

proptest! {
    #[test]
    fn a_reader_survives_every_file(
        file in prop_oneof![damaged(), prop::collection::vec(any::<u8>(), 0..FRONT + 2 * SLOT)],
        number in 1..=512_u32,
    ) {
        let (_dir, path) = place();
        fs::write(&path, &file).unwrap();
        match Reader::open(&path) {
            Ok(reader) => {
                prop_assert!(file.len() >= FRONT && file.starts_with(b"appclus\n"));
                let read = [instance(1), instance(number)].map(|instance| reader.read(instance));
                for snapshot in read.into_iter().filter_map(|read| read.transpose()) {
                    let is_sound = match snapshot {
                        Ok(snapshot) => !snapshot.is_alive,
                        Err(error) => matches!(error, Error::SlotTooShort { .. }),
                    };
                    prop_assert!(is_sound);
                }
                prop_assert!(reader.all().map_or(true, |all| all.len() <= Instance::MAX as usize));
            }
            Err(Error::TooShort { bytes, .. }) => prop_assert!(bytes == file.len() as u64 && file.len() < FRONT),
            Err(Error::Foreign { .. }) => prop_assert!(file.len() >= FRONT),
            Err(error) => prop_assert!(false, "{}", error),
        }
    }
}
