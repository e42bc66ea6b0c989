//! `app-cluster pause`: lets the running rollout take no further worker.

use crate::exit::Exit;
use crate::rollout::words;
use crate::{bus, output};

/// Pauses the rollout.
pub(crate) async fn run() -> anyhow::Result<Exit> {
    let cluster = bus::connect().await?;
    bus::answer(cluster.pause()).await?;
    output::print(&format!("paused: {}\n", words::PAUSED))?;
    Ok(Exit::Done)
}
