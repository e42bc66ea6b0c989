//! The rings of tests, from the inside out: units, the private user manager, booted machines.

use std::{fs, path::PathBuf};

use anyhow::{Result, ensure};

use crate::{
    deb, demo, fuzz, host, simulate,
    workspace::{VERSION, Workspace},
};

#[derive(Debug, Clone, Copy, Default, clap::Args)]
pub(crate) struct Options {
    /// As many requests and rounds as the promises name
    #[arg(long, conflicts_with = "quick")]
    full: bool,
    /// Without booted machines
    #[arg(long)]
    quick: bool,
}

/// Promises that measure milliseconds, or need the processors: no other may run meanwhile.
const MEASURING: [&str; 4] = [
    "attacks_harm_nobody",
    "connections_are_spread",
    "killed_worker_is_replaced",
    "orchestrator_is_light_at_rest",
];

pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    host::install(&workspace.shell, host::TO_BUILD)?;
    host::install(&workspace.shell, host::TO_TEST)?;
    simulate::quick(workspace)?;
    if options.full {
        fuzz::run(workspace, &fuzz::Options::default())?;
    }
    if options.quick {
        return test(workspace, &["--workspace", "--exclude=machine", "--exclude=promises"]);
    }
    let packages = Packages::build(workspace)?;
    let client = demo::client(workspace)?;
    let attacker = attacker(workspace)?;
    host::ensure_root()?;
    host::install(&workspace.shell, host::TO_BOOT)?;

    let shell = &workspace.shell;
    let _environment = [
        shell.push_env("APP_CLUSTER_DEB_OLD", packages.old),
        shell.push_env("APP_CLUSTER_DEB_NEW", packages.new),
        shell.push_env("APP_CLUSTER_CLIENT", client),
        shell.push_env("APP_CLUSTER_ATTACKER", attacker),
        shell.push_env("APP_CLUSTER_MORTAL_ORCHESTRATOR", mortal_orchestrator(workspace)?),
        shell.push_env("APP_CLUSTER_COUNTS", if options.full { "full" } else { "ci" }),
    ];
    let (measuring, others): (Vec<_>, Vec<_>) =
        promises(workspace)?.into_iter().partition(|promise| MEASURING.contains(&promise.as_str()));
    ensure!(measuring.len() == MEASURING.len(), "these promises are no more: {MEASURING:?}");
    // All of them, whatever failed before.
    let rings = [
        test(workspace, &["--workspace", "--exclude=promises"]),
        test_promises(workspace, &others, "--test-threads=3"),
        test_promises(workspace, &measuring, "--test-threads=1"),
    ];
    rings.into_iter().collect()
}

/// Runs these promises. They are chosen by target and not by package, for which cargo would build all
/// dependencies anew, with fewer features.
fn test_promises(workspace: &Workspace, promises: &[String], threads: &str) -> Result<()> {
    let mut arguments = vec!["--workspace"];
    arguments.extend(promises.iter().flat_map(|promise| ["--test", promise.as_str()]));
    arguments.extend(["--", threads]);
    test(workspace, &arguments)
}

/// The promises by name: one file each.
fn promises(workspace: &Workspace) -> Result<Vec<String>> {
    let mut promises = Vec::new();
    for entry in fs::read_dir(workspace.root.join("tests/promises/tests"))? {
        if let Some(name) = entry?.file_name().to_string_lossy().strip_suffix(".rs") {
            promises.push(name.to_owned());
        }
    }
    promises.sort();
    Ok(promises)
}

/// Runs `cargo test` with these arguments; the summary is the test runner's own.
fn test(workspace: &Workspace, arguments: &[&str]) -> Result<()> {
    let runner = arguments.iter().position(|argument| *argument == "--").unwrap_or(arguments.len());
    // Built by whoever owns the target directory, run by root.
    workspace.cargo().args(["test", "--no-run", "--quiet"]).args(&arguments[..runner]).run()?;
    workspace.cargo_as_root().args(["test", "--no-fail-fast"]).args(arguments).run()?;
    Ok(())
}

fn attacker(workspace: &Workspace) -> Result<PathBuf> {
    workspace.cargo().args(["build", "--release", "-p", "attacker"]).run()?;
    Ok(workspace.release("attacker"))
}

/// Builds the orchestrator that dies where a test says so, and puts it where no other build replaces it.
fn mortal_orchestrator(workspace: &Workspace) -> Result<PathBuf> {
    let build = ["build", "--quiet", "-p", "orchestrator", "--features", "fault-points"];
    workspace.cargo().args(build).run()?;
    let mortal = workspace.target.join("mortal-orchestrator");
    fs::copy(workspace.target.join("debug/app-cluster-orchestrator"), &mortal)?;
    Ok(mortal)
}

/// What the promises install and upgrade.
struct Packages {
    old: PathBuf,
    new: PathBuf,
}

impl Packages {
    fn build(workspace: &Workspace) -> Result<Self> {
        let build = |version: String| deb::build(workspace, &deb::Options { version: Some(version) });
        Ok(Self { old: build(VERSION.to_owned())?, new: build(next_version())? })
    }
}

/// The patch release after the source's own.
fn next_version() -> String {
    let (major, minor) = (env!("CARGO_PKG_VERSION_MAJOR"), env!("CARGO_PKG_VERSION_MINOR"));
    let patch: u32 = env!("CARGO_PKG_VERSION_PATCH").parse().unwrap_or(0);
    format!("{major}.{minor}.{}", patch + 1)
}
