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

/// A way to do harm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Attack {
    /// Heads of which a byte comes now and then, and never the last one.
    SlowLoris,
    /// Heads of one mebibyte, each after a moment sent as fast as it is taken.
    HugeHeads,
    /// Noise, requests with errors in them, and whatever else is no HTTP/1.1 and no HTTP/2.
    Garbage,
    /// Clients that connect and keep silent, and clients that are gone after a moment without a goodbye.
    HalfOpen,
    /// Ten thousand connects a second; each client is gone after a moment.
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
    /// What they do.
    pub attack: Attack,
    /// How many of them there are: so many connections are open at once, at most.
    pub clients: usize,
    /// Chooses what is random.
    pub seed: u64,
}

impl Attackers {
    /// Attacks for that long.
    pub async fn run_for(self, time: Duration) -> Report {
        let ground = Arc::new(Ground::new(self.address));
        // Whoever is still at it then is interrupted. Why it would end before, no client can know.
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

/// One client, again and again: that the server closes, resets or does not listen is all the same to it.
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
