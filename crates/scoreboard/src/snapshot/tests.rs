use proptest::prelude::*;

use super::*;

/// The bytes of a claimed slot with these words in it.
fn slot(words: &[(usize, u64)]) -> Vec<u8> {
    let mut slot = [0; SLOT_WORDS];
    slot[SEQUENCE] = 2;
    for (at, word) in words {
        slot[*at] = *word;
    }
    slot.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

fn record(words: &[(usize, u64)]) -> Record {
    parse(&slot(words)).unwrap().unwrap()
}

#[test]
fn a_slot_is_claimed_when_its_sequence_is_even_and_not_zero() {
    let claimed = |sequence| parse(&slot(&[(SEQUENCE, sequence)])).unwrap().is_some();
    assert_eq!([0, 1, 2, 7, u64::MAX - 1, u64::MAX].map(claimed), [false, false, true, false, true, false]);
}

#[test]
fn a_slot_that_is_cut_off_is_an_error_and_one_that_is_not_there_is_none() {
    assert_eq!(parse(&[]).unwrap(), None);
    for bytes in [1, 8, SLOT_BYTES - 1] {
        let error = parse(&slot(&[])[..bytes]).unwrap_err();
        assert!(matches!(error, Error::SlotTooShort { bytes: found } if found == bytes), "{error}");
    }
}

#[test]
fn a_release_can_be_shown_on_a_terminal() {
    let release = |bytes: &[u8; 8]| record(&[(RELEASE, u64::from_ne_bytes(*bytes))]).identity.release;
    assert_eq!(release(b"1.3.0\0\0\0"), "1.3.0");
    assert_eq!(release(b"1.3\x002.0\0"), "1.3", "ends with the first zero");
    assert_eq!(release(b"\x1b[2J\xff\n\x7fz"), "�[2J���z");
    assert_eq!(release(b"1.3.0\xe2\x82\0"), "1.3.0�", "a character cut off");
    let full = record(&std::array::from_fn::<_, RELEASE_WORDS, _>(|at| (RELEASE + at, u64::MAX)));
    assert_eq!(full.identity.release, "�".repeat(104), "the stamp behind it is no part of it");
}

#[test]
fn absurd_figures_are_no_harm() {
    let minus_one = u64::MAX;
    let record =
        record(&[(IN_FLIGHT, minus_one), (CONNECTIONS, minus_one), (PID, 1 << 32), (STARTED, minus_one)]);
    assert_eq!((record.counters.in_flight, record.counters.connections), (0, 0));
    assert_eq!(record.identity.pid, 0);
    assert_eq!(record.identity.started, Duration::from_nanos(u64::MAX));
    assert_eq!((record.ready_since, record.drain_begun), (None, None));
}

proptest! {
    #[test]
    fn no_bytes_are_too_odd(bytes in prop::collection::vec(any::<u8>(), 0..SLOT_BYTES + 64), share in any::<f64>()) {
        match parse(&bytes) {
            Ok(Some(record)) => {
                prop_assert!(!record.identity.release.contains(char::is_control));
                prop_assert!(record.counters.latency.mean().is_some());
                prop_assert_eq!(record.counters.latency.quantile(share).is_none(), share.is_nan());
                prop_assert_eq!(record.counters.latency.since(&record.counters.latency), Histogram::default());
            }
            Ok(None) => prop_assert!(bytes.is_empty() || bytes.len() >= SLOT_BYTES),
            Err(error) => {
                let is_typed = matches!(error, Error::SlotTooShort { bytes: found } if found == bytes.len());
                prop_assert!(is_typed && bytes.len() < SLOT_BYTES, "{}", error);
            }
        }
    }

    #[test]
    fn no_slot_is_too_odd(mut words in prop::collection::vec(any::<u64>(), SLOT_WORDS), share in 0.0..=1.0) {
        words[SEQUENCE] &= !1;
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        let record = parse(&bytes).unwrap().unwrap();
        prop_assert_eq!(record.counters.accepts, words[ACCEPTS]);
        prop_assert!(record.counters.latency.quantile(share).is_some());
    }
}
