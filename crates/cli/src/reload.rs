//! `app-cluster reload`: begins a rollout to what is installed, and follows it to its end.
//!
//! It is what a person types, and what `ExecReload=` of `app-cluster.service` runs. There it blocks as
//! long as the rollout takes, and asks systemd for more time at every sign of progress. Of its exit status `systemctl reload`
//! makes 0 or 1; the journal has it whole.

use crate::exit::Exit;
use crate::rollout::{self, Purpose};
use crate::{asker, bus};

/// Begins a rollout and follows it to its end.
pub(crate) async fn run() -> anyhow::Result<Exit> {
    // The user there is that of the unit, and says nothing.
    let by = if rollout::systemd::is_caller() { "systemctl reload".to_owned() } else { asker::name() };
    let cluster = bus::connect().await?;
    let followed = rollout::follow(&cluster, Purpose::Replace, bus::answer(cluster.reload(&by))).await?;
    rollout::finish(followed)
}
