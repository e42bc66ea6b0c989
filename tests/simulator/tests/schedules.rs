//! A few thousand schedules, always the same ones; `cargo xtask simulate` has more.

use simulator::simulate;

#[test]
fn nothing_that_goes_wrong_breaks_a_law() {
    let report = simulate(0, 5_000, 2);
    let hint = "`cargo xtask simulate --schedules 1 --trace --seed SEED` tells what happens";
    assert!(report.failures.is_empty(), "{:#?}\n{hint}", report.failures);
    let never: Vec<_> = report.never_struck().map(simulator::Class::words).collect();
    assert!(never.is_empty(), "never happened: {never:?}");
}

#[test]
fn a_seed_is_always_the_same_schedule() {
    let trace = simulator::trace(7);
    assert!(trace.len() > 10, "{trace:#?}");
    assert_eq!(trace, simulator::trace(7));
}
