//! How connections are spread over four workers on one socket and one board.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use client::Connection;
use serde::Deserialize;
use tempfile::TempDir;

use crate::process::{Socket, Worker, get, soon};

#[derive(Deserialize)]
struct Identity {
    instance: u32,
}

/// Workers 1 to 4.
struct Cluster {
    socket: Socket,
    workers: Vec<Worker>,
    board: TempDir,
}

impl Cluster {
    async fn start(accept: &str) -> Self {
        let mut cluster = Self { socket: Socket::listen(), workers: vec![], board: TempDir::new().unwrap() };
        for instance in 1..=4 {
            let worker = cluster.worker(instance, accept).await;
            cluster.workers.push(worker);
        }
        cluster
    }

    async fn worker(&self, instance: u32, accept: &str) -> Worker {
        let board = self.board.path().join("board.v1");
        let settings = [
            ("APP_CLUSTER_INSTANCE", instance.to_string()),
            ("APP_CLUSTER_ACCEPT", accept.to_owned()),
            ("APP_CLUSTER_SCOREBOARD", board.to_str().unwrap().to_owned()),
        ];
        let settings: Vec<_> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
        self.socket.worker(&settings).await
    }

    /// This many connections at once, each with a request.
    async fn burst(&self, connections: usize) -> Vec<Connection> {
        let open = (0..connections).map(|_| async {
            let mut connection = self.socket.connect().await;
            connection.send(&get("/")).await.unwrap();
            connection
        });
        futures_util::future::join_all(open).await
    }
}

/// The worker that answers this request.
async fn who(connection: &mut Connection) -> u32 {
    let answer = soon(connection.receive()).await.unwrap();
    serde_json::from_slice::<Identity>(&answer.body).unwrap().instance
}

/// How many connections each worker has, also if it has none.
async fn spread(connections: &mut [Connection]) -> BTreeMap<u32, usize> {
    let mut spread = BTreeMap::from([(1, 0), (2, 0), (3, 0), (4, 0)]);
    for connection in connections {
        *spread.entry(who(connection).await).or_default() += 1;
    }
    spread
}

fn difference(spread: &BTreeMap<u32, usize>) -> usize {
    spread.values().max().unwrap() - spread.values().min().unwrap()
}

/// No other workers may use the CPUs meanwhile, but other programs may. So only one of several rounds has to
/// meet the promise.
async fn one_round_of_four<T: std::fmt::Debug>(is_right: impl Fn(&T) -> bool, round: impl AsyncFn() -> T) {
    static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
    let _alone = ALONE.lock().await;
    let mut seen = Vec::new();
    for _ in 0..4 {
        let round = round().await;
        if is_right(&round) {
            return;
        }
        seen.push(round);
    }
    panic!("{seen:?}");
}

#[tokio::test]
async fn a_burst_is_spread_evenly() {
    for connections in [64, 200] {
        one_round_of_four(
            |spread| difference(spread) <= 2,
            async || spread(&mut Cluster::start("fair").await.burst(connections).await).await,
        )
        .await;
    }
}

#[tokio::test]
async fn one_after_the_other_goes_round() {
    const CONNECTIONS: usize = 400;
    one_round_of_four(
        |spread: &BTreeMap<u32, usize>| *spread.values().max().unwrap() * 4 * 100 <= CONNECTIONS * 105,
        async || {
            let cluster = Cluster::start("fair").await;
            let mut spread = BTreeMap::new();
            for _ in 0..CONNECTIONS {
                let mut connection = cluster.socket.connect().await;
                connection.send(&get("/")).await.unwrap();
                *spread.entry(who(&mut connection).await).or_default() += 1;
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            spread
        },
    )
    .await;
}

/// If the workers do not look at their siblings, the same burst is uneven, and the client can see it.
#[tokio::test]
async fn plain_workers_take_what_they_can() {
    let cluster = Cluster::start("plain").await;
    let mut worst = 0;
    for _ in 0..5 {
        let mut burst = cluster.burst(64).await;
        worst = worst.max(difference(&spread(&mut burst).await));
    }
    assert!(worst > 2, "the burst was as even as with fair workers");
}

/// No client waits for the dead worker, although its seat has the fewest connections.
#[tokio::test]
async fn a_killed_worker_holds_nobody_back() {
    one_round_of_four(
        |longest: &Duration| *longest < Duration::from_millis(100),
        async || {
            let mut cluster = Cluster::start("fair").await;
            spread(&mut cluster.burst(40).await).await;
            let killed = cluster.workers.pop().unwrap();
            killed.kill();
            let mut longest = Duration::ZERO;
            for _ in 0..50 {
                let begun = Instant::now();
                let mut connection = cluster.socket.connect().await;
                connection.send(&get("/")).await.unwrap();
                // A connection of the killed worker gets no response.
                match connection.receive().await {
                    Ok(answer) => assert_eq!(answer.status, 200),
                    Err(lost) => assert!(!lost.is_connect(), "{lost}"),
                }
                longest = longest.max(begun.elapsed());
            }
            longest
        },
    )
    .await;
}

/// A new worker has no connection. It gets the next ones until it has as many as the others.
#[tokio::test]
async fn a_new_worker_catches_up() {
    one_round_of_four(
        |of_new: &usize| *of_new >= 18,
        async || {
            let mut cluster = Cluster::start("fair").await;
            let mut old = cluster.burst(80).await;
            spread(&mut old).await;
            let mut replaced = cluster.workers.pop().unwrap();
            replaced.kill();
            replaced.ended().await;
            let _worker = cluster.worker(4, "fair").await;
            let of_new = spread(&mut cluster.burst(20).await).await[&4];
            drop(old);
            of_new
        },
    )
    .await;
}
