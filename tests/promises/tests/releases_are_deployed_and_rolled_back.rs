//! Any program can be deployed, listed, paused, aborted and rolled back, and no request is lost.

use std::thread;

use promises::{Cluster, DEADLINE, GOOD, Mode, Package, Suite, pass, wait_for};

promises::in_every_suite!(
    from_files_directories_and_packages,
    after_many_that_fail,
    with_a_canary_pauses_and_a_queue,
    and_what_cannot_run_is_refused,
);

fn from_files_directories_and_packages(suite: Suite) {
    let [old, new] = [Package::Old, Package::New].map(Package::version);
    let cluster = Cluster::installed_from(suite, Package::Old);
    let load = cluster.load(Mode::Calm);

    // A reload does not bring back a release that an operator rolled back.
    cluster.install(&Package::New.path()).assert_success();
    assert_runs(&cluster, &new);
    cluster.app_cluster(["rollback"]).assert_success();
    assert_runs(&cluster, &old);
    cluster.reload();
    assert_runs(&cluster, &old);
    cluster.app_cluster(["rollback", &new]).assert_success();
    assert_runs(&cluster, &new);

    // A file in a directory that neither the workers nor the orchestrator can read. It can be deleted
    // afterwards.
    cluster.run(["cp", GOOD, "/root/shop"]).assert_success();
    cluster.deploy("/root/shop", "shop-1").assert_success().assert_says("4 of 4");
    // Deployed again, as configuration tools do: this release already runs.
    let (pids, history) = (cluster.pids(), cluster.history());
    cluster.deploy("/root/shop", "shop-1").assert_success().assert_says("unchanged");
    assert_eq!((cluster.pids(), cluster.history()), (pids, history));
    cluster.run(["rm", "/root/shop"]).assert_success();
    assert_runs(&cluster, "shop-1");
    assert!(cluster.releases().values().all(|release| release == "shop-1"), "{:?}", cluster.releases());

    // A directory is used in place, and its name becomes the release's name.
    cluster.shell(&format!("mkdir -p /srv/shop-2 && cp {GOOD} /srv/shop-2/worker")).assert_success();
    cluster.app_cluster(["deploy", "/srv/shop-2"]).assert_success();
    assert_runs(&cluster, "shop-2");
    let program = format!("/proc/{}/exe", cluster.pids()[&1]);
    assert_eq!(cluster.run(["readlink", &program]).stdout(), "/srv/shop-2/worker");

    // Without a name, the time becomes the name.
    cluster.app_cluster(["deploy", GOOD]).assert_success();
    let third = cluster.status().release;
    let is_time =
        third.len() == "20261122-114005".len() && third.chars().all(|c| c.is_ascii_digit() || c == '-');
    assert!(is_time, "{third} is not a time");

    // A package does not replace what an operator deployed.
    cluster.install(&Package::Old.path()).assert_success();
    assert_eq!(cluster.status().version, old);
    assert_runs(&cluster, &third);
    cluster.app_cluster(["rollback"]).assert_success();
    assert_runs(&cluster, "shop-2");
    assert_history(&cluster, &third);

    cluster.configure("workers = 4\n[rollout]\nsettle = \"200ms\"\n[releases]\nkeep = 2\n");
    cluster.deploy(GOOD, "shop-3").assert_success();
    // A deploy does not wait until older releases are deleted.
    wait_for("only the newest two releases to be left", DEADLINE, || {
        let known: Vec<_> = cluster.known_releases().into_iter().map(|release| release.id).collect();
        if known == ["shop-3", "shop-2"] { Ok(()) } else { Err(format!("{known:?}")) }
    });
    cluster.run(["test", "-x", "/srv/shop-2/worker"]).assert_success();
    cluster.app_cluster(["rollback"]).assert_success();
    assert_runs(&cluster, "shop-2");
    load.loses_nothing();
}

