//! With a surge worker, at every moment of a rollout at least the wanted number of workers is ready. The test
//! counts PID 1's own messages, from READY=1 to the beginning of a stop.

use promises::{Cluster, Mode, Suite, ci_or_full};

promises::in_every_suite!(in_systemds_own_account);

fn in_systemds_own_account(suite: Suite) {
    let cluster = Cluster::installed(suite);
    cluster.configure("workers = 4\n[rollout]\nsettle = \"100ms\"\n");
    let rollouts = ci_or_full(10, 50);
    let load = cluster.load(Mode::Calm);

    let account = cluster.open_account();
    for _ in 0..rollouts {
        cluster.reload();
    }
    let account = cluster.close_account(account);
    println!("{suite}: never under {} of 4 in {rollouts} rollouts", account.fewest_ready());
    assert_eq!(account.fewest_ready(), 4, "{account:#?}");
    // The four workers and the extra one.
    assert_eq!(account.starts(), 5 * rollouts);

    // Without a surge worker the test sees that one is missing. So it would have seen that before.
    cluster.configure("workers = 4\n[rollout]\nsettle = \"100ms\"\nsurge = 0\n");
    let account = cluster.open_account();
    cluster.reload();
    let account = cluster.close_account(account);
    assert_eq!((account.fewest_ready(), account.starts()), (3, 4), "{account:#?}");
    load.loses_nothing();
}
