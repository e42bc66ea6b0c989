//! `app-cluster rollback`: begins a rollout to a release that is on disk, and follows it to its end.

use crate::exit::Exit;
use crate::rollout::{self, Purpose};
use crate::{asker, bus};

/// Rolls to the release `id`, or to the previous release if `id` is absent.
pub(crate) async fn run(id: Option<&str>) -> anyhow::Result<Exit> {
    let by = asker::name();
    let cluster = bus::connect().await?;
    let call = bus::answer(cluster.rollback(id.unwrap_or_default(), &by));
    rollout::finish(rollout::follow(&cluster, Purpose::Replace, call).await?)
}
