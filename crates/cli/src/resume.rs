//! `app-cluster resume`: continues a paused rollout, and follows it to its end.

use crate::exit::Exit;
use crate::rollout::{self, Purpose};
use crate::{bus, output};

/// Resumes the rollout. With `no_wait`, it does not follow it.
pub(crate) async fn run(no_wait: bool) -> anyhow::Result<Exit> {
    let cluster = bus::connect().await?;
    if no_wait {
        bus::answer(cluster.resume()).await?;
        output::print("the rollout goes on; see `app-cluster status`\n")?;
        return Ok(Exit::Done);
    }
    let call = async {
        let id = rollout::running(&cluster).await?;
        cluster.resume().await.map(|()| id)
    };
    rollout::finish(rollout::follow(&cluster, Purpose::Canary, bus::answer(call)).await?)
}
