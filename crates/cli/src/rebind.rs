//! `app-cluster rebind`: has systemd listen where the socket unit says.
//!
//! systemd opens the addresses of a socket unit when that starts, and never while workers hold what it had. So the whole
//! cluster is restarted, once it is known that it can come back.

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

/// Does it, and says what it costs.
pub(crate) async fn run() -> anyhow::Result<Exit> {
    let seen = look(Exit::Refused)?;
    if seen.is_stopped {
        return read_for_the_next_start();
    }
    refuse_what_would_come_back_worse(&seen.listening)?;
    refuse_what_cannot_be_seen(&seen.listening)?;
    refuse_in_a_rollout(&seen).await?;
    // Where systemd listens on all of them, reading the unit drops no listener that is wanted.
    let seen = if seen.listening.lost.is_empty() { read_again()? } else { seen };
    if seen.listening.lost.is_empty() {
        return nothing_to_do(&seen.listening);
    }
    refuse_what_cannot_be_had(&seen)?;
    restart(&seen.listening)
}

/// An error ends with `exit`, which tells whether anything was done before.
fn look(exit: Exit) -> anyhow::Result<Standing> {
    check::standing().map_err(|error| Failure::new(exit, format!("{error:#}")).into())
}

/// To restart a cluster that was stopped is to start it. Nothing is held, so reading the unit costs nothing.
fn read_for_the_next_start() -> anyhow::Result<Exit> {
    systemctl(&["daemon-reload"])?;
    output::print(&format!(
        "{TARGET} does not run; its next start listens where {SOCKET} says: `systemctl start {TARGET}`\n"
    ))?;
    Ok(Exit::Done)
}

/// Whether systemd listens there is not known, so neither is whether anything has to be done.
fn refuse_what_cannot_be_seen(seen: &Listening) -> Result<(), Failure> {
    let Some(address) = seen.unknown.first() else { return Ok(()) };
    Err(refused(format!("whether systemd listens on {address} cannot be seen")))
}

fn refuse_what_would_come_back_worse(seen: &Listening) -> Result<(), Failure> {
    let hindrances = check::hindrances(!seen.served.is_empty());
    if hindrances.is_empty() {
        return Ok(());
    }
    let message = format!("{hindrances}nothing was stopped; change that first");
    Err(Failure::new(Exit::Configuration, message))
}

/// The cluster would start anew on whatever release the rollout has come to, and a pause would be forgotten.
async fn refuse_in_a_rollout(seen: &Standing) -> Result<(), Failure> {
    let asked = async {
        let cluster = bus::connect().await.map_err(|failure| failure.message)?;
        match clock::within(bus::ANSWER_TIMEOUT, is_under_way(&cluster)).await {
            Some(Ok(is_under_way)) => Ok(is_under_way),
            // An orchestrator that is about to come goes on with the rollout of the one before, if there are workers.
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
            "a rollout is under way, and nothing was stopped; wait for its end (`app-cluster status`), or end it with \
             `app-cluster abort`",
        )),
        Err(why) => Err(refused(format!("whether a rollout is under way is not known: {why}"))),
    }
}

/// Whether a rollout runs, or is gone on with as soon as the workers are ready.
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
        false => format!("`systemctl reload app-cluster` ends what workers still do on {}", list(&seen.left)),
    };
    output::print(&format!("systemd listens on {}: {rest}\n", list(&seen.handed)))?;
    Ok(Exit::Done)
}

/// One address that systemd cannot have costs all of them, so that is found before anything is stopped.
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
            "{address}: what lies there is no socket, and systemd would remove it (move it, or change the address"
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
        "{TARGET} is restarted, to listen on {}: the workers answer what they have begun, and connections are refused until \
         systemd listens again\n",
        list(&[&before.handed[..], &before.lost].concat())
    ))?;
    let begun = Instant::now();
    systemctl(&["daemon-reload"])?;
    systemctl(&["restart", TARGET])?;
    // Workers that failed for want of a listener would stay so: systemd starts them no more, and restarts only what runs.
    systemctl(&["reset-failed", "worker@*.service"])?;
    let took = begun.elapsed();
    let seen = look(Exit::Failed)?.listening;
    if !seen.lost.is_empty() {
        let message = format!(
            "systemd does not listen on {}, and tries it again and again: `journalctl -u {SOCKET} -n 20` says why",
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

/// Nothing was stopped. There is a way for those who know better.
fn refused(message: impl fmt::Display) -> Failure {
    Failure::new(
        Exit::Refused,
        format!(
            "{message}; nothing was stopped. `systemctl daemon-reload && systemctl restart {TARGET}` does not ask; if systemd then \
             cannot listen, nothing is served"
        ),
    )
}

fn list(addresses: &[Address]) -> String {
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
