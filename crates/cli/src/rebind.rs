//! `app-cluster rebind`: makes systemd listen where the socket unit says.
//!
//! systemd opens the addresses of a socket unit only when the unit starts, and never while workers hold the old
//! listener. So `rebind` restarts the whole cluster, but first checks that the cluster can come back.

use std::fmt;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::Context;
use config::timespan;

use crate::check::{SOCKET, Standing, TARGET};
use crate::exit::{Exit, Failure};
use crate::listener::{Address, Listening};
use crate::output;
use crate::{bus, check, clock, rollout};

/// Restarts the cluster if it has to, and says what that costs.
pub(crate) async fn run() -> anyhow::Result<Exit> {
    let seen = look(Exit::Refused)?;
    if seen.is_stopped {
        return read_for_the_next_start();
    }
    refuse_what_would_come_back_worse(&seen.listening)?;
    refuse_what_cannot_be_seen(&seen.listening)?;
    refuse_in_a_rollout(&seen).await?;
    // If systemd listens on all addresses, reading the unit again drops no listener that is wanted.
    let seen = if seen.listening.lost.is_empty() { read_again()? } else { seen };
    if seen.listening.lost.is_empty() {
        return nothing_to_do(&seen.listening);
    }
    refuse_what_cannot_be_had(&seen)?;
    restart(&seen.listening)
}

/// An error has the exit status `exit`, which says whether anything was done before.
fn look(exit: Exit) -> anyhow::Result<Standing> {
    check::standing().map_err(|error| Failure::new(exit, format!("{error:#}")).into())
}

/// A restart would start a stopped cluster, so this only makes systemd read the unit. No listener is open that
/// this could drop.
fn read_for_the_next_start() -> anyhow::Result<Exit> {
    systemctl(&["daemon-reload"])?;
    output::print(&format!(
        "{TARGET} is stopped; once it starts, systemd listens where {SOCKET} says: `systemctl start {TARGET}`\n"
    ))?;
    Ok(Exit::Done)
}

/// If this process cannot tell whether systemd listens on an address, it cannot tell what has to be done.
fn refuse_what_cannot_be_seen(seen: &Listening) -> Result<(), Failure> {
    let Some(address) = seen.unknown.first() else { return Ok(()) };
    Err(refused(format!("cannot tell whether systemd listens on {address}")))
}

fn refuse_what_would_come_back_worse(seen: &Listening) -> Result<(), Failure> {
    let hindrances = check::hindrances(!seen.served.is_empty());
    if hindrances.is_empty() {
        return Ok(());
    }
    let message = format!("{hindrances}nothing was stopped; fix that first");
    Err(Failure::new(Exit::Configuration, message))
}

/// The restarted cluster would run whichever release the rollout had reached, and would forget a pause.
async fn refuse_in_a_rollout(seen: &Standing) -> Result<(), Failure> {
    let asked = async {
        let cluster = bus::connect().await.map_err(|failure| failure.message)?;
        match clock::within(bus::ANSWER_TIMEOUT, is_under_way(&cluster)).await {
            Some(Ok(is_under_way)) => Ok(is_under_way),
            // An orchestrator that is about to start continues the previous one's rollout, if there are workers.
            Some(Err(error))
                if bus::is_absence(&error)
                    && (seen.is_without_orchestrator || seen.listening.served.is_empty()) =>
            {
                Ok(false)
            }
            Some(Err(error)) => Err(bus::failure(error).message),
            None => Err("the orchestrator does not answer".to_owned()),
        }
    };
    match asked.await {
        Ok(false) => Ok(()),
        Ok(true) => Err(Failure::new(
            Exit::Refused,
            "a rollout is running, and nothing was stopped; wait until it has ended (`app-cluster status`), or end it with \
             `app-cluster abort`",
        )),
        Err(why) => Err(refused(format!("cannot tell whether a rollout is running: {why}"))),
    }
}

/// Whether a rollout runs, or continues as soon as the workers are ready.
async fn is_under_way(cluster: &api::Cluster) -> Result<bool, api::Error> {
    match rollout::running(cluster).await {
        Err(api::Error::NoRollout(_)) => {
            let history = cluster.history().await?;
            let last = history.iter().max_by_key(|rollout| rollout.begun_usec);
            Ok(last.is_some_and(|rollout| !rollout.state.has_ended()))
        }
        running => running.map(|_| true),
    }
}

