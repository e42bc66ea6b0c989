//! Runs a command in the machine of `cargo xtask up`.

use std::{ffi::OsString, fs, os::unix::process::CommandExt, path::PathBuf};

use anyhow::{Context, Result, bail};

use crate::{host, workspace::Workspace};

/// The file that names the machine's PID 1 while it runs.
pub(crate) fn leader_file(workspace: &Workspace) -> PathBuf {
    workspace.target.join("machines/up")
}

pub(crate) fn run(workspace: &Workspace, command: &[OsString]) -> Result<()> {
    host::ensure_root()?;
    let leader = fs::read_to_string(leader_file(workspace)).unwrap_or_default();
    let comm = fs::read_to_string(format!("/proc/{leader}/comm")).unwrap_or_default();
    let (Ok(leader), "systemd") = (leader.parse(), comm.trim()) else {
        bail!("no machine is running; start one with: cargo xtask up");
    };
    let [program, arguments @ ..] = command else { bail!("there is no command to run") };
    let error = machine::enter(leader, program).args(arguments).exec();
    Err(error).context("failed to run nsenter")
}
