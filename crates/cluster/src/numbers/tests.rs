use proptest::prelude::*;

use super::*;

const LIMITS: Limits = Limits {
    max_error_ratio: Some(Millionths(50_000)),
    max_latency_ratio: Some(Millionths(3_000_000)),
    min_requests: 100,
};

fn figures(errors: u64, others: u64, p99_ms: u64) -> Figures {
    Figures { errors, others, p99: Some(Duration::from_millis(p99_ms)) }
}

fn judged(new: Figures, old: Figures) -> Verdict {
    LIMITS.judge(Ok(Compared { new, old }))
}

#[track_caller]
fn assert_fails(new: Figures, old: Figures, sentence: &str) {
    match judged(new, old) {
        Verdict::Failed(excess) => assert_eq!(excess.to_string(), sentence),
        other => panic!("{other:?}"),
    }
}

#[test]
fn one_that_answers_as_the_old_ones_do_passes() {
    assert_eq!(judged(figures(0, 250, 12), figures(1, 1000, 12)), Verdict::Passed);
}

#[test]
fn errors_are_compared_as_shares() {
    let old = figures(1, 999, 12);
    assert_fails(figures(30, 220, 12), old, "answers 12.0 % of 250 requests with 5xx, the old workers 0.1 %");
    assert_eq!(judged(figures(12, 238, 12), old), Verdict::Passed, "4.8 %");
    assert_eq!(judged(figures(300, 200, 12), figures(600, 400, 12)), Verdict::Passed, "they do the same");
}

#[test]
fn as_much_as_the_limit_allows_is_allowed() {
    assert_eq!(judged(figures(15, 85, 36), figures(10, 90, 12)), Verdict::Passed);
    assert!(matches!(judged(figures(16, 84, 36), figures(10, 90, 12)), Verdict::Failed(Excess::Errors(_))));
    assert!(matches!(judged(figures(15, 85, 37), figures(10, 90, 12)), Verdict::Failed(_)));
}

#[test]
fn latencies_are_compared_as_multiples() {
    assert_fails(
        figures(0, 250, 90),
        figures(0, 250, 12),
        "takes 90 ms for 99 of 100 requests, the old workers 12 ms",
    );
    let fast = Figures { p99: Some(Duration::from_micros(250)), ..figures(0, 250, 0) };
    assert_fails(figures(0, 250, 2), fast, "takes 2.0 ms for 99 of 100 requests, the old workers 0.2 ms");
}

#[test]
fn workers_that_mostly_fail_are_no_measure_for_the_time_that_answers_take() {
    assert_eq!(judged(figures(0, 250, 90), figures(200, 100, 1)), Verdict::Passed);
}

#[test]
fn with_too_few_answers_nothing_is_decided() {
    let too_few = |new, old| Verdict::Undecided(Undecided::TooFew { new, old, least: 100 });
    assert_eq!(judged(figures(99, 0, 900), figures(0, 1000, 1)), too_few(99, 1000));
    assert_eq!(judged(figures(100, 0, 900), figures(0, 99, 1)), too_few(100, 99));
    assert!(matches!(judged(figures(100, 0, 900), figures(0, 100, 1)), Verdict::Failed(_)));
}

#[test]
fn without_figures_nothing_is_decided() {
    let unknown = Verdict::Undecided(Undecided::Unknown("it is dark".to_owned()));
    assert_eq!(LIMITS.judge(Err("it is dark".to_owned())), unknown);
    let limits = Limits { min_requests: 0, ..LIMITS };
    let nothing = Compared { new: Figures::default(), old: Figures::default() };
    assert!(matches!(limits.judge(Ok(nothing)), Verdict::Undecided(_)));
}

#[test]
fn without_a_limit_nothing_is_looked_at() {
    let bad = Compared { new: figures(1000, 0, 900), old: figures(0, 1000, 1) };
    assert_eq!(Limits::NONE.judge(Ok(bad)), Verdict::Passed);
    assert_eq!(Limits::NONE.judge(Err("it is dark".to_owned())), Verdict::Passed);
    let patient = Limits { max_error_ratio: None, ..LIMITS };
    assert!(matches!(patient.judge(Ok(bad)), Verdict::Failed(Excess::Latency { .. })));
    let lenient = Limits { max_latency_ratio: None, max_error_ratio: Some(Millionths(1_000_000)), ..LIMITS };
    assert_eq!(lenient.judge(Ok(bad)), Verdict::Passed);
}

fn any_figures() -> impl Strategy<Value = Figures> {
    let count = || prop_oneof![0..2000_u64, any::<u64>()];
    (count(), count(), any::<Option<u64>>()).prop_map(|(errors, others, p99)| Figures {
        errors,
        others,
        p99: p99.map(Duration::from_micros),
    })
}

proptest! {
    #[test]
    fn no_figures_make_it_panic(
        new in any_figures(),
        old in any_figures(),
        error: Option<u32>,
        latency: Option<u32>,
        min_requests: u32,
    ) {
        let limits = Limits {
            max_error_ratio: error.map(Millionths),
            max_latency_ratio: latency.map(Millionths),
            min_requests,
        };
        match limits.judge(Ok(Compared { new, old })) {
            Verdict::Passed => {}
            Verdict::Failed(excess) => prop_assert!(excess.to_string().contains("the old workers")),
            Verdict::Undecided(undecided) => prop_assert!(undecided.to_string().contains("min_requests")),
        }
    }

    #[test]
    fn who_answers_like_the_old_ones_passes_whatever_the_limits_are(
        errors in 0..1_000_000_u64,
        others in 1..1_000_000_u64,
        p99_ms in 0..100_000_u64,
        error: u32,
        latency in 1_000_000..=u32::MAX,
    ) {
        let limits = Limits {
            max_error_ratio: Some(Millionths(error)),
            max_latency_ratio: Some(Millionths(latency)),
            min_requests: 1,
        };
        let same = figures(errors, others, p99_ms);
        prop_assert_eq!(limits.judge(Ok(Compared { new: same, old: same })), Verdict::Passed);
    }
}
