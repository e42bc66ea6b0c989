//! Connections that vanish after a moment.

use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval};

use crate::ground::{Connection, Ground};

const CONNECTS_PER_SECOND: f64 = 10_000.0;
/// How long a client stays at most.
const MOMENT_MS: u64 = 100;

/// Ten thousand connects per second, and never more than `most` connections at once. The flood catches up on
/// connects that it missed because too many were open or the CPU was busy.
pub(crate) async fn run(ground: &Arc<Ground>, most: usize, mut rng: Rng) {
    let mut clients = JoinSet::new();
    let began = Instant::now();
    let mut begun = 0.0;
    let mut turn = interval(Duration::from_millis(1));
    loop {
        turn.tick().await;
        while clients.try_join_next().is_some() {}
        let due = began.elapsed().as_secs_f64() * CONNECTS_PER_SECOND;
        while begun < due && clients.len() < most {
            let (ground, mut rng) = (Arc::clone(ground), rng.fork());
            clients.spawn(async move {
                if let Some(connection) = ground.connect().await {
                    vanish(connection, &mut rng).await;
                }
            });
            begun += 1.0;
        }
    }
}

/// Vanishes after a moment, in the middle of a head or before one.
pub(crate) async fn vanish(mut connection: Connection, rng: &mut Rng) {
    if rng.bool() && connection.send(b"GET / HTTP/1.1\r\nHost:").await.is_err() {
        return;
    }
    // The client leaves in any case.
    let _ = connection.pause(Duration::from_millis(rng.u64(0..=MOMENT_MS))).await;
}
