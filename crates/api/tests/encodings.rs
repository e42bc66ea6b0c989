//! The two encodings of the values: the structs of 1.0, and the dictionaries.

#![expect(clippy::unwrap_used, reason = "a test that cannot continue has failed")]

use std::collections::BTreeMap;
use std::fmt::Debug;

use api::{
    Counters, Dictionary, Drained, Entry, EntryState, Failure, Kind, Latency, Release, Responses, Rollout,
    RolloutState, Status, Step, StepState, Timeouts, Worker, WorkerState, positional,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use zbus::wire::serialized::{Context, Data};
use zbus::wire::{LE, to_bytes};
use zbus::{OwnedVariant, Type, Variant};

/// The signature of [`status`] in 1.0.0, and the bytes that 1.0.0 sent. The next constants are the same for
/// the other values.
const STATUS: (&str, &str) = (
    "(ssssuua(usssustuts)a(tsssssa(usbt)sa(ussas)tt))",
    "0b0000006170702d636c75737465720005000000312e302e300000000c00000034206f66203420726561647900000000\
     05000000312e322e300000000400000003000000760000000300000010000000776f726b657240332e73657276696365\
     0000000008000000666c617070696e6700000000060000006661696c656400006712000005000000312e322e30000000\
     050000000000000006000000000000000700000000000000110000006b696c6c6564206279205349474b494c4c000000\
     e0000000000000000900000000000000060000006465706c6f79000005000000616c6963650000000700000072756e6e\
     696e670005000000312e322e3000000005000000312e332e300000002000000003000000060000006661696c65640000\
     0100000000000000080000000000000008000000676f696e67206f6e000000004c000000000000000300000010000000\
     776f726b657240332e736572766963650000000014000000657869746564207769746820737461747573203100000000\
     10000000030000006f6e65000300000074776f00000000000a000000000000000b00000000000000",
);
const ROLLOUT: (&str, &str) = (
    "(tsssssa(usbt)sa(ussas)tt)",
    "0900000000000000060000006465706c6f79000005000000616c6963650000000700000072756e6e696e670005000000\
     312e322e3000000005000000312e332e300000002000000003000000060000006661696c656400000100000000000000\
     080000000000000008000000676f696e67206f6e000000004c000000000000000300000010000000776f726b65724033\
     2e7365727669636500000000140000006578697465642077697468207374617475732031000000001000000003000000\
     6f6e65000300000074776f00000000000a000000000000000b00000000000000",
);
const COUNTERS: (&str, &str) = (
    "(uusttttttttt(ttttt)ttt(ttttt)(ttt)(ttttt))",
    "010000000200000005000000312e322e3000000000000000030000000000000004000000000000000500000000000000\
     06000000000000000700000000000000080000000000000009000000000000000a000000000000000b00000000000000\
     0c000000000000000d000000000000000e000000000000000f0000000000000010000000000000001100000000000000\
     120000000000000013000000000000001400000000000000150000000000000016000000000000001700000000000000\
     180000000000000019000000000000001a000000000000001b000000000000001c000000000000001d00000000000000\
     1e000000000000001f000000000000002000000000000000",
);
const RELEASE: (&str, &str) =
    ("(sstbbu)", "05000000312e322e30000000040000002f737276000000000100000000000000010000000000000002000000");
const ENTRY: (&str, &str) = (
    "(tssssttss)",
    "0900000000000000070000007061636b6167650005000000616c69636500000005000000312e322e3000000005000000\
     312e332e300000000100000000000000020000000000000008000000726573746f726564000000000900000069742066\
     61696c656400",
);

fn context() -> Context {
    Context::new(LE, 0)
}

/// Asserts that `value` is encoded as in 1.0.0, and can be decoded from that.
#[track_caller]
fn assert_frozen<Now, Then>((signature, recorded): (&str, &str), value: Now)
where
    Now: From<Then> + Clone + PartialEq + Debug,
    Then: From<Now> + Type + Serialize + DeserializeOwned,
{
    assert_eq!(Then::SIGNATURE.to_string(), signature);
    let sent = to_bytes(context(), &Then::from(value.clone())).unwrap();
    let hex: String = sent.bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, recorded);
    let (read, _): (Then, _) = sent.deserialize().unwrap();
    assert_eq!(Now::from(read), value);
}

#[test]
fn clients_of_1_0_are_sent_what_1_0_0_sent() {
    assert_frozen::<_, positional::Status>(STATUS, status());
    assert_frozen::<_, positional::Rollout>(ROLLOUT, rollout());
    assert_frozen::<_, positional::Counters>(COUNTERS, counters());
    assert_frozen::<_, positional::Release>(RELEASE, release());
    assert_frozen::<_, positional::Entry>(ENTRY, entry());
}

/// The fields that another implementation reads from a dictionary.
fn fields(sent: &Dictionary) -> BTreeMap<String, OwnedVariant> {
    let sent = to_bytes(context(), sent).unwrap();
    let data = Data::new(sent.bytes().to_vec(), context());
    let (fields, _) = data.deserialize().unwrap();
    fields
}

/// The dictionary that another implementation sends.
fn dictionary(fields: &BTreeMap<String, OwnedVariant>) -> Dictionary {
    let (dictionary, _) = to_bytes(context(), fields).unwrap().deserialize().unwrap();
    dictionary
}

