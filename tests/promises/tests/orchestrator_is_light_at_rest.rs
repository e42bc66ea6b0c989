//! The orchestrator needs at most 8 MB, and it does not wake up while nothing happens.

use std::time::Duration;

use promises::{Cluster, DEADLINE, Suite, ci_or_full, pass, wait_for};

promises::in_every_suite!(eight_megabytes_and_no_wake_ups);

/// Resident memory in kibibytes.
const PROMISED_KIB: u64 = 8 * 1024;

fn eight_megabytes_and_no_wake_ups(suite: Suite) {
    let cluster = Cluster::installed(suite);
    for _ in 0..ci_or_full(3, 10) {
        cluster.reload();
    }
    cluster.app_cluster(["status"]).assert_success();
    let orchestrator = cluster.orchestrator();
    settled(&cluster);

    let (switches, ticks) = orchestrator.switches_and_ticks();
    let time = Duration::from_secs(ci_or_full(20, 60));
    pass(time);
    let (switches_then, ticks_then) = orchestrator.switches_and_ticks();

    let resident = orchestrator.resident_kib();
    let woken = switches_then - switches;
    println!("{suite}: {resident} KiB resident, woken {woken} times in {time:?}");
    assert!(resident <= PROMISED_KIB, "{resident} KiB are resident, promised are {PROMISED_KIB}");
    assert_eq!(woken, 0, "it was woken in {time:?} in which nothing happened");
    assert_eq!(ticks_then, ticks, "it used the processor in {time:?} in which nothing happened");
}

/// Waits until the orchestrator has not run for a while. Then the work of the last reload and the last status
/// is done.
fn settled(cluster: &Cluster) {
    cluster.until_at_rest();
    let orchestrator = cluster.orchestrator();
    wait_for("the orchestrator to be idle", DEADLINE, || {
        let before = orchestrator.switches_and_ticks();
        pass(Duration::from_secs(3));
        let after = orchestrator.switches_and_ticks();
        if before == after { Ok(()) } else { Err(format!("woken {} times", after.0 - before.0)) }
    });
}