fn read_again() -> anyhow::Result<Standing> {
    systemctl(&["daemon-reload"])?;
    look(Exit::Failed)
}

fn nothing_to_do(seen: &Listening) -> anyhow::Result<Exit> {
    let rest = match seen.left.is_empty() {
        true => "nothing to do".to_owned(),
        false => {
            format!("workers still serve {}; `systemctl reload app-cluster` ends that", list(&seen.left))
        }
    };
    output::print(&format!("systemd listens on {}: {rest}\n", list(&seen.handed)))?;
    Ok(Exit::Done)
}

/// If systemd cannot have one of the addresses, it opens none. So this is checked before anything is stopped.
fn refuse_what_cannot_be_had(seen: &Standing) -> Result<(), Failure> {
    let Standing { listening, binds_freely, .. } = seen;
    let is_absent = |address: &&Address| !binds_freely && !address.is_of_this_machine();
    let why = if let Some(address) = listening.taken.first() {
        format!("{address}: another program listens there, and `ss -lxtnp` shows which (change the address")
    } else if let Some((one, other)) = conflict(&[&listening.handed[..], &listening.lost].concat()) {
        format!(
            "{one} and {other} at once: one includes the other (write an empty `ListenStream=` first, and the addresses below it,"
        )
    } else if let Some(address) = listening.lost.iter().find(is_absent) {
        format!(
            "{address}: this machine has no such address (change it, or write `FreeBind=yes` if it comes later,"
        )
    } else if let Some(address) = listening.lost.iter().find(|address| address.is_at_a_file()) {
        format!(
            "{address}: the file there is not a socket, and systemd would remove it (move it, or change the address"
        )
    } else {
        return Ok(());
    };
    Err(refused(format!("systemd cannot listen on {why} with `systemctl edit {SOCKET}`)")))
}

fn conflict(addresses: &[Address]) -> Option<(&Address, &Address)> {
    let pairs = addresses
        .iter()
        .enumerate()
        .flat_map(|(at, one)| addresses[at + 1..].iter().map(move |other| (one, other)));
    pairs.into_iter().find(|(one, other)| one.excludes(other))
}

fn restart(before: &Listening) -> anyhow::Result<Exit> {
    output::print(&format!(
        "restarting {TARGET} to listen on {}: the workers finish the requests in progress, and connections are refused until \
         systemd listens again\n",
        list(&[&before.handed[..], &before.lost].concat())
    ))?;
    let begun = Instant::now();
    systemctl(&["daemon-reload"])?;
    systemctl(&["restart", TARGET])?;
    // Workers that failed because they had no listener would stay failed: systemd does not start them again, and a
    // restart of the target affects only units that run.
    systemctl(&["reset-failed", "worker@*.service"])?;
    let took = begun.elapsed();
    let seen = look(Exit::Failed)?.listening;
    if !seen.lost.is_empty() {
        let message = format!(
            "systemd does not listen on {} and keeps trying: `journalctl -u {SOCKET} -n 20` says why",
            list(&seen.lost)
        );
        return Err(Failure::new(Exit::Failed, message).into());
    }
    let took = timespan::format(Duration::from_millis(u64::try_from(took.as_millis()).unwrap_or(u64::MAX)));
    output::print(&format!("systemd listens on {}; the restart took {took}\n", list(&seen.handed)))?;
    Ok(Exit::Done)
}

fn systemctl(arguments: &[&str]) -> anyhow::Result<()> {
    let status = Command::new("systemctl").args(arguments).status().context("cannot run systemctl")?;
    let todo =
        || format!("`systemctl {}` failed; `journalctl -u {SOCKET} -n 20` says why", arguments.join(" "));
    if status.success() { Ok(()) } else { Err(Failure::new(Exit::Failed, todo()).into()) }
}

/// A refusal that also says how to restart the cluster without these checks.
fn refused(message: impl fmt::Display) -> Failure {
    Failure::new(
        Exit::Refused,
        format!(
            "{message}; nothing was stopped. `systemctl daemon-reload && systemctl restart {TARGET}` skips these checks; \
             if systemd then cannot listen, the cluster serves nothing"
        ),
    )
}

fn list(addresses: &[Address]) -> String {
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
