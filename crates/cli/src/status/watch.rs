//! `app-cluster status --watch`: shows the same every second. On a terminal, it redraws in place.

use std::time::Duration;

use api::Cluster;
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::look::Look;
use super::{page, text};
use crate::exit::{Exit, Failure};
use crate::output;
use crate::table::Style;
use crate::terminal::{Asked, Terminal};

/// Shows the cluster every second until the user ends it.
pub(super) async fn run(cluster: &Cluster) -> anyhow::Result<Exit> {
    let mut seconds = interval(Duration::from_secs(1));
    // After Ctrl-Z, the ticks that were missed are not made up for.
    seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let first = next(&mut seconds, cluster).await?;
    match Terminal::open()? {
        Some(terminal) => in_place(terminal, cluster, seconds, first).await,
        None => in_lines(cluster, seconds, first).await,
    }
}

async fn next(seconds: &mut Interval, cluster: &Cluster) -> Result<Look, Failure> {
    seconds.tick().await;
    Look::now(cluster).await
}

async fn in_place(
    mut terminal: Terminal,
    cluster: &Cluster,
    mut seconds: Interval,
    first: Look,
) -> anyhow::Result<Exit> {
    let (mut earlier, mut now) = (None, Ok::<_, Failure>(first));
    loop {
        let lines = match &now {
            // The last line is for the cursor.
            Ok(look) => page::fit(look, earlier.as_ref(), &Style::of_stdout(), terminal.rows() - 1),
            // The orchestrator may be back in a moment.
            Err(failure) => vec![failure.message.clone()],
        };
        if terminal.draw(&lines).is_err() {
            // The terminal is gone.
            return Ok(Exit::Done);
        }
        tokio::select! {
            asked = terminal.asked() => match asked {
                Asked::ToLeave => return Ok(Exit::Done),
                Asked::ToDraw => {}
            },
            next = next(&mut seconds, cluster) => {
                earlier = std::mem::replace(&mut now, next).ok();
            }
        }
    }
}

async fn in_lines(cluster: &Cluster, mut seconds: Interval, first: Look) -> anyhow::Result<Exit> {
    let (mut earlier, mut now) = (None, first);
    while output::print_on(&format!("{}\n", text(&now, earlier.as_ref())))? {
        let next = next(&mut seconds, cluster).await?;
        earlier = Some(std::mem::replace(&mut now, next));
    }
    Ok(Exit::Done)
}
