//! Counts how long requests take, in buckets that are never wider than an eighth of the values in them.

use std::time::Duration;

/// The number of buckets.
pub(crate) const BUCKETS: usize = 210;

/// The number of buckets, of equal width, for each doubling of the time.
const STEPS: u64 = 8;

/// Counts of latencies, accurate to 12.5 %, from 1 µs to 5 min.
///
/// The buckets are log-linear: 0 to 7 µs have one bucket each, and from there on every doubling has eight.
/// They count whole microseconds, rounded up.
///
/// | bucket | µs | | bucket | µs |
/// |---|---|-|---|---|
/// | 0 … 15 | 0 … 15, one each | | 24 … 31 | 32 … 63, four each |
/// | 16 … 23 | 16 … 31, two each | | 208 | 268,435,456 … 301,989,887 |
/// | | | | 209 | all from 301,989,888 (5 min 2 s) on |
///
/// A reported latency is the upper end of its bucket. It is never below the true value. It is at most an
/// eighth, or less than a microsecond, above it.
#[derive(Clone, PartialEq, Eq)]
pub struct Histogram {
    counts: [u64; BUCKETS],
    sum_us: u64,
}

impl Histogram {
    pub(crate) fn from_words(counts: [u64; BUCKETS], sum_us: u64) -> Self {
        Self { counts, sum_us }
    }

    /// Counts a latency.
    pub fn record(&mut self, latency: Duration) {
        let microseconds = microseconds(latency);
        let count = &mut self.counts[bucket_of(microseconds)];
        *count = count.saturating_add(1);
        self.sum_us = self.sum_us.saturating_add(microseconds);
    }

    /// How many latencies were counted.
    pub fn count(&self) -> u64 {
        self.counts.iter().fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// The sum of all latencies.
    pub fn sum(&self) -> Duration {
        Duration::from_micros(self.sum_us)
    }

    /// The mean, or `None` if there are none.
    pub fn mean(&self) -> Option<Duration> {
        self.sum_us.checked_div(self.count()).map(Duration::from_micros)
    }

    /// The latency that this share of all latencies, from 0 to 1, did not exceed: 0.99 for the 99th
    /// percentile. `None` if there are none, or if `share` is not a number. The result is capped at 5 min 2
    /// s.
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        let count = self.count();
        if count == 0 || share.is_nan() {
            return None;
        }
        // The rank is exact up to 2^53 latencies. Beyond that, a few of them do not matter.
        let rank = ((share.clamp(0.0, 1.0) * count as f64).ceil() as u64).clamp(1, count);
        let mut below = 0_u64;
        let bucket = self.counts.iter().position(|count| {
            below = below.saturating_add(*count);
            below >= rank
        });
        bucket.map(|bucket| Duration::from_micros(highest_in(bucket).unwrap_or(LAST_BEGINS)))
    }

    /// Adds the counts of another histogram.
    pub fn merge(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count = count.saturating_add(*more);
        }
        self.sum_us = self.sum_us.saturating_add(other.sum_us);
    }

    /// What was counted since `earlier`, an older copy of the same histogram. A copy of another process's
    /// histogram makes no sense here, so compare the identities first. A negative difference becomes zero.
    #[must_use = "the histogram itself is not changed"]
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            counts: std::array::from_fn(|bucket| self.counts[bucket].saturating_sub(earlier.counts[bucket])),
            sum_us: self.sum_us.saturating_sub(earlier.sum_us),
        }
    }

    /// The buckets from the shortest to the longest latency. Each has the longest latency that belongs to it,
    /// or `None` for the last bucket, and its count.
    pub fn buckets(&self) -> impl Iterator<Item = (Option<Duration>, u64)> {
        self.counts
            .iter()
            .enumerate()
            .map(|(bucket, count)| (highest_in(bucket).map(Duration::from_micros), *count))
    }
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: [0; BUCKETS], sum_us: 0 }
    }
}

impl std::fmt::Debug for Histogram {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let seen = self.buckets().filter(|(_, count)| *count > 0);
        f.debug_map().entries(seen).finish()
    }
}

/// The first value of the last bucket, which has no upper end.
const LAST_BEGINS: u64 = 9 << 25;

/// Whole microseconds, rounded up. A latency is shorter than half a million years.
pub(crate) fn microseconds(latency: Duration) -> u64 {
    latency.as_secs().saturating_mul(1_000_000).saturating_add(latency.subsec_nanos().div_ceil(1000).into())
}

/// The bucket for this many microseconds.
pub(crate) fn bucket_of(microseconds: u64) -> usize {
    if microseconds < STEPS {
        return microseconds as usize;
    }
    let doublings = u64::from(microseconds.ilog2() - STEPS.ilog2());
    // The step is from STEPS to 2 × STEPS - 1.
    let step = microseconds >> doublings;
    ((doublings * STEPS + step) as usize).min(BUCKETS - 1)
}

/// The highest number of microseconds that belongs to a bucket. The last bucket has none.
fn highest_in(bucket: usize) -> Option<u64> {
    if bucket >= BUCKETS - 1 {
        return None;
    }
    let bucket = bucket as u64;
    if bucket < STEPS {
        return Some(bucket);
    }
    let (doublings, step) = (bucket / STEPS - 1, bucket % STEPS + STEPS);
    Some(((step + 1) << doublings) - 1)
}

#[cfg(test)]
mod tests;
