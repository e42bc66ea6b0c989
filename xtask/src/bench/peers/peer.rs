//! The peers, and how to start, inspect and roll each of them.

use super::{
    load::{HTTP2, PIPELINED},
    plain,
};
use crate::bench::cluster::SERVICE;

/// One way to replace workers.
pub(super) struct Peer {
    /// The title of its column.
    pub(super) name: &'static str,
    /// Where it listens.
    pub(super) address: &'static str,
    /// The unit that starts and stops all of it.
    pub(super) unit: &'static str,
    pub(super) workers: Workers,
    /// The unit whose main process supervises the workers, if there is one.
    pub(super) supervisor: Option<&'static str>,
    /// The shell command that replaces all workers.
    pub(super) rollout: &'static str,
    /// The shell command that shows the state.
    pub(super) status: Option<&'static str>,
    /// The modes of [`MODES`](super::load::MODES) that it does not support.
    pub(super) silent: &'static [&'static str],
    /// Its configuration.
    pub(super) settings: &'static str,
}

/// How to find the worker processes.
pub(super) enum Workers {
    /// The main processes of the instances of a unit. The rollout has ended when its command has.
    Units(&'static str),
    /// The supervisor's children. The rollout has ended when all of them are new.
    Children,
}

/// The address of all peers that do not run beside each other.
const ADDRESS: &str = "127.0.0.1:8080";

/// All peers. The first is app-cluster, and everything is compared with it.
pub(super) const PEERS: [Peer; 5] = [
    OURS,
    AXUM,
    PM2,
    Peer {
        name: "Node cluster",
        address: ADDRESS,
        unit: "node-cluster.service",
        workers: Workers::Children,
        supervisor: Some("node-cluster.service"),
        rollout: "systemctl reload node-cluster",
        status: None,
        silent: &[HTTP2],
        settings: "the usual loop at SIGUSR2: fork, when the new one listens SIGTERM to an old one, next; the same server as \
            under PM2, which ends itself after 1.6 s",
    },
    Peer {
        name: "gunicorn",
        address: ADDRESS,
        unit: "gunicorn.service",
        workers: Workers::Children,
        supervisor: Some("gunicorn.service"),
        rollout: "systemctl reload gunicorn",
        status: None,
        silent: &[PIPELINED, HTTP2],
        settings: "gthread with 4 threads, else its defaults, in the unit of its documentation; HUP",
    },
];

/// app-cluster itself.
pub(super) const OURS: Peer = Peer {
    name: "app-cluster",
    address: ADDRESS,
    unit: "app-cluster.target",
    workers: Workers::Units("worker@*.service"),
    supervisor: Some(SERVICE),
    rollout: "systemctl reload app-cluster",
    status: Some("app-cluster status"),
    silent: &[],
    settings: "the package with its reference worker; `settle = \"0ms\"`, since others do not wait either (the default \
        is 2 s for each worker); `systemctl reload app-cluster`",
};

/// A worker without the library.
pub(super) const AXUM: Peer = Peer {
    name: "plain axum",
    address: plain::ADDRESS,
    unit: "plain.target",
    workers: Workers::Units("plain@*.service"),
    supervisor: None,
    rollout: "for n in 1 2 3 4; do systemctl restart plain@$n || exit; done",
    status: Some("systemctl status 'plain@*'"),
    silent: &[],
    settings: "`axum::serve` `with_graceful_shutdown` on tokio's current_thread runtime in the package's own units, \
        without the watchdog; `systemctl restart plain@N`, one after another",
};

/// The most common supervisor for Node.
pub(super) const PM2: Peer = Peer {
    name: "PM2",
    address: ADDRESS,
    unit: "pm2.service",
    workers: Workers::Children,
    supervisor: Some("pm2.service"),
    rollout: "PM2_HOME=/var/lib/pm2 /opt/npm/node_modules/.bin/pm2 reload peer",
    status: Some("PM2_HOME=/var/lib/pm2 /opt/npm/node_modules/.bin/pm2 list"),
    silent: &[HTTP2],
    settings: "cluster mode, `wait_ready`, 10 s for that, else its defaults; at SIGINT the server calls `close()` and \
        `closeIdleConnections()`; `pm2 reload`, which takes two at a time and kills after 1.6 s",
};
