use cluster::history::{Entry, Kind, State};
use proptest::prelude::*;

use super::{ReleaseId, read, write};
use crate::disk::faults::{Fault, at_every_step, steps_of};

use std::fs;
use std::path::{Path, PathBuf};

fn id(name: &str) -> ReleaseId {
    ReleaseId::new(name).unwrap()
}

fn entry(number: u64, from: Option<&str>, to: &str, state: State) -> Entry {
    Entry {
        id: number,
        begun_usec: 1_795_347_605_000_000 + number,
        begun_monotonic_usec: 100 + number,
        boot_id: "5d1f7e0c6d4f4a5f8d3f2f0f9a8b7c6d".to_owned(),
        ended_usec: None,
        kind: Kind::Deploy,
        by: "ada".to_owned(),
        from: from.map(id),
        to: Some(id(to)),
        canary: None,
        state,
        failure: None,
    }
}

struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("history")
    }

    fn read(&self) -> Vec<Entry> {
        read(&self.path())
    }

    fn write(&self, entries: &[Entry]) {
        write(&self.path(), entries).unwrap();
    }

    fn has_damaged(&self) -> bool {
        self.path().with_extension("damaged").exists()
    }
}

/// An entry as version 1 wrote it.
const FIRST: &str = "{\"id\":1,\"begun_usec\":1795347605000001,\"begun_monotonic_usec\":101,\
    \"boot_id\":\"5d1f7e0c6d4f4a5f8d3f2f0f9a8b7c6d\",\"ended_usec\":null,\"kind\":\"deploy\",\"by\":\"a\\nb\",\
    \"from\":\"a\",\"to\":\"b\",\"canary\":2,\"state\":\"running\",\"failure\":null}";

fn first() -> Entry {
    Entry { by: "a\nb".to_owned(), canary: Some(2), ..entry(1, Some("a"), "b", State::Running) }
}

#[test]
fn a_successor_knows_what_was_going_on() {
    let place = Place::new();
    assert_eq!(place.read(), []);
    let ended = Entry {
        ended_usec: Some(77),
        failure: Some("worker@2.service: exited with status 1".to_owned()),
        ..entry(1, Some("a"), "b", State::Restored)
    };
    let entries = [ended, entry(2, None, "a", State::Paused)];
    place.write(&entries);
    assert_eq!(place.read(), entries);
    assert!(!place.has_damaged());
}

#[test]
fn the_file_is_one_object_per_line() {
    let place = Place::new();
    place.write(&[first(), entry(2, None, "b", State::Interrupted)]);
    let text = fs::read_to_string(place.path()).unwrap();
    assert_eq!(text.lines().take(2).collect::<Vec<_>>(), ["{\"version\":2}", FIRST]);
    assert_eq!(text.lines().count(), 3);
    assert!(text.ends_with("\"state\":\"interrupted\",\"failure\":null}\n"), "{text}");
}

#[test]
fn a_file_of_the_first_version_is_read() {
    let place = Place::new();
    fs::write(place.path(), format!("{FIRST}\n")).unwrap();
    assert_eq!(place.read(), [first()]);
    assert!(!place.has_damaged());
}

#[test]
fn every_word_is_read_back() {
    let place = Place::new();
    let states = [
        State::Running,
        State::Paused,
        State::Restoring,
        State::Done,
        State::Restored,
        State::Failed,
        State::Aborted,
        State::Interrupted,
    ];
    let kinds = [Kind::Reload, Kind::Package, Kind::Deploy, Kind::Rollback, Kind::Undo, Kind::Recycle];
    let of_state = states.map(|state| entry(1, None, "a", state));
    let of_kind = kinds.map(|kind| Entry { kind, to: None, ..entry(1, None, "a", State::Done) });
    let entries: Vec<_> = of_state.into_iter().chain(of_kind).collect();
    place.write(&entries);
    assert_eq!(place.read(), entries);
}

