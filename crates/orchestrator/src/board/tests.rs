use std::time::Duration;

use scoreboard::{Board, Slot};

use super::*;

/// A board in its own directory, and its workers, which all are this process.
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
    // The percentile is accurate to an eighth.
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
    // The slot belongs to another process than the main process of the unit.
    assert!(stage.read_as(&[2, 1], u32::MAX).0.is_empty());
}

#[test]
fn nothing_is_held_against_a_worker_that_a_process_before_it_has_counted() {
    let stage = Stage::new();
    let [_old, new] = [1, 2].map(|number| stage.worker(number));
    let earlier = stage.read(&[2, 1]);
    answer(&new, 500, 100, 10);
    drop(new);
    assert!(!stage.read(&[2, 1]).0.contains_key(&instance(2)), "the process is dead");
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

#[test]
fn people_are_told_what_living_processes_have_counted() {
    let stage = Stage::new();
    let [serving, draining, dead] = [1, 2, 3].map(|number| stage.worker(number));
    serving.ready();
    let _connection = serving.accepted();
    answer(&serving, 200, 97, 1);
    answer(&serving, 503, 3, 80);
    serving.timed_out(scoreboard::Timeout::Idle);
    serving.sent(4096);
    let _in_flight = serving.request_begun();
    draining.accepted().end(scoreboard::Ended::Idle);
    draining.draining();
    let ended = draining.accepted();
    ended.end(scoreboard::Ended::Forced);
    drop(dead);

    let pid = std::process::id();
    let told = counters(&stage.path(), &[1, 2, 3, 4].map(|number| (instance(number), pid)));
    let [one, two] = &told[..] else { panic!("{told:#?}") };
    assert_eq!((one.instance, one.pid, one.release.as_str()), (1, pid, "1.2.0"));
    assert!(one.ready_since_usec >= one.since_usec && one.since_usec > 0, "{one:?}");
    assert_eq!((one.accepts, one.connections, one.requests, one.in_flight), (1, 1, 101, 1));
    assert_eq!((one.responses.successful, one.responses.server_error, one.responses.sum()), (97, 3, 100));
    assert_eq!((one.timeouts.idle, one.sent_bytes, one.drain_begun_usec), (1, 4096, 0));
    let api::Latency { sum_usec, p50_usec, p90_usec, p99_usec, p999_usec } = one.latency;
    assert_eq!(sum_usec, 97 * 1000 + 3 * 80_000);
    assert!((1000..=1125).contains(&p50_usec) && p90_usec == p50_usec, "{one:?}");
    assert!((80_000..=90_000).contains(&p99_usec) && p999_usec == p99_usec, "{one:?}");
    assert_eq!((two.instance, two.accepts, two.drained.forced, two.drained.idle), (2, 2, 1, 0));
    assert!(two.drain_begun_usec >= two.since_usec, "{two:?}");

    assert_eq!(counters(&stage.path(), &[(instance(1), u32::MAX)]), [], "it is another process");
}

#[test]
fn who_cannot_be_read_is_left_out_and_nobody_else() {
    let stage = Stage::new();
    let pid = std::process::id();
    let all = || counters(&stage.path(), &[1, 2].map(|number| (instance(number), pid)));
    assert_eq!(all(), [], "there is no board");
    let workers = [1, 2].map(|number| stage.worker(number));
    answer(&workers[0], 200, 1, 1);
    assert_eq!(all().len(), 2);
    // The file now ends within the slot of the second worker.
    let file = std::fs::File::options().write(true).open(stage.path()).unwrap();
    file.set_len(file.metadata().unwrap().len() - 2048).unwrap();
    assert_eq!(all().into_iter().map(|told| told.instance).collect::<Vec<_>>(), [1]);
    std::fs::write(stage.path(), vec![b'x'; 100_000]).unwrap();
    assert_eq!(all(), []);
    // This worker still has the rest of the file mapped, so it must not write to it any more.
    std::mem::forget(workers);
}

/// A program of the workers' user overwrites the board while the owner of the slot is alive.
#[test]
fn damaged_slots_are_told_as_they_are() {
    use std::os::unix::fs::FileExt;
    let stage = Stage::new();
    let _worker = stage.worker(1);
    let file = std::fs::File::options().write(true).open(stage.path()).unwrap();
    // The sequence is even, and the process is still this one. All figures have their maximum.
    let slot = 36_864;
    file.write_all_at(&[0xff; 4096 - 16], slot + 16).unwrap();
    let told = counters(&stage.path(), &[(instance(1), std::process::id())]);
    let [one] = &told[..] else { panic!("{told:#?}") };
    assert_eq!((one.requests, one.responses.sum(), one.connections), (u64::MAX, u64::MAX, 0));
    assert!(!one.release.is_empty() && !one.release.contains(char::is_control), "{one:?}");
    assert!(one.latency.p999_usec >= one.latency.p50_usec, "{one:?}");
    // The slot stays in the middle of a claim forever.
    file.write_all_at(&[0xff; 16], slot).unwrap();
    assert_eq!(counters(&stage.path(), &[(instance(1), std::process::id())]), []);
}
