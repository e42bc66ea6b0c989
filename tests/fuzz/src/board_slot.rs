//! A slot of the scoreboard. The workers' user may write anything into it.

use scoreboard::{Counters, Error, Histogram, parse};

const SLOT: usize = 4096;

/// The first byte is the number of missing bytes, the others are the slot. The rest of the slot is zero.
pub(crate) fn run(bytes: &[u8]) {
    let Some((cut, bytes)) = bytes.split_first() else { return };
    let mut slot = bytes.to_vec();
    slot.resize(SLOT, 0);
    slot.truncate(SLOT.saturating_sub(usize::from(*cut) * 17));
    match parse(&slot) {
        Ok(Some(record)) => {
            let release = record.identity.release;
            assert!(!release.contains(char::is_control) && release.chars().count() <= 104, "{release:?}");
            counters(&record.counters);
        }
        Ok(None) => assert!(slot.is_empty() || slot.len() == SLOT),
        Err(Error::SlotTooShort { bytes }) => assert!(bytes == slot.len() && bytes < SLOT),
        Err(error) => panic!("{error}"),
    }
}

fn counters(counters: &Counters) {
    let gauges = [counters.connections, counters.in_flight];
    assert!(gauges.iter().all(|gauge| i64::try_from(*gauge).is_ok()), "{gauges:?}");

    let latency = &counters.latency;
    let quantiles = [-1.0, 0.0, 0.5, 0.99, 1.0, f64::INFINITY].map(|share| latency.quantile(share));
    assert!(quantiles.is_sorted(), "{quantiles:?}");
    let is_counted = latency.count() > 0;
    assert!(quantiles.iter().all(|quantile| quantile.is_some() == is_counted));
    assert_eq!(latency.mean().is_some(), is_counted);
    assert_eq!(latency.since(latency), Histogram::default());
    let mut merged = Histogram::default();
    merged.merge(latency);
    assert_eq!(&merged, latency);
}
