//! Back-off: the pauses before a worker that keeps ending is started again.
//!
//! systemd restarts a failed worker at once, however often it fails: its start limit is off. A worker that
//! hit that limit would take the shared socket with it, and `RestartSteps=` came after version 252. So the
//! orchestrator counts the ends itself. After a *burst* of them the worker *flaps*: the orchestrator stops
//! it, and starts it again after pauses that double up to a longest one. It never gives a worker up. If the
//! worker then stays ready for a *stable* run, everything is forgotten.
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
    /// After this many ends within [`window`](Self::window) the worker flaps. 0 and 1 mean the first end.
    pub burst: u32,
    /// The time in which ends are counted.
    pub window: Duration,
    /// The first pause, before jitter.
    pub first: Duration,
    /// The longest pause. It also limits a longer `first`.
    pub max: Duration,
    /// After it has been ready for this long, a worker is forgiven.
    pub stable: Duration,
}

impl Default for BackoffPolicy {
    /// 5 ends within 10 s make a burst. Pauses last from 1 s to 1 min, and a worker is forgiven after 1 min.
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

/// What follows when a worker ended. Either it crashed and systemd restarts it, or it exited with status 0 by
/// itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// systemd or the keeper starts it again at once.
    Again,
    /// The worker flaps: stop it, and start it again after this pause.
    Pause(Duration),
}

/// The back-off of one worker. Times are monotonic, of any origin. If the time goes back, no time has passed.
#[derive(Debug, Clone, Default)]
pub struct Backoff {
    /// When the worker ended, and how often at that time; the oldest first. They are fewer than a burst in
    /// all, and there are none once it flaps.
    ends: VecDeque<(Duration, u32)>,
    /// The latest pause, before jitter. While there is one, the worker flaps.
    pause: Option<Duration>,
    /// Since when the worker is ready, while it is.
    ready: Option<Duration>,
}

impl Backoff {
    /// Its process ended at `now`, and no job had asked for that.
    ///
    /// `ends` is the number of ends: `NRestarts` may advance by several between two inspections. 0 changes
    /// nothing. `random` is any number. It spreads the pauses of workers that ended together by up to a fifth
    /// either way, but never beyond the longest pause.
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

    /// The worker became ready at `now`. A second call before it ended changes nothing.
    pub fn ready(&mut self, now: Duration) {
        self.ready.get_or_insert(now);
    }

    /// Whether the worker flaps at `now`: from the burst until it has been ready for
    /// [`BackoffPolicy::stable`].
    pub fn is_flapping(&self, now: Duration, policy: &BackoffPolicy) -> bool {
        self.pause.is_some() && !self.is_forgiven(now, policy)
    }

    /// Whether the worker has been ready for at least this long at `now`.
    pub fn is_ready_for(&self, span: Duration, now: Duration) -> bool {
        self.ready.is_some_and(|since| now.saturating_sub(since) >= span)
    }

    /// When the worker is forgiven, if it stays ready. None while it does not flap or is not ready.
    pub fn stable_at(&self, policy: &BackoffPolicy) -> Option<Duration> {
        self.pause.and(self.ready).map(|since| since.saturating_add(policy.stable))
    }

    /// Whether the worker was ready long enough to be forgiven. If so, this forgets everything.
    pub fn take_stable(&mut self, now: Duration, policy: &BackoffPolicy) -> bool {
        let is_stable = self.is_forgiven(now, policy);
        if is_stable {
            self.forget();
        }
        is_stable
    }

    /// Forgets everything, because a rollout replaced the worker or an operator restarted it. That it is
    /// ready is forgotten, too.
    pub fn forget(&mut self) {
        *self = Self::default();
    }

    fn is_forgiven(&self, now: Duration, policy: &BackoffPolicy) -> bool {
        self.ready.is_some_and(|since| now.saturating_sub(since) >= policy.stable)
    }

    /// Counts `ends` at `now`. Returns whether the window that ends at `now` holds a burst of them.
    fn is_burst(&mut self, now: Duration, ends: u32, policy: &BackoffPolicy) -> bool {
        self.ends.retain(|(at, _)| now.saturating_sub(*at) <= policy.window);
        self.ends.push_back((now, ends));
        self.ends.iter().map(|(_, ends)| u64::from(*ends)).sum::<u64>() >= u64::from(policy.burst)
    }
}

/// A pause from 80 % to 120 % of `nominal`.
///
/// `max` bounds the range, not the result. Otherwise half of the workers that have reached the longest pause
/// would start at the same moment.
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
    /// The middle of the range. It gives no jitter, unless `max` cuts the range.
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
        // Each worker is ready for a while. Its ends are further apart than the window.
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
        // To run without being ready is not a stable run.
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

    /// Any span, and often one as in a real worker.
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
        /// Compares with a plain record of what happened.
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
            // The first pause may be longer than the longest one, and the clock may go back.
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
