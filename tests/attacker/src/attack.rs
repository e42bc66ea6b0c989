//! The attacks, and what each client does.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use clap::ValueEnum;
use clap::builder::PossibleValue;
use fastrand::Rng;
use tokio::task::JoinSet;

use crate::ground::Ground;
use crate::{Report, flood, garbage, head};

/// A kind of attack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Attack {
    /// Heads that arrive one byte at a time and never end.
    SlowLoris,
    /// Heads of one mebibyte. Each is sent after a pause, as fast as the server reads.
    HugeHeads,
    /// Noise, malformed requests, and anything else that is neither HTTP/1.1 nor HTTP/2.
    Garbage,
    /// Clients that connect and stay silent, and clients that vanish after a moment.
    HalfOpen,
    /// Ten thousand connects per second. Each client vanishes after a moment.
    Flood,
}

/// Its name on the command line.
impl fmt::Display for Attack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.to_possible_value().as_ref().map_or("", PossibleValue::get_name))
    }
}

/// Clients that carry out an attack.
#[derive(Debug, Clone, Copy)]
pub struct Attackers {
    /// The server.
    pub address: SocketAddr,
    /// The kind of attack.
    pub attack: Attack,
    /// The number of clients: at most this many connections are open at once.
    pub clients: usize,
    /// The seed for random choices.
    pub seed: u64,
}

impl Attackers {
    /// Attacks for this long.
    pub async fn run_for(self, time: Duration) -> Report {
        let ground = Arc::new(Ground::new(self.address));
        // Clients that still run then are interrupted. An attack does not end earlier by itself.
        let _ = tokio::time::timeout(time, self.attack(&ground)).await;
        ground.report()
    }

    async fn attack(self, ground: &Arc<Ground>) {
        if self.attack == Attack::Flood {
            return flood::run(ground, self.clients, Rng::with_seed(self.seed)).await;
        }
        let mut clients = JoinSet::new();
        let mut rng = Rng::with_seed(self.seed);
        for _ in 0..self.clients {
            clients.spawn(client(Arc::clone(ground), self.attack, rng.fork()));
        }
        clients.join_all().await;
    }
}

/// One client, repeated. It does not matter whether the server closes, resets or does not listen.
async fn client(ground: Arc<Ground>, attack: Attack, mut rng: Rng) {
    loop {
        let Some(connection) = ground.connect().await else { continue };
        match attack {
            Attack::SlowLoris => head::slow(connection, &mut rng).await,
            Attack::HugeHeads => head::huge(connection, &mut rng).await,
            Attack::Garbage => garbage::send(connection, &mut rng).await,
            Attack::HalfOpen if rng.bool() => connection.until_closed().await,
            Attack::HalfOpen | Attack::Flood => flood::vanish(connection, &mut rng).await,
        }
    }
}