/// However many deploys fail, the previous release is kept. Two rollbacks go back two releases. A failed
/// release can be deployed again under its name.
fn after_many_that_fail(suite: Suite) {
    let cluster = Cluster::installed(suite);
    let packaged = cluster.status().release;
    cluster.configure("workers = 4\n[rollout]\nsettle = \"200ms\"\n[releases]\nkeep = 3\n");
    cluster.write_file("/root/bad", "#!/bin/sh\nexit 1\n");
    cluster.run(["chmod", "+x", "/root/bad"]).assert_success();
    for good in ["good-1", "good-2"] {
        cluster.deploy(GOOD, good).assert_success();
    }
    for bad in ["bad-1", "bad-2", "bad-3", "bad-4"] {
        cluster.deploy("/root/bad", bad).assert_exit_code(2);
    }
    for before in ["good-1", &packaged] {
        cluster.app_cluster(["rollback"]).assert_success();
        assert_runs(&cluster, before);
    }
    cluster.app_cluster(["rollback"]).assert_exit_code(4).assert_says("no release to go back to");
    // The package's release is current, not the one that a rollback left.
    cluster.reload();
    assert_runs(&cluster, &packaged);

    cluster.deploy("/root/bad", "shop").assert_exit_code(2);
    cluster.deploy("/root/bad", "shop").assert_exit_code(2);
    cluster.deploy(GOOD, "shop").assert_success();
    assert_runs(&cluster, "shop");
    cluster.deploy("/root/bad", "shop").assert_exit_code(4).assert_says("release shop exists already");
}

#[track_caller]
fn assert_history(cluster: &Cluster, third: &str) {
    use api::Kind::{Deploy, Package as Packaged, Reload, Rollback};
    let [old, new] = [Package::Old, Package::New].map(Package::version);
    let history = cluster.history();
    let told: Vec<_> = history.iter().rev().map(|entry| (entry.kind, entry.to.as_str())).collect();
    let expected = [
        (Packaged, new.as_str()),
        (Rollback, &old),
        (Reload, &old),
        (Rollback, &new),
        (Deploy, "shop-1"),
        (Deploy, "shop-2"),
        (Deploy, third),
        (Reload, third),
        (Rollback, "shop-2"),
    ];
    assert_eq!(told, expected);
    assert!(history.iter().all(|entry| entry.state == api::EntryState::Done), "{history:#?}");
    let typed = history.iter().filter(|entry| matches!(entry.kind, Deploy | Rollback));
    assert!(typed.into_iter().all(|entry| entry.by == "root"), "{history:#?}");
    assert_one_after_another(&history);

    let table = cluster.run_as("nobody", &["app-cluster", "releases"]);
    table.assert_success().assert_says("deploy").assert_says("root").assert_says("done").assert_says(" ago");
    let marked: Vec<_> = table.stdout().lines().filter(|line| line.starts_with('*')).collect();
    assert!(
        matches!(marked[..], [line] if line.contains("shop-2") && line.contains("/srv/shop-2")),
        "{table}"
    );
}

/// Newest first, and none began before the previous one had ended.
#[track_caller]
fn assert_one_after_another(history: &[api::Entry]) {
    for pair in history.windows(2) {
        assert!(pair[1].begun_usec < pair[1].ended_usec, "{pair:#?}");
        assert!(pair[1].ended_usec <= pair[0].begun_usec, "two rollouts at once: {pair:#?}");
    }
}

/// Asserts that this release is current, that every worker runs it, and that there are no other workers.
#[track_caller]
fn assert_runs(cluster: &Cluster, release: &str) {
    cluster.until_whole();
    let status = cluster.status();
    let runs: Vec<_> = status.workers.iter().map(|worker| worker.release.as_str()).collect();
    assert_eq!((status.release.as_str(), &runs[..]), (release, &[release; 4][..]), "{}", status.summary);
    let current: Vec<_> = cluster.known_releases().into_iter().filter(|release| release.is_current).collect();
    assert!(
        matches!(&current[..], [current] if current.id == release && current.workers == 4),
        "{current:?}"
    );
}

fn with_a_canary_pauses_and_a_queue(suite: Suite) {
    let cluster = Cluster::installed(suite);
    let load = cluster.load(Mode::Calm);
    let old = Package::New.version();

    let before = cluster.pids();
    let canary = cluster.app_cluster(["deploy", GOOD, "--id", "a", "--canary", "1"]);
    canary.assert_success().assert_says("app-cluster resume").assert_says("app-cluster abort");
    assert_eq!(cluster.pids(), before, "the extra worker is the canary");
    assert_eq!(runs(&cluster), [&old, &old, &old, &old, "a"]);
    cluster
        .app_cluster(["status"])
        .assert_says("paused")
        .assert_says("(extra)")
        .assert_says("app-cluster resume");
    cluster.app_cluster(["resume"]).assert_success();
    assert_runs(&cluster, "a");

    let before = cluster.pids();
    cluster.app_cluster(["deploy", GOOD, "--id", "b", "--canary", "2"]).assert_success();
    assert_eq!(runs(&cluster), ["b", "a", "a", "a", "b"]);
    cluster.app_cluster(["abort"]).assert_success().assert_says("every worker is on release a");
    assert_runs(&cluster, "a");
    let after = cluster.pids();
    assert!((2..=4).all(|instance| after[&instance] == before[&instance]), "{before:?}, then {after:?}");
    let history = cluster.history();
    assert_eq!((history[0].state, history[0].to.as_str()), (api::EntryState::Aborted, "b"));

    pause_and_queue(&cluster);
    load.loses_nothing();
    cluster.assert_socket_is_whole();
}

