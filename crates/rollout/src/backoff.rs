//! Back-off: what a worker is given that keeps ending.
//!
//! systemd starts a worker that failed again at once, however often: its start limit is off, since a worker that
//! hits it takes the shared socket with it, and `RestartSteps=` came after version 252. So a *burst* of ends is
//! seen here. From then on the worker *flaps*: it is stopped, and started again after pauses that double up
//! to a longest one. It is never given up, and a *stable* run from ready on makes good for everything.
//!
//! ```text
//!                burst ends within the window
//!   [unsuspected] ---------------------------> [flapping] --.
//!        ^                                      |   ^       | an end before a stable run: a longer pause
//!        '------- ran ready for stable, --------'   '-------'
//!                 or forgotten
//! ```

use std::collections::VecDeque;
use std::time::Duration;

/// The limits, from the table `[backoff]` of the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackoffPolicy {
    /// So many ends within [`window`](Self::window) and the worker flaps. 0 and 1: at the first end.
    pub burst: u32,
    /// The time in which ends are counted.
    pub window: Duration,
    /// The first pause, before jitter.
    pub first: Duration,
    /// The longest pause; of a `first` that is longer it makes as short a pause.
    pub max: Duration,
    /// A worker that ran ready for so long is forgiven.
    pub stable: Duration,
}

impl Default for BackoffPolicy {
    /// 5 ends within 10 s; pauses from 1 s to 1 min; forgiven after 1 min.
    fn default() -> Self {
        Self {
            burst: 5,
            window: Duration::from_secs(10),
            first: Duration::from_secs(1),
            max: Duration::from_secs(60),
            stable: Duration::from_secs(60),
        }
    }
}

/// What a worker that ended is to be given: one that crashed and that systemd restarts, or that ended with
/// status 0 by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// A new start at once, by systemd or the keeper.
    Again,
    /// It flaps: stop it, and start it again after this pause.
    Pause(Duration),
}

/// What is held against one worker. Times are monotonic, of any origin; one that goes back counts as no
/// time passed.
#[derive(Debug, Clone, Default)]
pub struct Backoff {
    /// When it ended and how often at once, oldest first; fewer than a burst in all, none once it flaps.
    ends: VecDeque<(Duration, u32)>,
    /// The latest pause before jitter; it flaps while there is one.
    pause: Option<Duration>,
    /// Since when it is ready, while it is.
    ready: Option<Duration>,
}

impl Backoff {
    /// Its process ended at `now` and nobody had asked for that.
    ///
    /// `ends` says how many ends this is, as `NRestarts` may advance by several between two looks; 0 changes
    /// nothing. `random` is any number; it spreads the pauses of workers that ended together by a fifth
    /// either way, and never beyond the longest pause.
    pub fn ended(&mut self, now: Duration, ends: u32, policy: &BackoffPolicy, random: u64) -> Verdict {
        if ends == 0 {
            return Verdict::Again;
        }
        if self.is_forgiven(now, policy) {
            self.forget();
        }
        self.ready = None;
        let nominal = if let Some(pause) = self.pause {
            pause.saturating_mul(2).max(policy.first)
        } else if self.is_burst(now, ends, policy) {
            policy.first
        } else {
            return Verdict::Again;
        };
        let nominal = nominal.min(policy.max);
        self.pause = Some(nominal);
        self.ends.clear();
        Verdict::Pause(jittered(nominal, policy.max, random))
    }

    /// It became ready at `now`. Told again before it ended, this changes nothing.
    pub fn ready(&mut self, now: Duration) {
        self.ready.get_or_insert(now);
    }

    /// Whether it flaps at `now`: from the burst until it has run ready for [`BackoffPolicy::stable`].
    pub fn is_flapping(&self, now: Duration, policy: &BackoffPolicy) -> bool {
        self.pause.is_some() && !self.is_forgiven(now, policy)
    }

    /// Forgets everything: a rollout replaced it, or a person restarted it. It is not ready either.
    pub fn forget(&mut self) {
        *self = Self::default();
    }

    fn is_forgiven(&self, now: Duration, policy: &BackoffPolicy) -> bool {
        self.ready.is_some_and(|since| now.saturating_sub(since) >= policy.stable)
    }

    /// Counts `ends` at `now`; whether there is a burst of them in the window that `now` closes.
    fn is_burst(&mut self, now: Duration, ends: u32, policy: &BackoffPolicy) -> bool {
        self.ends.retain(|(at, _)| now.saturating_sub(*at) <= policy.window);
        self.ends.push_back((now, ends));
        self.ends.iter().map(|(_, ends)| u64::from(*ends)).sum::<u64>() >= u64::from(policy.burst)
    }
}

