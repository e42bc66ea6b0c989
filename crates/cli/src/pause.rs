//! `app-cluster pause`: makes the running rollout take no further worker.

use crate::exit::Exit;
use crate::rollout::{self, words};
use crate::{bus, output};

/// Pauses the rollout.
pub(crate) async fn run() -> anyhow::Result<Exit> {
    let cluster = bus::connect().await?;
    bus::answer(cluster.pause()).await?;
    let rollout = bus::answer(cluster.status()).await?.rollout.into_iter().next();
    let state = match rollout {
        Some(rollout) if !rollout.state.has_ended() && !rollout::is_at_rest(&rollout) => {
            "pausing, the workers in progress are finished first"
        }
        _ => "paused",
    };
    output::print(&format!("{state}: {}\n", words::PAUSED))?;
    Ok(Exit::Done)
}