fn pause_and_queue(cluster: &Cluster) {
    let begun = cluster.history().len();
    // Long enough for some requests during the rollout.
    cluster.configure("workers = 4\n[rollout]\nsettle = \"1s\"\n");
    thread::scope(|scope| {
        let deploy = scope.spawn(|| cluster.deploy(GOOD, "c"));
        wait_for("the rollout", DEADLINE, || {
            let status = cluster.status();
            let runs = status.rollout.iter().any(|rollout| rollout.state == api::RolloutState::Running);
            if runs { Ok(()) } else { Err(status.summary) }
        });
        // The next callers wait, and one of them cancels its request.
        let reload = scope.spawn(|| cluster.try_reload());
        let [first, second] = ["Rollback ss a me", "Rollback ss b me"].map(|call| ask(cluster, call));
        cluster.app_cluster(["pause"]).assert_success().assert_says("pausing");
        let paused = wait_for("all workers in progress to be finished", DEADLINE, || {
            let status = cluster.status();
            let is_under_way = status.rollout[0].steps.iter().any(|step| step.deadline_usec != 0);
            if is_under_way { Err(status.summary) } else { Ok(status) }
        });
        assert_eq!(paused.rollout[0].state, api::RolloutState::Paused);

        // A new caller would wait for an operator, perhaps while it holds dpkg's lock.
        cluster.app_cluster(["reload"]).assert_exit_code(4).assert_says("waits for an operator");
        cluster.app_cluster(["abort", &second.to_string()]).assert_success().assert_says("withdrawn");
        pass(std::time::Duration::from_secs(1));
        assert_eq!(cluster.status().rollout, paused.rollout, "the rollout continued");
        assert!(!reload.is_finished() && !deploy.is_finished());

        cluster.app_cluster(["resume", "--no-wait"]).assert_success();
        deploy.join().expect("no panic").assert_success();
        reload.join().expect("no panic").assert_success();
        wait_for("the queue to be empty", DEADLINE, || {
            let status = cluster.status();
            let last = status.rollout.first().filter(|rollout| rollout.state.has_ended());
            let history = cluster.history();
            match last {
                Some(_) if history.len() == begun + 3 && history[0].ended_usec != 0 => Ok(()),
                _ => Err(status.summary),
            }
        });
        let history = cluster.history();
        assert!(history.iter().all(|entry| entry.rollout != second), "{history:#?}");
        assert!(history.iter().any(|entry| entry.rollout == first), "{history:#?}");
        assert_one_after_another(&history);
    });
    assert!(["a", "c"].contains(&cluster.status().release.as_str()));
}

/// Asks for a rollout over the bus, and does not wait for it. Returns its id.
#[track_caller]
fn ask(cluster: &Cluster, call: &str) -> u64 {
    let object = "org.appcluster1 /org/appcluster1 org.appcluster1";
    let answer = cluster.shell(&format!("busctl --system call {object} {call}"));
    answer.stdout().strip_prefix("t ").and_then(|id| id.parse().ok()).expect("the answer is an id")
}

/// The release of each worker, by instance number.
#[track_caller]
fn runs(cluster: &Cluster) -> Vec<String> {
    cluster.status().workers.into_iter().map(|worker| worker.release).collect()
}