/// A pause from 80 % to 120 % of `nominal`.
///
/// `max` bounds the range, not the result: of workers that all have reached the longest pause half would
/// otherwise start at the same moment.
fn jittered(nominal: Duration, max: Duration, random: u64) -> Duration {
    const STEPS: u32 = 1000;
    let fifth = nominal / 5;
    let (from, to) = (nominal - fifth, nominal.saturating_add(fifth).min(max));
    let step = (random % u64::from(STEPS + 1)) as u32;
    from + (to - from) / STEPS * step
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const POLICY: BackoffPolicy = BackoffPolicy {
        burst: 3,
        window: Duration::from_secs(10),
        first: Duration::from_secs(1),
        max: Duration::from_secs(6),
        stable: Duration::from_secs(60),
    };
    /// In the middle of the range: no jitter, as far as `max` does not cut the range.
    const MIDDLE: u64 = 500;

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn flapping_at(now: Duration) -> Backoff {
        let mut backoff = Backoff::default();
        assert_eq!(backoff.ended(now, POLICY.burst, &POLICY, MIDDLE), Verdict::Pause(s(1)));
        backoff
    }

    #[test]
    fn fewer_than_a_burst_in_the_window_start_again_at_once() {
        let mut backoff = Backoff::default();
        for now in (0..1000).step_by(6) {
            assert_eq!(backoff.ended(s(now), 1, &POLICY, MIDDLE), Verdict::Again, "{now} s");
            assert!(!backoff.is_flapping(s(now), &POLICY));
        }
    }

    #[test]
    fn a_burst_flaps() {
        let mut backoff = Backoff::default();
        let verdicts = [0, 5, 10].map(|now| backoff.ended(s(now), 1, &POLICY, MIDDLE));
        assert_eq!(verdicts, [Verdict::Again, Verdict::Again, Verdict::Pause(s(1))]);
        assert!(backoff.is_flapping(s(10), &POLICY));
    }

    #[test]
    fn ends_that_nobody_saw_one_by_one_count() {
        let mut backoff = Backoff::default();
        assert_eq!(backoff.ended(s(0), 1, &POLICY, MIDDLE), Verdict::Again);
        assert_eq!(backoff.ended(s(1), 0, &POLICY, MIDDLE), Verdict::Again);
        assert_eq!(backoff.ended(s(1), 2, &POLICY, MIDDLE), Verdict::Pause(s(1)));
    }

    #[test]
    fn pauses_double_up_to_the_longest_and_do_not_end() {
        let mut backoff = flapping_at(s(0));
        // Each is ready for a while, and more seldom than the window.
        let pauses: Vec<_> = (1..=6)
            .map(|n| {
                backoff.ready(s(n * 100));
                backoff.ended(s(n * 100 + 59), 1, &POLICY, u64::MAX / 1001 * 1001 - 1)
            })
            .collect();
        let top = |milliseconds| Verdict::Pause(Duration::from_millis(milliseconds));
        assert_eq!(pauses, [2400, 4800, 6000, 6000, 6000, 6000].map(top));
    }

    #[test]
    fn a_stable_run_is_forgiven_and_a_shorter_one_is_not() {
        let mut backoff = flapping_at(s(0));
        backoff.ready(s(2));
        backoff.ready(s(50));
        assert!(backoff.is_flapping(s(61), &POLICY));
        assert!(!backoff.is_flapping(s(62), &POLICY));
        let mut shorter = backoff.clone();
        assert_eq!(shorter.ended(s(61), 1, &POLICY, MIDDLE), Verdict::Pause(s(2)));
        assert_eq!(backoff.ended(s(62), 1, &POLICY, MIDDLE), Verdict::Again);
        // Running without being ready is no stable run.
        assert!(shorter.is_flapping(s(10_000), &POLICY));
    }

    #[test]
    fn what_is_forgotten_begins_anew() {
        let mut backoff = flapping_at(s(0));
        backoff.forget();
        assert!(!backoff.is_flapping(s(0), &POLICY));
        assert_eq!(backoff.ended(s(0), 2, &POLICY, MIDDLE), Verdict::Again);
        assert_eq!(backoff.ended(s(0), 1, &POLICY, MIDDLE), Verdict::Pause(s(1)));
    }

    #[test]
    fn a_new_policy_holds_for_the_next_pause() {
        let mut backoff = flapping_at(s(0));
        let slower = BackoffPolicy { first: s(4), ..POLICY };
        assert_eq!(backoff.ended(s(1), 1, &slower, 0), Verdict::Pause(s(4).mul_f64(0.8)));
        let faster = BackoffPolicy { max: s(2), ..POLICY };
        assert_eq!(backoff.ended(s(2), 1, &faster, 1000), Verdict::Pause(s(2)));
    }

    #[derive(Debug, Clone, Copy)]
    enum Happens {
        Ended(u32, u64),
        Ready,
        Forget,
    }

    fn happens() -> impl Strategy<Value = Happens> {
        prop_oneof![
            6 => (prop_oneof![Just(1), 0..4_u32, any::<u32>()], any::<u64>())
                .prop_map(|(ends, random)| Happens::Ended(ends, random)),
            4 => Just(Happens::Ready),
            1 => Just(Happens::Forget),
        ]
    }

    /// Any span, and often one of those that meet in a real worker.
    fn span() -> impl Strategy<Value = Duration> {
        prop_oneof![
            3 => (0..100_000_u64).prop_map(Duration::from_millis),
            1 => (any::<u64>(), 0..1_000_000_000_u32).prop_map(|(s, ns)| Duration::new(s, ns)),
        ]
    }

    fn policy() -> impl Strategy<Value = BackoffPolicy> {
        (prop_oneof![3 => 0..8_u32, 1 => any::<u32>()], span(), span(), span(), span()).prop_map(
            |(burst, window, a, b, stable)| BackoffPolicy {
                burst,
                window,
                first: a.min(b),
                max: a.max(b),
                stable,
            },
        )
    }

    proptest! {
        /// Against a plain account of what happened.
        #[test]
        fn pauses_keep_their_bounds_whatever_happens(
            policy in policy(),
            story in prop::collection::vec((span(), happens()), 0..80),
        ) {
            let mut backoff = Backoff::default();
            let mut now = Duration::ZERO;
            let mut ends: Vec<(Duration, u32)> = Vec::new();
            let mut ready: Option<Duration> = None;
            let mut pauses_in_a_row = 0;
            for (later, happens) in story {
                now = now.saturating_add(later);
                let is_stable = ready.is_some_and(|since| now - since >= policy.stable);
                prop_assert_eq!(backoff.is_flapping(now, &policy), pauses_in_a_row > 0 && !is_stable);
                match happens {
                    Happens::Ready => {
                        backoff.ready(now);
                        ready = ready.or(Some(now));
                    }
                    Happens::Forget => {
                        backoff.forget();
                        (ready, pauses_in_a_row) = (None, 0);
                        ends.clear();
                    }
                    Happens::Ended(count, random) => {
                        let before = backoff.pause;
                        let verdict = backoff.ended(now, count, &policy, random);
                        if count == 0 {
                            prop_assert_eq!(verdict, Verdict::Again);
                            continue;
                        }
                        if is_stable {
                            pauses_in_a_row = 0;
                            ends.clear();
                        }
                        ready = None;
                        ends.push((now, count));
                        let recent = ends.iter().filter(|(at, _)| now - *at <= policy.window);
                        let recent: u64 = recent.map(|(_, count)| u64::from(*count)).sum();
                        let is_due = pauses_in_a_row > 0 || recent >= u64::from(policy.burst);
                        let Verdict::Pause(pause) = verdict else {
                            prop_assert!(!is_due);
                            prop_assert!(backoff.ends.len() < policy.burst as usize);
                            continue;
                        };
                        prop_assert!(is_due);
                        pauses_in_a_row += 1;
                        let nominal = backoff.pause.unwrap();
                        prop_assert!(pause <= policy.max);
                        prop_assert!(pause >= policy.first - policy.first / 5);
                        prop_assert!(pause >= nominal - nominal / 5);
                        prop_assert!(pause <= nominal.saturating_add(nominal / 5));
                        match before.filter(|_| pauses_in_a_row > 1) {
                            Some(before) => prop_assert_eq!(nominal, before.saturating_mul(2).min(policy.max)),
                            None => prop_assert_eq!(nominal, policy.first),
                        }
                    }
                }
            }
        }

        #[test]
        fn no_policy_and_no_clock_make_it_panic(
            burst: u32,
            spans in prop::array::uniform4(span()),
            story in prop::collection::vec((span(), happens()), 0..40),
        ) {
            // The first pause may be longer than the longest, and the clock may go back.
            let [window, first, max, stable] = spans;
            let policy = BackoffPolicy { burst, window, first, max, stable };
            let mut backoff = Backoff::default();
            for (now, happens) in story {
                match happens {
                    Happens::Ready => backoff.ready(now),
                    Happens::Forget => backoff.forget(),
                    Happens::Ended(ends, random) => {
                        if let Verdict::Pause(pause) = backoff.ended(now, ends, &policy, random) {
                            prop_assert!(pause <= max);
                        }
                    }
                }
            }
        }
    }
}
