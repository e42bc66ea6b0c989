//! `app-cluster reload`: begins a rollout to what is installed, and follows it to its end.
//!
//! People type it, and `ExecReload=` of `app-cluster.service` runs it. There it blocks until the rollout has ended,
//! and asks systemd for more time whenever the rollout makes progress. `systemctl reload` reduces its exit status to
//! 0 or 1. The journal has the full one.

use crate::exit::Exit;
use crate::rollout::{self, Purpose};
use crate::{asker, bus};

/// Begins a rollout and follows it to its end.
pub(crate) async fn run() -> anyhow::Result<Exit> {
    // Behind `ExecReload=`, the user is that of the unit and does not say who requested the reload.
    let by = if rollout::systemd::is_caller() { "systemctl reload".to_owned() } else { asker::name() };
    let cluster = bus::connect().await?;
    let followed = rollout::follow(&cluster, Purpose::Replace, bus::answer(cluster.reload(&by))).await?;
    rollout::finish(followed)
}