fn and_what_cannot_run_is_refused(suite: Suite) {
    let cluster = Cluster::installed(suite);
    let load = cluster.load(Mode::Calm);
    let version = Package::New.version();
    let prepare = format!(
        "cd /srv && echo hello >text && : >empty && mkdir bare and-closed && cp {GOOD} and-closed/worker && \
         chmod 700 and-closed && for d in /home /root /tmp /var/tmp; do mkdir $d/shop && cp {GOOD} $d/shop/worker; done"
    );
    cluster.shell(&prepare).assert_success();
    // The kernel would refuse this with a message about another path.
    let prepare = format!(
        "cd /srv && mkdir dos no-line gone foreign without-exec && printf '#!/bin/sh\\r\\nexit\\r\\n' >dos/worker && \
         echo hello >no-line/worker && echo '#!/usr/bin/no-such' >gone/worker && cp {GOOD} foreign/worker && \
         printf '\\267\\000' | dd of=foreign/worker bs=1 seek=18 conv=notrunc status=none && \
         mount -t tmpfs -o noexec,mode=755 tmpfs without-exec && mkdir without-exec/shop && \
         cp {GOOD} without-exec/shop/worker && chmod 755 */worker"
    );
    cluster.shell(&prepare).assert_success();
    let known = cluster.known_releases();
    let pids = cluster.pids();

    let long = "x".repeat(101);
    for (verb, words) in [
        (&["deploy", "/srv/nothing"][..], "No such file"),
        (&["deploy", "/dev/null"], "neither a file nor a directory"),
        (&["deploy", "/srv/text"], "ELF"),
        (&["deploy", "/srv/empty"], "empty"),
        (&["deploy", "/srv/bare"], "worker"),
        (&["deploy", "/srv/dos"], "/srv/dos/worker, line 1: it ends with CR LF"),
        (&["deploy", "/srv/dos/worker"], "the file, line 1: it ends with CR LF"),
        (&["deploy", "/srv/no-line"], "/srv/no-line/worker, line 1: it is neither an ELF program"),
        (&["deploy", "/srv/gone"], "/srv/gone/worker, line 1: /usr/bin/no-such: No such file"),
        (&["deploy", "/srv/foreign"], "/srv/foreign/worker cannot be executed: it is built for"),
        (&["deploy", "/srv/without-exec/shop"], "/srv/without-exec is mounted with `noexec`"),
        (&["deploy", "/srv/and-closed"], "the user of the workers cannot enter /srv/and-closed"),
        (&["deploy", "/home/shop"], "/home"),
        (&["deploy", "/root/shop"], "/root"),
        (&["deploy", "/tmp/shop"], "/tmp"),
        (&["deploy", "/var/tmp/shop"], "/var/tmp"),
        (&["deploy", "/var/lib/app-cluster/current"], "belongs to app-cluster"),
        (&["deploy", GOOD, "--id", "../up"], "cannot name a release"),
        (&["deploy", GOOD, "--id", ".hidden"], "cannot name a release"),
        (&["deploy", GOOD, "--id=-x"], "cannot name a release"),
        (&["deploy", GOOD, "--id", &long], "cannot name a release"),
        (&["deploy", GOOD, "--id", &version], "exists already"),
        (&["deploy", GOOD, "--id", "much", "--canary", "4"], "canary"),
        (&["deploy", GOOD, "--id", "more", "--canary", "400"], "canary"),
        (&["rollback"], "no release to go back to"),
        (&["rollback", "nothing"], "no release nothing"),
        (&["rollback", "../up"], "cannot name a release"),
        (&["pause"], "no rollout"),
        (&["resume"], "no rollout"),
        (&["abort"], "no rollout"),
        (&["abort", "7"], "no rollout"),
    ] {
        let refused = cluster.app_cluster(verb.iter().copied());
        refused.assert_exit_code(4);
        assert!(refused.stderr().contains(words), "the message lacks {words:?}\n{refused}");
        assert_eq!(cluster.known_releases(), known, "after {verb:?}");
    }
    for verb in [&["deploy"][..], &["deploy", GOOD, "--canary", "0"], &["abort", "now"], &["rollback", ""]] {
        cluster.app_cluster(verb.iter().copied()).assert_exit_code(64);
    }

    // The error is not about the release, so it can be deployed under its name afterwards.
    cluster.configure("workes = 4\n");
    cluster.deploy(GOOD, "later").assert_exit_code(78);
    assert_eq!(cluster.known_releases(), known);
    cluster.configure("workers = 4\n[rollout]\nsettle = \"200ms\"\n");
    assert_eq!((cluster.pids(), cluster.history()), (pids, Vec::new()));
    cluster.deploy(GOOD, "later").assert_success();
    load.loses_nothing();
}