#[test]
fn damaged_lines_are_kept_aside() {
    let place = Place::new();
    let entries = [entry(1, None, "a", State::Done), entry(2, Some("a"), "b", State::Running)];
    place.write(&entries);
    let whole = fs::read_to_string(place.path()).unwrap();
    let [_, first, second] = whole.lines().collect::<Vec<_>>()[..] else { panic!("{whole}") };
    let bad_name = first.replace("\"to\":\"a\"", "\"to\":\"../etc\"");
    let bad_state = first.replace("\"done\"", "\"finished\"");
    let damaged = [
        b"\0\xff\n",
        first.as_bytes(),
        b"\n{\"id\":3}\n\n",
        bad_name.as_bytes(),
        b"\n",
        bad_state.as_bytes(),
    ]
    .concat();
    // A power cut has cut off the end of the last line.
    let damaged = [&damaged, &b"\n"[..], second.as_bytes(), b"\n", &first.as_bytes()[..40]].concat();
    fs::write(place.path(), &damaged).unwrap();

    assert_eq!(place.read(), entries);
    assert_eq!(fs::read(place.path().with_extension("damaged")).unwrap(), damaged);
}

#[test]
fn an_unreadable_file_is_set_aside() {
    let place = Place::new();
    fs::create_dir(place.path()).unwrap();
    assert_eq!(place.read(), []);
    assert!(place.path().with_extension("damaged").is_dir());
    place.write(&[entry(1, None, "a", State::Running)]);
    assert_eq!(place.read().len(), 1);
}

#[test]
fn where_nothing_can_be_written_that_is_told() {
    assert!(write(Path::new("/proc/no/such/history"), &[first()]).is_err());
}

#[test]
fn every_instant_leaves_a_history() {
    let before = entry(1, None, "a", State::Done);
    let both = [before.clone(), entry(2, Some("a"), "b", State::Running)];
    for fault in [Fault::PowerCut, Fault::DiskFull] {
        let prepare = || {
            let place = Place::new();
            place.write(&both[..1]);
            place
        };
        at_every_step(
            fault,
            prepare,
            |place| write(&place.path(), &both),
            |place, trial| {
                let after = place.read();
                assert!(after == both[..1] || after == both, "{after:?}");
                assert!(!place.has_damaged());
                match trial.returned {
                    Some(Ok(())) => assert_eq!(after, both),
                    Some(Err(_)) => {}
                    None => assert_eq!(fault, Fault::PowerCut),
                }
                place.write(&both);
                assert_eq!(place.read(), both);
            },
        );
    }
}

#[test]
fn the_history_is_durable_before_it_gets_its_name() {
    let place = Place::new();
    let directory = place.0.path().file_name().unwrap().to_string_lossy().into_owned();
    assert_eq!(
        steps_of(|| place.write(&[first()])),
        [
            "create .history.next",
            "write .history.next",
            "sync .history.next",
            "rename history",
            &format!("sync {directory}"),
        ]
    );
}

fn lines() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let garbage = prop_oneof![
        proptest::collection::vec(any::<u8>().prop_filter("one line", |byte| *byte != b'\n'), 0..60),
        "[{}\\[\\]\":,0-9a-z ]{0,40}".prop_map(String::into_bytes),
        Just(b"[".repeat(100_000)),
    ];
    proptest::collection::vec(garbage, 0..8)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_is_in_the_file_the_rest_is_read(garbage in lines()) {
        let place = Place::new();
        let mut text = Vec::new();
        for (number, line) in garbage.iter().enumerate() {
            text.extend_from_slice(line);
            let good = FIRST.replace("\"id\":1", &format!("\"id\":{number}"));
            text.extend_from_slice(format!("\n{good}\n").as_bytes());
        }
        fs::write(place.path(), &text).unwrap();
        let numbers: Vec<_> = place.read().iter().map(|entry| entry.id).collect();
        prop_assert_eq!(numbers, (0..garbage.len() as u64).collect::<Vec<_>>());
        // Empty lines contain nothing, so nothing is lost with them.
        let is_damaged = garbage.iter().any(|line| !line.is_empty());
        prop_assert_eq!(place.has_damaged(), is_damaged);
    }
}
