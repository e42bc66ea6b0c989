//! Compares what systemd has loaded and runs with the files. This needs a running systemd, so it does not apply to an
//! image.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;
use config::drop_in;

use super::demand;
use super::problem::{Findings, Problem};
use super::started;
use super::unit::Unit;
use super::units::{SERVICE, SOCKET, TARGET, Units, WORKER, is_same};
use crate::listener::{self, Address, Holders, Listening};

/// The label of an address that systemd does not hold.
pub(super) const LISTENER: &str = "listener";
/// The label of a socket that systemd could not open.
pub(super) const SOCKET_FAILED: &str = "socket-failed";
/// The label of files that systemd has not read.
pub(super) const DAEMON_RELOAD: &str = "daemon-reload";

/// What `systemctl show` says about one unit. A property with several lines is one text with several lines.
#[derive(Debug, Default, Clone)]
pub(super) struct Shown(HashMap<String, String>);

impl Shown {
    pub(super) fn get(&self, property: &str) -> &str {
        self.0.get(property).map_or("", String::as_str)
    }

    fn is_running(&self) -> bool {
        matches!(self.get("ActiveState"), "active" | "activating" | "reloading" | "deactivating")
    }

    fn has_job(&self) -> bool {
        !matches!(self.get("Job"), "" | "0")
    }

    /// Whether it does not run, or is about to end. `systemctl stop` of the target may return before its parts have
    /// ended.
    fn is_ending(&self) -> bool {
        !self.is_running() || self.get("ActiveState") == "deactivating" || self.has_job()
    }

    /// The units in the output of `systemctl show`. Each is a block of lines.
    fn parse(text: &str) -> Vec<Self> {
        let unit = |block: &str| {
            let mut properties = HashMap::<String, String>::new();
            for (name, value) in block.lines().filter_map(|line| line.split_once('=')) {
                let line = properties.entry(name.to_owned()).and_modify(|text| text.push('\n')).or_default();
                line.push_str(value);
            }
            Self(properties)
        };
        text.split("\n\n").map(unit).filter(|shown| !shown.0.is_empty()).collect()
    }

    /// The addresses that systemd has loaded for a socket unit.
    fn addresses(&self) -> Vec<Address> {
        let lines = self.get("Listen").lines();
        lines.filter_map(|line| Address::parse(line.strip_suffix(" (Stream)")?)).collect()
    }
}

/// Adds what differs between the files and what systemd does.
pub(super) fn check(units: &Units, findings: &mut Findings) {
    // sd_booted(3).
    if !Path::new("/run/systemd/system").is_dir() {
        return findings.not_seen("what runs: systemd does not run here");
    }
    match show() {
        Ok(shown) => {
            findings.extend(not_reloaded(units, &shown));
            findings
                .extend(shown.iter().find(|unit| unit.get("Id") == SERVICE).and_then(started::orchestrator));
            check_listener(units, &shown, findings);
        }
        Err(error) => findings.not_seen(format!("what systemd has loaded and runs: {error}")),
    }
}

/// The units of the cluster.
fn show() -> Result<Vec<Shown>, String> {
    show_units(
        "Id,LoadState,ActiveState,SubState,Result,NeedDaemonReload,DropInPaths,MainPID,NRestarts,ExecMainCode,ExecMainStatus,Job,\
         Listen",
        &[SOCKET, SERVICE, TARGET, "app-cluster.slice", "worker@*.service"],
    )
}

fn show_units(properties: &str, units: &[&str]) -> Result<Vec<Shown>, String> {
    let property = format!("--property={properties}");
    let output = Command::new("systemctl").arg("show").arg(property).args(units).env("LC_ALL", "C").output();
    let output = output.map_err(|error| format!("cannot run systemctl: {error}"))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).trim().to_owned());
    }
    Ok(Shown::parse(&String::from_utf8_lossy(&output.stdout)))
}

/// The addresses of the other socket units.
fn addresses_of_others() -> io::Result<Vec<Address>> {
    let sockets = show_units("Id,ActiveState,Listen", &["*.socket"]).map_err(io::Error::other)?;
    let others = sockets.iter().filter(|unit| unit.get("Id") != SOCKET && unit.is_running());
    Ok(others.flat_map(Shown::addresses).collect())
}

