//! `app-cluster rebind`: has systemd listen where the socket unit says.
//!
//! systemd opens the addresses of a socket unit when that starts, and never while workers hold what it had. So the whole
//! cluster is restarted, once it is known that it can come back.

use std::io;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::Context;
use config::timespan;

use crate::exit::{Exit, Failure};
use crate::listener::{Address, Listening};
use crate::output;
use crate::{bus, check, rollout};

const SOCKET: &str = "app-cluster.socket";
const TARGET: &str = "app-cluster.target";

/// Does it, and says what it costs.
pub(crate) async fn run() -> anyhow::Result<Exit> {
    let hindrances = check::hindrances();
    if !hindrances.is_empty() {
        let message = format!("{hindrances}nothing was stopped; change that first");
        return Err(Failure::new(Exit::Configuration, message).into());
    }
    check_no_rollout().await?;
    let before = check::listening().map_err(|error| Failure::new(Exit::Refused, format!("{error:#}")))?;
    if before.lost.is_empty() {
        // What else was changed in the unit takes no listener away.
        systemctl(&["daemon-reload"])?;
        let rest = match before.left.is_empty() {
            true => "nothing to do".to_owned(),
            false => {
                format!("`systemctl reload app-cluster` ends what workers still do on {}", list(&before.left))
            }
        };
        output::print(&format!("systemd listens on {}: {rest}\n", list(&before.handed)))?;
        return Ok(Exit::Done);
    }
    check_free(&before)?;
    output::print(&format!(
        "{TARGET} is restarted, to listen on {}: the workers answer what they have begun, and connections are refused until \
         systemd listens again\n",
        list(&[before.handed, before.lost].concat())
    ))?;
    let begun = Instant::now();
    systemctl(&["daemon-reload"])?;
    systemctl(&["restart", TARGET])?;
    told(&check::listening()?, begun.elapsed())
}

/// The cluster would start anew on whatever release the rollout has come to, and a pause would be forgotten.
async fn check_no_rollout() -> anyhow::Result<()> {
    let Ok(cluster) = bus::connect().await else { return Ok(()) };
    // An orchestrator that does not run, or does not answer, has none.
    if bus::answer(rollout::running(&cluster)).await.is_ok() {
        let message = "a rollout is under way, and nothing was stopped; wait for its end (`app-cluster status`), or end it with \
                       `app-cluster abort`";
        return Err(Failure::new(Exit::Refused, message).into());
    }
    Ok(())
}

/// What cannot be had is found before anything is stopped. Where workers listen already it is theirs to give.
fn check_free(before: &Listening) -> Result<(), Failure> {
    let is_ours = |address: &&Address| before.left.iter().any(|left| address.is_served_by(left));
    for address in before.lost.iter().filter(|address| !is_ours(address)) {
        address.try_to_listen().map_err(|error| {
            let why = match error.kind() {
                io::ErrorKind::AddrInUse => {
                    "another program listens there, `ss -ltnp` shows which".to_owned()
                }
                io::ErrorKind::AddrNotAvailable => {
                    "it is no address of this machine; with `FreeBind=yes` systemd does not wait for it"
                        .to_owned()
                }
                _ => error.to_string(),
            };
            let todo = format!("nothing was stopped; change it with `systemctl edit {SOCKET}`");
            Failure::new(Exit::Refused, format!("systemd cannot listen on {address}: {why}; {todo}"))
        })?;
    }
    Ok(())
}

fn told(after: &Listening, took: Duration) -> anyhow::Result<Exit> {
    if !after.lost.is_empty() {
        let lost = list(&after.lost);
        let message = format!("systemd does not listen on {lost}: `journalctl -u {SOCKET} -n 20` says why");
        return Err(Failure::new(Exit::Failed, message).into());
    }
    let took = timespan::format(Duration::from_millis(u64::try_from(took.as_millis()).unwrap_or(u64::MAX)));
    output::print(&format!("systemd listens on {}; the restart took {took}\n", list(&after.handed)))?;
    Ok(Exit::Done)
}

fn systemctl(arguments: &[&str]) -> anyhow::Result<()> {
    let status = Command::new("systemctl").args(arguments).status().context("cannot run systemctl")?;
    let todo =
        || format!("`systemctl {}` failed; `journalctl -u {SOCKET} -n 20` says why", arguments.join(" "));
    if status.success() { Ok(()) } else { Err(Failure::new(Exit::Failed, todo()).into()) }
}

fn list(addresses: &[Address]) -> String {
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
