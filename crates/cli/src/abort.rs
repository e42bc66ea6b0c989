//! `app-cluster abort`: ends a rollout, and waits until the workers are back on the old release.

use crate::exit::Exit;
use crate::rollout::{self, Followed, Purpose, outcome};
use crate::{bus, output};

/// Aborts the rollout `id`, or the current one if `id` is absent.
pub(crate) async fn run(id: Option<u64>) -> anyhow::Result<Exit> {
    let cluster = bus::connect().await?;
    let call = async {
        let id = match id {
            Some(id) => id,
            None => rollout::running(&cluster).await?,
        };
        cluster.abort(id).await.map(|()| id)
    };
    let (end, report) = match rollout::follow(&cluster, Purpose::Abort, bus::answer(call)).await? {
        Followed::Left(exit) => return Ok(exit),
        Followed::Unchanged => return Ok(Exit::Done),
        Followed::Canary(rollout) | Followed::Ended { rollout, .. } => {
            (outcome::exit(&rollout), outcome::report_abort(&rollout))
        }
        Followed::Recorded(entry) => (outcome::exit_of_entry(&entry), outcome::report_entry(&entry)),
    };
    let exit = outcome::exit_of_abort(end);
    if exit == Exit::Done {
        output::print(&report)?;
    } else {
        output::complain(&report);
    }
    Ok(exit)
}
