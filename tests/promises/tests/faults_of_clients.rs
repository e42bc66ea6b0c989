//! Clients that are too many, too slow or send garbage: the workers serve all others, no queued connection is
//! lost, and a rollout succeeds.

use std::time::Duration;

use promises::{Cluster, DEADLINE, Mode, Package, Suite, Wire, monotonic_usec, pass, wait_for};

promises::in_one_suite!(bookworm: fd_exhaustion, slow_loris, malformed_heads, backlog_overflow);

fn fd_exhaustion(suite: Suite) {
    // More connections than four workers can hold.
    const DESCRIPTORS: usize = 64;
    const CONNECTIONS: usize = 5 * DESCRIPTORS;
    let cluster = Cluster::installed(suite);
    let settings = format!("LimitNOFILE={DESCRIPTORS}\nWatchdogSec=2s");
    cluster.edit("worker@.service", "Service", &settings);
    cluster.reload();
    let before = cluster.workers();

    let mut wires: Vec<_> =
        (0..CONNECTIONS).map(|_| Wire::open(&cluster).expect("the socket is there")).collect();
    for wire in &mut wires {
        wire.send("/").expect("the connection is new");
    }
    until_some_are_queued(&cluster);
    // A worker without a descriptor for its watchdog would be killed now.
    pass(Duration::from_secs(5));
    for mut wire in wires {
        let answer = wire.receive().expect("a queued client is answered when others are gone");
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    assert_eq!(cluster.workers(), before, "a worker was restarted");

    let load = cluster.load(Mode::WithGaps);
    cluster.reloads_all();
    load.loses_nothing();
}

/// Waits until connections are in the accept queue of the socket.
#[track_caller]
fn until_some_are_queued(cluster: &Cluster) {
    wait_for("connections in the queue", DEADLINE, || {
        let listeners = cluster.run(["ss", "-Hltn", "sport", "=", ":8080"]);
        match listeners.stdout().split_whitespace().nth(1) {
            None | Some("0") => Err(listeners.stdout().to_owned()),
            Some(_) => Ok(()),
        }
    });
}

fn slow_loris(suite: Suite) {
    let cluster = Cluster::installed(suite);
    let settings = "Environment=APP_CLUSTER_DRAIN=3s APP_CLUSTER_LINGER=500ms";
    cluster.edit("worker@.service", "Service", settings);
    cluster.reload();
    let mut load = cluster.load(Mode::WithGaps);
    let before = cluster.workers();
    let mut slow: Vec<_> = (0..200).map(|_| Wire::open(&cluster).expect("the socket is there")).collect();
    for byte in b"GET / HTTP/1.1\r\nX" {
        for wire in &mut slow {
            wire.send_bytes(&[*byte]).expect("the worker reads");
        }
        load.until_more(20);
    }
    assert_eq!(cluster.workers(), before, "a worker was restarted");

    let begin = monotonic_usec();
    cluster.reloads_all();
    let told = cluster.logged(&["worker@*"], begin);
    let killed: Vec<_> = told.iter().filter(|entry| entry.message().contains("timed out")).collect();
    assert!(killed.is_empty(), "a drain did not meet its deadline: {killed:#?}");
    load.loses_nothing();
}

fn malformed_heads(suite: Suite) {
    let oversize = [&b"GET / HTTP/1.1\r\nX-Long: "[..], &[b'a'; 400_000], b"\r\n\r\n"].concat();
    let heads: [(&[u8], &[u16]); 8] = [
        (b"\r\n\r\n\r\nno head at all\r\n\r\n", &[400]),
        (b"GET / HTTP/9.9\r\n\r\n", &[400, 505]),
        (b"GET  /  HTTP/1.1 and more\r\n\r\n", &[400]),
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", &[400]),
        (b"GET / HTTP/1.1\r\nHost: \x00\r\n\r\n", &[400]),
        (b"POST /echo HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", &[400]),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 a TLS ClientHello\r\n\r\n", &[400]),
        (&oversize, &[414, 431]),
    ];
    let cluster = Cluster::installed(suite);
    let mut load = cluster.load(Mode::WithGaps);
    let before = cluster.workers();
    for (head, expected) in heads.iter().cycle().take(20 * heads.len()) {
        let text = String::from_utf8_lossy(&head[..head.len().min(60)]);
        let mut wire = Wire::open(&cluster).expect("the socket is there");
        // The worker may answer and close before it has read all of it.
        let _ = wire.send_bytes(head);
        let answer = wire.receive().unwrap_or_else(|error| panic!("no answer to {text:?}: {error}"));
        assert!(expected.contains(&answer.status), "{answer:?} to {text:?}");
        wire.until_closed().unwrap_or_else(|error| panic!("not closed after {text:?}: {error}"));
    }
    load.until_more(500);
    load.loses_nothing();
    assert_eq!(cluster.workers(), before, "a worker was restarted");
}

fn backlog_overflow(suite: Suite) {
    let cluster = Cluster::installed_on(suite, Package::New, |cluster| {
        let drop_in = "/etc/systemd/system/app-cluster.socket.d/50-promise.conf";
        cluster.write_file(drop_in, "[Socket]\nBacklog=2\n");
        // Meanwhile it does not feed its watchdog.
        let drop_in = "/etc/systemd/system/worker@.service.d/50-promise.conf";
        cluster.write_file(drop_in, "[Service]\nWatchdogSec=0\n");
        cluster.systemctl(["daemon-reload"]).assert_success();
    });
    let before = cluster.workers();
    signal_all(&cluster, "SIGSTOP");
    let mut load = cluster.load_unanswered(Mode::Patient);
    wait_for("an overflow of the queue", DEADLINE, || match overflows(&cluster) {
        0 => Err("none"),
        _ => Ok(()),
    });
    assert_eq!(load.answered(), 0, "somebody answers");

    signal_all(&cluster, "SIGCONT");
    load.until(200);
    load.loses_nothing();
    assert_eq!(cluster.workers(), before, "a worker was restarted");
    cluster.assert_socket_is_whole();
}

#[track_caller]
fn signal_all(cluster: &Cluster, signal: &str) {
    cluster.systemctl(["kill", "--signal", signal, "worker@*.service"]).assert_success();
}

/// How many connections found the accept queue full (`ListenOverflows` of proc_net_netstat).
fn overflows(cluster: &Cluster) -> u64 {
    let counters = cluster.run(["nstat", "--zeros", "--noupdate", "TcpExtListenOverflows"]);
    let last = counters.stdout().lines().last().and_then(|line| line.split_whitespace().nth(1));
    last.and_then(|number| number.parse().ok()).unwrap_or(0)
}
