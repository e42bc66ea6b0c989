//! Checks the boundaries between the crates, which the compiler does not check.

use std::{fs, path::Path};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use crate::{tree, workspace::Workspace};

/// The part of `cargo metadata` that is needed here.
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
    /// `None` for a normal dependency, else `dev` or `build`.
    kind: Option<String>,
}

pub(crate) fn check(workspace: &Workspace) -> Result<()> {
    what_decides_depends_on_names_only(workspace)?;
    one_room_speaks_to_systemd(&workspace.root)
}

/// The deciding crate must not have access to a clock, a bus or a disk.
fn what_decides_depends_on_names_only(workspace: &Workspace) -> Result<()> {
    let json = workspace.cargo().args(["metadata", "--no-deps", "--format-version=1"]).quiet().read()?;
    let metadata: Metadata = serde_json::from_str(&json).context("failed to read cargo metadata")?;
    for (name, allowed) in [("cluster", &["names"][..]), ("names", &[])] {
        let package = metadata.packages.iter().find(|package| package.name == name);
        let dependencies = &package.with_context(|| format!("there is no crate {name}"))?.dependencies;
        let built_in = dependencies.iter().filter(|dependency| dependency.kind.as_deref() != Some("dev"));
        let names: Vec<_> = built_in.map(|dependency| dependency.name.as_str()).collect();
        ensure!(
            names == allowed,
            "{name} may depend on {allowed:?} only, but depends on: {}",
            names.join(", ")
        );
    }
    Ok(())
}

/// Only one module of the orchestrator may name systemd's D-Bus interfaces.
fn one_room_speaks_to_systemd(root: &Path) -> Result<()> {
    let orchestrator = root.join("crates/orchestrator/src");
    for file in tree::files(&orchestrator)? {
        let text = fs::read_to_string(&file).with_context(|| format!("failed to read {}", file.display()))?;
        let is_manager = file.starts_with(orchestrator.join("manager")) || file.ends_with("manager.rs");
        ensure!(
            is_manager || !text.contains("\"org.freedesktop.systemd1"),
            "only manager.rs and manager/ may name systemd's interfaces, but {} does too",
            file.strip_prefix(root)?.display()
        );
    }
    Ok(())
}