/// systemd itself says when a file has changed. But systemd 252 does not see a drop-in in a new directory. So this
/// compares the drop-ins that systemd has read with those that exist.
fn not_reloaded(units: &Units, shown: &[Shown]) -> Option<Problem> {
    let mut names = Vec::new();
    let mut unread: Vec<PathBuf> = Vec::new();
    for shown in shown.iter().filter(|shown| shown.get("LoadState") == "loaded") {
        let Ok(unit) = Unit::load(&units.directories, shown.get("Id")) else { continue };
        let read: Vec<&Path> = shown.get("DropInPaths").split_whitespace().map(Path::new).collect();
        let is_read = |file: &Path| drop_in::is_masked(file) || read.iter().any(|read| is_same(read, file));
        let news = unit.drop_ins.iter().filter(|file| !is_read(file));
        let news: Vec<_> = news.cloned().collect();
        let is_gone = read.iter().any(|file| !file.exists());
        if shown.get("NeedDaemonReload") == "yes" || !news.is_empty() || is_gone {
            names.push(shown.get("Id").to_owned());
            unread.extend(news);
        }
    }
    unread.sort();
    unread.dedup();
    let files: Vec<_> = unread.iter().map(|file| file.display().to_string()).collect();
    let named = if files.is_empty() { String::new() } else { format!(", with {}", files.join(" and ")) };
    (!names.is_empty()).then(|| {
        // If systemd reads another address, it closes the listener. So `rebind` has to make it read the socket unit.
        // A reload then applies the other units to the workers.
        let todo = match (names.iter().any(|name| name == SOCKET), names.len()) {
            (true, 1) => "`app-cluster rebind`",
            (true, _) => "`app-cluster rebind`, then `systemctl reload app-cluster`",
            (false, _) => "`systemctl daemon-reload`, then `systemctl reload app-cluster`",
        };
        let text = format!(
            "systemd has not read the current files{named} (it still uses the old ones); write {todo}"
        );
        Problem::new(DAEMON_RELOAD, names.join(", "), text)
    })
}

fn check_listener(units: &Units, shown: &[Shown], findings: &mut Findings) {
    let Some(socket) = shown.iter().find(|unit| unit.get("Id") == SOCKET) else { return };
    let workers: Vec<&Shown> =
        shown.iter().filter(|unit| unit.get("Id").starts_with("worker@") && unit.is_running()).collect();
    if socket.get("ActiveState") == "inactive" && workers.is_empty() {
        // The cluster is stopped, so it needs no listener.
        return;
    }
    if socket.get("ActiveState") == "failed" {
        let text = format!(
            "failed with result `{}` (nothing new can connect, and a worker that starts gets no listener); \
             `journalctl -u {SOCKET}` says why, then write `systemctl restart app-cluster.target`",
            socket.get("Result")
        );
        return findings.add(Problem::new(SOCKET_FAILED, SOCKET, text));
    }
    let Some(unit) = units.get(SOCKET) else { return };
    match look(unit, shown) {
        Ok(listening) => {
            findings.extend(not_listening(&listening, unit));
            findings.warnings.extend(still_served(&listening));
            for unknown in not_looked_for(&listening, unit, findings) {
                findings.not_seen(unknown);
            }
        }
        Err(error) => findings.not_seen(format!(
            "whether systemd holds the listener that {SOCKET} and {WORKER} share: {error}; only root can look"
        )),
    }
}

/// The state of the cluster, as far as it matters for its listener.
pub(crate) struct Standing {
    /// Which addresses of the socket unit have a listener.
    pub(crate) listening: Listening,
    /// Whether systemd may listen on an address that this machine does not have (`FreeBind=`, `Transparent=`).
    pub(crate) binds_freely: bool,
    /// Whether the cluster is stopped, or about to be.
    pub(crate) is_stopped: bool,
    /// Whether the orchestrator does not run, and systemd is not about to start it.
    pub(crate) is_without_orchestrator: bool,
}

