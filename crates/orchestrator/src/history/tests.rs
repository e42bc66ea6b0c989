use proptest::prelude::*;

use super::*;
use crate::disk::faults::{Fault, at_every_step, steps_of};

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

    fn open(&self) -> History {
        History::open(self.path())
    }

    fn write(&self, entries: &[Entry]) {
        History { path: self.path(), entries: Arc::default() }.save(entries).unwrap();
    }
}

#[test]
fn a_successor_knows_what_was_going_on() {
    let place = Place::new();
    let mut history = place.open();
    assert_eq!(history.entries(), []);
    history.begin(entry(1, None, "1.0.0", State::Running)).unwrap();
    assert_eq!(place.open().unfinished(), Some(&entry(1, None, "1.0.0", State::Running)));

    history.update(1, State::Paused, None, None).unwrap();
    assert_eq!(place.open().unfinished().unwrap().state, State::Paused);
    history.update(1, State::Restoring, Some("worker@2.service: exited with status 1".into()), None).unwrap();
    assert_eq!(place.open().unfinished().unwrap().state, State::Restoring);
    history.update(1, State::Restored, None, Some(77)).unwrap();

    let history = place.open();
    assert_eq!(history.unfinished(), None);
    let told = &history.entries()[0];
    assert_eq!((told.state, told.ended_usec), (State::Restored, Some(77)));
    assert_eq!(told.failure.as_deref(), Some("worker@2.service: exited with status 1"), "it stays known");
}

#[test]
fn the_file_is_one_object_per_line() {
    let place = Place::new();
    let mut history = place.open();
    let odd = Entry { by: "a\nb".to_owned(), canary: Some(2), ..entry(1, Some("a"), "b", State::Running) };
    history.begin(odd).unwrap();
    history.begin(entry(2, None, "b", State::Interrupted)).unwrap();
    let text = fs::read_to_string(place.path()).unwrap();
    let first = "{\"id\":1,\"begun_usec\":1795347605000001,\"begun_monotonic_usec\":101,\
        \"boot_id\":\"5d1f7e0c6d4f4a5f8d3f2f0f9a8b7c6d\",\"ended_usec\":null,\"kind\":\"deploy\",\"by\":\"a\\nb\",\
        \"from\":\"a\",\"to\":\"b\",\"canary\":2,\"state\":\"running\",\"failure\":null}";
    assert_eq!(text.lines().next(), Some(first));
    assert_eq!(text.lines().count(), 2);
    assert!(text.ends_with("\"state\":\"interrupted\",\"failure\":null}\n"), "{text}");
}

#[test]
fn only_the_last_rollout_can_be_unfinished() {
    let place = Place::new();
    place.write(&[entry(1, None, "a", State::Running), entry(2, None, "a", State::Done)]);
    assert_eq!(place.open().unfinished(), None);
}

#[test]
fn the_oldest_are_forgotten() {
    let place = Place::new();
    let mut history = place.open();
    for number in 1..=105 {
        history.begin(entry(number, None, "a", State::Running)).unwrap();
    }
    let history = place.open();
    let numbers: Vec<_> = history.entries().iter().map(|entry| entry.id).collect();
    assert_eq!(numbers, (6..=105).collect::<Vec<_>>());
}

#[test]
fn reloads_are_forgotten_before_what_brought_another_release() {
    let place = Place::new();
    let mut history = place.open();
    history.begin(entry(1, Some("a"), "b", State::Done)).unwrap();
    for number in 2..=150 {
        history.begin(entry(number, None, "b", State::Done)).unwrap();
    }
    assert!(history.lineage().before(&id("b")).eq([&id("a")]));
    for number in 151..=260 {
        history.begin(entry(number, Some("b"), "b", State::Done)).unwrap();
    }
    history.begin(entry(261, None, "b", State::Running)).unwrap();
    assert_eq!((history.entries().len(), history.entries()[99].id), (100, 261), "the last one stays");
}

#[test]
fn an_unknown_rollout_is_not_updated() {
    let place = Place::new();
    let error = place.open().update(9, State::Done, None, None).unwrap_err();
    assert_eq!(error.to_string(), "no rollout 9 in the history");
    assert!(!place.path().exists());
}