/// Asserts that `value` arrives unchanged, and that its fields have the names that `--json` has for them.
#[track_caller]
fn assert_arrives<T>(value: T)
where
    T: From<Dictionary> + Into<Dictionary> + Clone + PartialEq + Debug + Serialize,
{
    let fields = fields(&value.clone().into());
    assert_eq!(T::from(dictionary(&fields)), value);
    let json = serde_json::to_value(&value).unwrap();
    let mut names: Vec<_> = json.as_object().unwrap().keys().collect();
    names.sort();
    assert_eq!(fields.keys().collect::<Vec<_>>(), names);
}

#[test]
fn a_dictionary_arrives_under_the_names_that_json_has() {
    assert_eq!(Dictionary::SIGNATURE.to_string(), "a{sv}");
    assert_arrives(status());
    assert_arrives(worker());
    assert_arrives(rollout());
    assert_arrives(step());
    assert_arrives(failure());
    assert_arrives(counters());
    assert_arrives(counters().responses);
    assert_arrives(counters().timeouts);
    assert_arrives(counters().drained);
    assert_arrives(counters().latency);
    assert_arrives(release());
    assert_arrives(entry());
}

#[test]
fn lists_in_a_dictionary_are_lists_of_dictionaries() {
    let fields = fields(&status().into());
    assert_eq!(fields["workers"].value_signature().to_string(), "aa{sv}");
    assert_eq!(fields["rollout"].value_signature().to_string(), "aa{sv}");
    assert_eq!(fields["desired"].value_signature().to_string(), "u");
}

#[test]
fn a_field_that_is_unknown_is_ignored_and_one_that_is_missing_has_its_default() {
    let mut newer = fields(&worker().into());
    newer.insert("temperature".to_owned(), Variant::from(451.0).try_into().unwrap());
    newer.remove("restarts");
    newer.remove("last_exit");
    let read = Worker::from(dictionary(&newer));
    assert_eq!(read, Worker { restarts: 0, last_exit: String::new(), ..worker() });
    assert_eq!(Status::from(Dictionary::default()), Status::default());
}

#[test]
fn a_word_that_is_unknown_is_read_as_such() {
    let mut newer = fields(&rollout().into());
    newer.insert("state".to_owned(), Variant::from("analysing").try_into().unwrap());
    newer.remove("kind");
    let read = Rollout::from(dictionary(&newer));
    assert_eq!((read.state, read.kind), (RolloutState::Unknown, Kind::Unknown));
    assert!(!read.state.has_ended(), "all ends are known");
}

fn worker() -> Worker {
    Worker {
        instance: 3,
        unit: "worker@3.service".into(),
        state: WorkerState::Flapping,
        sub_state: "failed".into(),
        pid: 4711,
        release: "1.2.0".into(),
        ready_since_usec: 5,
        restarts: 6,
        next_try_usec: 7,
        last_exit: "killed by SIGKILL".into(),
    }
}

fn failure() -> Failure {
    Failure {
        instance: 3,
        unit: "worker@3.service".into(),
        reason: "exited with status 1".into(),
        journal: vec!["one".into(), "two".into()],
    }
}

fn step() -> Step {
    Step { instance: 3, state: StepState::Failed, is_surge: true, deadline_usec: 8 }
}

fn rollout() -> Rollout {
    Rollout {
        id: 9,
        kind: Kind::Deploy,
        by: "alice".into(),
        state: RolloutState::Running,
        from: "1.2.0".into(),
        to: "1.3.0".into(),
        steps: vec![step()],
        message: "going on".into(),
        failure: vec![failure()],
        step_timeout_usec: 10,
        deadline_usec: 11,
    }
}

fn status() -> Status {
    Status {
        cluster: "app-cluster".into(),
        version: "1.0.0".into(),
        summary: "4 of 4 ready".into(),
        release: "1.2.0".into(),
        desired: 4,
        ready: 3,
        workers: vec![worker()],
        rollout: vec![rollout()],
    }
}

fn counters() -> Counters {
    Counters {
        instance: 1,
        pid: 2,
        release: "1.2.0".into(),
        since_usec: 3,
        ready_since_usec: 4,
        drain_begun_usec: 5,
        accepts: 6,
        connections: 7,
        refused: 8,
        requests: 9,
        in_flight: 10,
        unanswered: 11,
        responses: Responses {
            informational: 12,
            successful: 13,
            redirection: 14,
            client_error: 15,
            server_error: 16,
        },
        received_bytes: 17,
        sent_bytes: 18,
        panics: 19,
        timeouts: Timeouts { first_byte: 20, head: 21, idle: 22, body: 23, write: 24 },
        drained: Drained { finished: 25, idle: 26, forced: 27 },
        latency: Latency { sum_usec: 28, p50_usec: 29, p90_usec: 30, p99_usec: 31, p999_usec: 32 },
    }
}

fn release() -> Release {
    Release {
        id: "1.2.0".into(),
        directory: "/srv".into(),
        added_usec: 1,
        is_current: true,
        is_rejected: false,
        workers: 2,
    }
}

fn entry() -> Entry {
    Entry {
        rollout: 9,
        kind: Kind::Package,
        by: "alice".into(),
        from: "1.2.0".into(),
        to: "1.3.0".into(),
        begun_usec: 1,
        ended_usec: 2,
        state: EntryState::Restored,
        failure: "it failed".into(),
    }
}
