use proptest::prelude::*;

use super::*;

fn of(latencies: &[u64]) -> Histogram {
    let mut histogram = Histogram::default();
    for microseconds in latencies {
        histogram.record(Duration::from_micros(*microseconds));
    }
    histogram
}

#[test]
fn every_bucket_ends_where_the_next_one_begins() {
    for bucket in 0..BUCKETS - 1 {
        let highest = highest_in(bucket).unwrap();
        assert_eq!((bucket_of(highest), bucket_of(highest + 1)), (bucket, bucket + 1), "{highest} µs");
    }
    assert_eq!(highest_in(BUCKETS - 2), Some(LAST_BEGINS - 1));
    assert_eq!(bucket_of(u64::MAX), BUCKETS - 1);
    assert!(Duration::from_micros(LAST_BEGINS) > Duration::from_secs(5 * 60));
}

#[test]
fn small_latencies_are_exact_and_parts_of_a_microsecond_are_rounded_up() {
    let mut histogram = Histogram::default();
    for nanoseconds in [0, 1, 1000, 1001, 14_999] {
        histogram.record(Duration::from_nanos(nanoseconds));
    }
    let seen: Vec<_> = histogram.buckets().filter(|(_, count)| *count > 0).collect();
    let bucket = |us| Some(Duration::from_micros(us));
    assert_eq!(seen, [(bucket(0), 1), (bucket(1), 2), (bucket(2), 1), (bucket(15), 1)]);
    assert_eq!(histogram.sum(), Duration::from_micros(19));
    assert_eq!(histogram.mean(), Some(Duration::from_micros(3)));
}

#[test]
fn nothing_has_no_quantile_and_no_mean() {
    let nothing = Histogram::default();
    assert_eq!((nothing.quantile(0.5), nothing.mean()), (None, None));
    assert_eq!(of(&[5]).quantile(f64::NAN), None);
}

#[test]
fn quantiles_of_known_latencies() {
    // 1 to 100 µs: the 50th is 50, in the bucket 48 … 51. The 99th is 99, in the bucket 96 … 103.
    let histogram = of(&(1..=100).collect::<Vec<_>>());
    let quantile = |share| histogram.quantile(share).unwrap().as_micros();
    assert_eq!([0.0, 0.01, 0.10, 0.50, 0.99, 1.0].map(quantile), [1, 1, 10, 51, 103, 103]);
    assert_eq!((quantile(-1.0), quantile(7.0)), (1, 103), "no share is smaller than 0 or greater than 1");
}

#[test]
fn a_latency_beyond_five_minutes_is_told_as_such() {
    let mut histogram = of(&[1, 2, 3]);
    histogram.record(Duration::MAX);
    assert_eq!(histogram.quantile(1.0), Some(Duration::from_micros(LAST_BEGINS)));
    assert_eq!(histogram.buckets().last(), Some((None, 1)));
    assert_eq!(histogram.sum(), Duration::from_micros(u64::MAX), "saturates");
}

#[test]
fn absurd_counts_do_not_overflow() {
    let mut absurd = Histogram { counts: [u64::MAX; BUCKETS], sum_us: u64::MAX };
    absurd.merge(&absurd.clone());
    absurd.record(Duration::from_secs(1));
    assert_eq!(absurd.count(), u64::MAX);
    assert_eq!(absurd.quantile(1.0), Some(Duration::ZERO), "the first bucket alone has that many");
    assert_eq!(of(&[1]).since(&absurd), Histogram::default());
}

/// The latency that a share of the sorted latencies does not exceed.
fn exact(sorted: &[u64], share: f64) -> u64 {
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted[rank.clamp(1, sorted.len()) - 1]
}

/// A strategy that yields as many short latencies as long ones.
fn latencies() -> impl Strategy<Value = Vec<u64>> {
    let latency = (0_u32..=28, any::<u64>()).prop_map(|(bits, value)| value & ((1 << bits) - 1));
    prop::collection::vec(latency, 1..200)
}

proptest! {
    #[test]
    fn a_quantile_is_never_too_short_and_at_most_an_eighth_too_long(
        mut latencies in latencies(),
        share in 0.0..=1.0,
    ) {
        let told = of(&latencies).quantile(share).unwrap().as_micros() as u64;
        latencies.sort_unstable();
        let exact = exact(&latencies, share);
        prop_assert!(told >= exact, "{told} µs are less than {exact} µs");
        prop_assert!((told - exact) * 8 <= exact, "{told} µs are too far from {exact} µs");
    }

    #[test]
    fn what_was_counted_since_is_what_was_merged(earlier in latencies(), later in latencies()) {
        let (earlier, later) = (of(&earlier), of(&later));
        let mut both = earlier.clone();
        both.merge(&later);
        prop_assert_eq!(both.count(), earlier.count() + later.count());
        prop_assert_eq!(both.since(&earlier), later);
    }
}