#[test]
fn damaged_lines_are_kept_aside() {
    let place = Place::new();
    let mut history = place.open();
    history.begin(entry(1, None, "a", State::Done)).unwrap();
    history.begin(entry(2, Some("a"), "b", State::Running)).unwrap();
    let whole = fs::read_to_string(place.path()).unwrap();
    let (first, second) = whole.split_once('\n').unwrap();
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
    let damaged = [&damaged, &b"\n"[..], second.as_bytes(), &first.as_bytes()[..40]].concat();
    fs::write(place.path(), &damaged).unwrap();

    // The last line lost its end and with it the line before: both are one damaged line.
    let mut history = place.open();
    assert_eq!(
        history.entries(),
        [entry(1, None, "a", State::Done), entry(2, Some("a"), "b", State::Running)]
    );
    assert_eq!(fs::read(place.path().with_extension("damaged")).unwrap(), damaged);
    history.update(2, State::Done, None, None).unwrap();
    assert_eq!(place.open().entries().len(), 2);
}

#[test]
fn an_unreadable_file_is_set_aside() {
    let place = Place::new();
    fs::create_dir(place.path()).unwrap();
    let mut history = place.open();
    assert_eq!(history.entries(), []);
    assert!(place.path().with_extension("damaged").is_dir());
    history.begin(entry(1, None, "a", State::Running)).unwrap();
    assert_eq!(place.open().entries().len(), 1);
}

#[test]
fn where_nothing_can_be_written_nothing_begins() {
    let mut history = History::open(PathBuf::from("/proc/no/such/history"));
    assert!(history.begin(entry(1, None, "a", State::Running)).is_err());
    assert_eq!(history.entries(), []);
}

#[test]
fn every_instant_leaves_a_history() {
    let before = entry(1, None, "a", State::Done);
    let begun = entry(2, Some("a"), "b", State::Running);
    let ended = entry(2, Some("a"), "b", State::Done);
    for fault in [Fault::PowerCut, Fault::DiskFull] {
        let prepare = || {
            let place = Place::new();
            let mut history = place.open();
            history.begin(before.clone()).unwrap();
            (place, history)
        };
        at_every_step(
            fault,
            prepare,
            |(_, history)| history.begin(begun.clone()),
            |(place, history), trial| {
                let after = place.open();
                let both = [before.clone(), begun.clone()];
                assert!(after.entries() == &both[..1] || after.entries() == both, "{after:?}");
                assert!(!place.path().with_extension("damaged").exists());
                match trial.returned {
                    Some(Ok(())) => assert_eq!(after.entries(), both),
                    Some(Err(_)) => assert_eq!(history.entries(), &both[..1], "refused, and yet begun"),
                    None => assert_eq!(fault, Fault::PowerCut),
                }
                let mut successor = place.open();
                if successor.unfinished().is_none() {
                    successor.begin(begun.clone()).unwrap();
                }
                successor.update(2, State::Done, None, None).unwrap();
                assert_eq!(place.open().entries(), [before.clone(), ended.clone()]);
            },
        );
    }
}

#[test]
fn the_history_is_durable_before_it_gets_its_name() {
    let place = Place::new();
    let mut history = place.open();
    let directory = place.0.path().file_name().unwrap().to_string_lossy().into_owned();
    assert_eq!(
        steps_of(|| history.begin(entry(1, None, "a", State::Running))),
        [
            "create .history.next",
            "write .history.next",
            "sync .history.next",
            "rename history",
            &format!("sync {directory}"),
        ]
    );
}

/// What `rollback` goes to when it is not told.
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
            text.push(b'\n');
            serde_json::to_writer(&mut text, &entry(number as u64, None, "a", State::Done))?;
            text.push(b'\n');
        }
        fs::write(place.path(), &text).unwrap();
        let numbers: Vec<_> = place.open().entries().iter().map(|entry| entry.id).collect();
        prop_assert_eq!(numbers, (0..garbage.len() as u64).collect::<Vec<_>>());
        // Empty lines say nothing, so nothing is lost with them.
        let is_damaged = garbage.iter().any(|line| !line.is_empty());
        prop_assert_eq!(place.path().with_extension("damaged").exists(), is_damaged);
    }
}