/// Finds out the state of the cluster.
///
/// # Errors
///
/// The unit cannot be read, systemd does not answer, or this process has no permission.
pub(crate) fn standing() -> anyhow::Result<Standing> {
    let units = Units::load(Path::new("/"));
    let unit = units.get(SOCKET).with_context(|| format!("cannot read {SOCKET}"))?;
    let shown = show().map_err(anyhow::Error::msg)?;
    let of = |name: &str| shown.iter().find(|unit| unit.get("Id") == name).cloned().unwrap_or_default();
    let workers: Vec<&Shown> = shown.iter().filter(|unit| unit.get("Id").starts_with("worker@")).collect();
    Ok(Standing {
        listening: look(unit, &shown)
            .context("cannot find out which process holds the listener; run it as root")?,
        binds_freely: ["FreeBind", "Transparent"]
            .iter()
            .any(|key| unit.last("Socket", key).and_then(|at| demand::boolean(&at.value)) == Some(true)),
        is_stopped: !of(TARGET).is_running()
            && !of(TARGET).has_job()
            && [SOCKET, SERVICE].iter().all(|name| of(name).is_ending())
            && workers.iter().all(|worker| worker.is_ending()),
        is_without_orchestrator: !of(SERVICE).is_running(),
    })
}

fn look(unit: &Unit, shown: &[Shown]) -> io::Result<Listening> {
    let named: Vec<String> = unit.list("Socket", "ListenStream").iter().map(|at| at.value.clone()).collect();
    let of = |is_it: fn(&str) -> bool| shown.iter().filter(move |unit| is_it(unit.get("Id")));
    let pid = |unit: &Shown| unit.get("MainPID").parse().ok().filter(|pid| *pid != 0);
    let holders = Holders {
        loaded: of(|id| id == SOCKET).flat_map(Shown::addresses).collect(),
        of_others: addresses_of_others()?,
        workers: of(|id| id.starts_with("worker@")).filter_map(pid).collect(),
        orchestrator: of(|id| id == SERVICE).find_map(pid),
    };
    listener::look(&named, &holders)
}

/// What the unit names and this check does not look for, unless systemd already said that it is not an address.
fn not_looked_for(listening: &Listening, unit: &Unit, findings: &Findings) -> Vec<String> {
    let lines = unit.list("Socket", "ListenStream");
    let unknown =
        lines.iter().filter(|at| listening.unknown.contains(&at.value) && !findings.has(&at.place()));
    unknown.map(|at| format!("{}: whether systemd listens on {}", at.place(), at.value)).collect()
}

/// If an address was removed from the unit, workers that were started before still serve it.
fn still_served(listening: &Listening) -> Option<String> {
    let left: Vec<String> = listening.left.iter().map(ToString::to_string).collect();
    (listening.lost.is_empty() && !left.is_empty()).then(|| {
        format!(
            "{SOCKET}: workers still serve {}, which it no longer names; `systemctl reload app-cluster` ends that",
            left.join(" and ")
        )
    })
}

fn not_listening(listening: &Listening, unit: &Unit) -> Vec<Problem> {
    listening.lost.iter().map(|lost| not_listening_on(lost, listening, unit)).collect()
}

fn not_listening_on(lost: &Address, listening: &Listening, unit: &Unit) -> Problem {
    let named = |at: &&&super::unit_file::Assignment| Address::parse(&at.value).as_ref() == Some(lost);
    let place =
        unit.list("Socket", "ListenStream").iter().find(named).map_or_else(String::new, |at| at.place());
    let left: Vec<String> = listening.left.iter().map(ToString::to_string).collect();
    let meanwhile = match left.as_slice() {
        [] => "a worker that starts gets no listener there".to_owned(),
        left => format!(
            "workers that run serve {}, and the next one that starts gets no listener",
            left.join(" and ")
        ),
    };
    let text = format!(
        "systemd does not listen on {lost} ({meanwhile}); write `app-cluster rebind`, or put back what was there"
    );
    Problem::new(LISTENER, place, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_units_that_systemctl_shows_are_told_apart() {
        let shown = Shown::parse(
            "Id=app-cluster.socket\nActiveState=active\nListen=127.0.0.1:80 (Stream)\n\
                          Listen=@a (Datagram)\nListen=[::]:81 (Stream)\n\nId=worker@1.service\nMainPID=7\n",
        );
        assert_eq!(shown.len(), 2);
        assert_eq!(
            shown[0].addresses(),
            ["127.0.0.1:80", "[::]:81"].map(|text| Address::parse(text).unwrap())
        );
        assert_eq!(shown[1].get("MainPID"), "7");
        assert!(shown[0].is_running());
        assert_eq!(shown[0].get("Result"), "");
    }
}
