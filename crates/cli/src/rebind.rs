//! `app-cluster rebind`: has systemd listen where the socket unit says.
//!
//! systemd opens the addresses of a socket unit when that starts, and never while workers hold what it had. So the whole
//! cluster is restarted, once it is known that it can come back.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::Context;
use config::timespan;

use crate::check::{SOCKET, TARGET};
use crate::exit::{Exit, Failure};
use crate::listener::{Address, Listening};
use crate::output;
use crate::{bus, check, clock, rollout};

/// Does it, and says what it costs.
pub(crate) async fn run() -> anyhow::Result<Exit> {
    let seen = look()?;
    refuse_unless_it_runs()?;
    refuse_what_would_come_back_worse(&seen)?;
    refuse_in_a_rollout().await?;
    // Where the addresses are the same, reading the unit costs nothing, unless PID 1 drops the listener for it.
    let seen = if seen.lost.is_empty() { read_again()? } else { seen };
    if seen.lost.is_empty() {
        return nothing_to_do(&seen);
    }
    refuse_what_is_taken(&seen)?;
    let wanted = [&seen.handed[..], &seen.lost].concat();
    output::print(&format!(
        "{TARGET} is restarted, to listen on {}: the workers answer what they have begun, and connections are refused until \
         systemd listens again\n",
        list(&wanted)
    ))?;
    restart()
}

fn look() -> anyhow::Result<Listening> {
    check::listening().map_err(|error| refused(format!("{error:#}")).into())
}

/// To restart a cluster that was stopped is to start it.
fn refuse_unless_it_runs() -> anyhow::Result<()> {
    let show = ["show", "--property=ActiveState", "--value", TARGET];
    let output = Command::new("systemctl").args(show).output().context("cannot run systemctl")?;
    if output.stdout.trim_ascii() == b"inactive" {
        let todo = format!("its next start listens on what {SOCKET} names: `systemctl start {TARGET}`");
        return Err(refused(format!("{TARGET} does not run; {todo}")).into());
    }
    Ok(())
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
async fn refuse_in_a_rollout() -> Result<(), Failure> {
    let asked = async {
        let cluster = bus::connect().await.map_err(|failure| failure.message)?;
        match clock::within(bus::ANSWER_TIMEOUT, rollout::running(&cluster)).await {
            Some(Ok(_)) => Ok(true),
            Some(Err(api::Error::NoRollout(_))) => Ok(false),
            // Who does not run has none under way.
            Some(Err(error)) if bus::is_absence(&error) => Ok(false),
            Some(Err(error)) => Err(bus::failure(error).message),
            None => Err("the orchestrator does not answer".to_owned()),
        }
    };
    match asked.await {
        Ok(false) => Ok(()),
        Ok(true) => Err(refused(
            "a rollout is under way, and nothing was stopped; wait for its end (`app-cluster status`), or end it with \
             `app-cluster abort`",
        )),
        Err(why) => Err(refused(format!(
            "whether a rollout is under way is not known: {why}; nothing was stopped; `systemctl restart {TARGET}` does not ask"
        ))),
    }
}

fn read_again() -> anyhow::Result<Listening> {
    systemctl(&["daemon-reload"])?;
    look()
}

fn nothing_to_do(seen: &Listening) -> anyhow::Result<Exit> {
    let rest = match seen.left.is_empty() {
        true => "nothing to do".to_owned(),
        false => format!("`systemctl reload app-cluster` ends what workers still do on {}", list(&seen.left)),
    };
    let mut text = format!("systemd listens on {}: {rest}\n", list(&seen.handed));
    for address in &seen.unknown {
        text += &format!("not looked at: {address}; `systemctl restart {TARGET}` has systemd listen there\n");
    }
    output::print(&text)?;
    Ok(Exit::Done)
}

/// What another program has is found before anything is stopped. What else keeps systemd from listening may change with
/// the time, or is no hindrance for it (`FreeBind=`, `Transparent=`).
fn refuse_what_is_taken(seen: &Listening) -> Result<(), Failure> {
    let is_ours = |address: &Address| seen.served.iter().any(|served| address.shares_its_port_with(served));
    let taken: Vec<&Address> =
        seen.lost.iter().filter(|address| !is_ours(address) && address.is_taken()).collect();
    let Some(address) = taken.first() else { return Ok(()) };
    Err(refused(format!(
        "systemd cannot listen on {address}: another program listens there, `ss -ltnp` shows which; nothing was stopped; \
         change it with `systemctl edit {SOCKET}`"
    )))
}

fn restart() -> anyhow::Result<Exit> {
    let begun = Instant::now();
    systemctl(&["daemon-reload"])?;
    systemctl(&["restart", TARGET])?;
    let took = begun.elapsed();
    let seen = look()?;
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

fn refused(message: impl Into<String>) -> Failure {
    Failure::new(Exit::Refused, message)
}

fn list(addresses: &[Address]) -> String {
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
