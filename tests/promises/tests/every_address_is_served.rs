//! A socket unit with several addresses: a port of IPv4, one of IPv6 and a unix socket, each served by every worker.

use std::{
    io,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use promises::{Cluster, Mode, Suite, Wire};

promises::in_every_suite!(also_in_a_reload);

/// As an administrator adds them with `systemctl edit app-cluster.socket`.
const ADDED: &str =
    "ListenStream=[::1]:8081\nListenStream=/run/app-cluster-http.sock\nSocketMode=0660\nSocketGroup=www-data";
const UNIX: &str = "/run/app-cluster-http.sock";

fn also_in_a_reload(suite: Suite) {
    let cluster = Cluster::installed(suite);
    cluster.edit("app-cluster.socket", "Socket", ADDED);
    cluster.systemctl(["restart", "app-cluster.target"]).assert_success();
    cluster.until_whole();
    cluster.until_at_rest();
    cluster.run(["stat", "-c", "%a %G", UNIX]).assert_says("660 www-data");

    let load = cluster.load(Mode::WithGaps);
    let before = cluster.pids();
    let is_over = AtomicBool::new(false);
    let (ipv6, unix) = thread::scope(|scope| {
        let ask = |open: fn(&Cluster) -> io::Result<Wire>| {
            let mut answers = 0;
            while !is_over.load(Ordering::Relaxed) {
                let answer = open(&cluster).and_then(|mut wire| wire.get("/"));
                assert_eq!(answer.expect("each request is answered").status, 200);
                answers += 1;
            }
            answers
        };
        let ipv6 = scope
            .spawn(move || ask(|cluster| Wire::open_at(cluster, ([0, 0, 0, 0, 0, 0, 0, 1], 8081).into())));
        let unix = scope.spawn(move || ask(|cluster| Wire::open_unix(cluster, UNIX)));
        cluster.reload();
        is_over.store(true, Ordering::Relaxed);
        (ipv6.join().expect("no panic"), unix.join().expect("no panic"))
    });
    let after = cluster.pids();
    assert!(before.iter().all(|(instance, pid)| after[instance] != *pid), "{before:?}, then {after:?}");
    assert!(ipv6 > 100 && unix > 100, "{ipv6} requests to IPv6, {unix} to the unix socket");
    load.loses_nothing();
}
