//! The host shuts down in the middle of a rollout. Requests in progress are answered, the shutdown is not
//! delayed, and the next boot starts all workers.

use std::{thread, time::Instant};

use promises::{Cluster, DEADLINE, Package, Suite};

promises::in_every_suite!(reboot_mid_roll);

fn reboot_mid_roll(suite: Suite) {
    let mut cluster = Cluster::installed_to_last(suite, Package::Old);
    cluster.configure("workers = 4\n[rollout]\nsettle = \"1s\"\n");
    let before = cluster.pids();
    cluster.copy_in(&Package::New.path(), "/tmp/new.deb");
    cluster.begin("upgrade", &["dpkg", "--force-confold", "--install", "/tmp/new.deb"]);
    cluster.until_one_is_replaced(&before);
    let sleeps = cluster.begin_sleeps(8);
    let answers = thread::spawn(move || {
        sleeps.into_iter().map(|mut wire| wire.receive().map(|answer| answer.status)).collect::<Vec<_>>()
    });

    let begun = Instant::now();
    cluster.reboot();
    assert!(begun.elapsed() < DEADLINE / 2, "the reboot took {:?}", begun.elapsed());
    for answer in answers.join().expect("reading does not panic") {
        assert!(matches!(answer, Ok(200)), "{answer:?}");
    }

    // Without any action, all workers are ready and run one release.
    cluster.until_it_answers();
    cluster.until_whole();
    let release = cluster.status().release;
    assert!([Package::Old, Package::New].map(Package::version).contains(&release), "{release}");
    cluster.assert_runs_everywhere(&release);

    // dpkg was killed with the host, or it ended before and only knows that the reload failed.
    let state = cluster.run(["dpkg-query", "--show", "--showformat=${db:Status-Status}", "app-cluster"]);
    cluster.run(["dpkg", "--configure", "-a"]).assert_success();
    if state.stdout() == "installed" {
        cluster.reload();
    }
    cluster.assert_runs_everywhere(&Package::New.version());
    cluster.reloads_all();
    cluster.assert_socket_is_whole();
}
