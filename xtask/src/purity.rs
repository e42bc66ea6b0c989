//! The borders between the crates, which no compiler sees.

use std::{fs, path::Path};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use crate::{tree, workspace::Workspace};

/// As much of `cargo metadata` as is needed here.
#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    /// `None` for what is built into the crate, else `dev` or `build`.
    kind: Option<String>,
}

pub(crate) fn check(workspace: &Workspace) -> Result<()> {
    rollout_depends_on_nothing(workspace)?;
    one_file_speaks_to_systemd(&workspace.root)
}

/// What decides must not be able to look at a clock, a bus or a disk.
fn rollout_depends_on_nothing(workspace: &Workspace) -> Result<()> {
    let json = workspace.cargo().args(["metadata", "--no-deps", "--format-version=1"]).quiet().read()?;
    let metadata: Metadata = serde_json::from_str(&json).context("failed to read cargo metadata")?;
    let rollout = metadata.packages.iter().find(|package| package.name == "rollout");
    let dependencies = &rollout.context("there is no crate rollout")?.dependencies;
    let built_in = dependencies.iter().filter(|dependency| dependency.kind.as_deref() != Some("dev"));
    let names: Vec<_> = built_in.map(|dependency| dependency.name.as_str()).collect();
    ensure!(names.is_empty(), "rollout must have no dependencies, it has: {}", names.join(", "));
    Ok(())
}

/// The proxies of systemd's D-Bus interface are named in one file of the orchestrator.
fn one_file_speaks_to_systemd(root: &Path) -> Result<()> {
    let mut speaking = Vec::new();
    for file in tree::files(&root.join("crates/orchestrator/src"))? {
        let text = fs::read_to_string(&file).with_context(|| format!("failed to read {}", file.display()))?;
        if text.contains("zbus::proxy") || text.contains("Proxy") {
            speaking.push(file.strip_prefix(root)?.display().to_string());
        }
    }
    ensure!(
        speaking == ["crates/orchestrator/src/manager.rs"],
        "only manager.rs may name D-Bus proxies, these do: {}",
        speaking.join(", ")
    );
    Ok(())
}
