use std::time::Duration;

use scoreboard::{Board, Slot};

use super::*;

/// A board in a directory of its own, and the workers on it, all in this process.
struct Stage {
    directory: tempfile::TempDir,
}

impl Stage {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    fn path(&self) -> std::path::PathBuf {
        self.directory.path().join("board")
    }

    fn worker(&self, number: u32) -> Slot {
        let instance = scoreboard::Instance::new(number).unwrap();
        Board::open(self.path()).unwrap().claim(instance, "1.2.0").unwrap()
    }

    fn read(&self, numbers: &[u32]) -> Reading {
        self.read_as(numbers, std::process::id())
    }

    fn read_as(&self, numbers: &[u32], pid: u32) -> Reading {
        let workers: Vec<_> = numbers.iter().map(|number| (instance(*number), pid)).collect();
        Reading::of(&self.path(), &workers).unwrap()
    }
}

fn instance(number: u32) -> Instance {
    Instance::new(number).unwrap()
}

fn answer(worker: &Slot, status: u16, count: u32, milliseconds: u64) {
    for _ in 0..count {
        worker.request_begun().answered_in(status, Duration::from_millis(milliseconds));
    }
}

#[test]
fn what_was_answered_meanwhile_counts_and_the_old_ones_are_one() {
    let stage = Stage::new();
    let workers = [1, 2, 3].map(|number| stage.worker(number));
    answer(&workers[0], 500, 7, 9000);
    answer(&workers[2], 500, 7, 9000);
    let earlier = stage.read(&[3, 1, 2]);
    for worker in &workers[..2] {
        answer(worker, 200, 50, 10);
        answer(worker, 404, 5, 10);
        answer(worker, 503, 1, 10);
    }
    answer(&workers[2], 200, 98, 10);
    answer(&workers[2], 500, 2, 80);
    let Compared { new, old } = stage.read(&[3, 1, 2]).compare(&earlier, instance(3)).unwrap();
    assert_eq!((new.errors, new.others), (2, 98));
    assert_eq!((old.errors, old.others), (2, 110));
    // To within an eighth.
    let is_about = |time: Option<Duration>, ms: u64| {
        let (least, most) = (Duration::from_millis(ms), Duration::from_millis(ms + ms / 8 + 1));
        time.is_some_and(|time| (least..=most).contains(&time))
    };
    assert!(is_about(new.p99, 80), "{new:?}");
    assert!(is_about(old.p99, 10), "{old:?}");
}

#[test]
fn who_is_asked_for_and_does_not_count_is_left_out() {
    let stage = Stage::new();
    let _workers = [1, 2].map(|number| stage.worker(number));
    let earlier = stage.read(&[2, 1, 7]);
    assert!(stage.read(&[2, 1, 7]).compare(&earlier, instance(2)).is_ok());
    let why = stage.read(&[7, 1]).compare(&earlier, instance(7)).unwrap_err();
    assert_eq!(why, "it does not count on the scoreboard");
    let why = stage.read(&[2, 7]).compare(&earlier, instance(2)).unwrap_err();
    assert_eq!(why, "there is no old worker that counts on the scoreboard");
    // A slot that no other process than the main process of the unit has.
    assert!(stage.read_as(&[2, 1], u32::MAX).0.is_empty());
}

#[test]
fn nothing_is_held_against_a_worker_that_a_process_before_it_has_counted() {
    let stage = Stage::new();
    let [_old, new] = [1, 2].map(|number| stage.worker(number));
    let earlier = stage.read(&[2, 1]);
    answer(&new, 500, 100, 10);
    drop(new);
    assert!(!stage.read(&[2, 1]).0.contains_key(&instance(2)), "a process that is dead");
    let _successor = stage.worker(2);
    assert!(stage.read(&[2, 1]).0.contains_key(&instance(2)));
    assert!(stage.read(&[2, 1]).compare(&earlier, instance(2)).is_err(), "it was another process then");
}

#[test]
fn who_drains_is_no_measure() {
    let stage = Stage::new();
    let workers = [1, 2].map(|number| stage.worker(number));
    workers[0].draining();
    assert_eq!(stage.read(&[2, 1]).0.into_keys().collect::<Vec<_>>(), [instance(2)]);
}

#[test]
fn a_board_that_is_not_there_or_is_none_is_told() {
    let stage = Stage::new();
    let told = || format!("{:#}", Reading::of(&stage.path(), &[(instance(1), 1)]).unwrap_err());
    assert!(told().contains("No such file"), "{}", told());
    std::fs::write(stage.path(), vec![b'x'; 100_000]).unwrap();
    assert!(told().ends_with("is not a scoreboard of version 1"), "{}", told());
}
