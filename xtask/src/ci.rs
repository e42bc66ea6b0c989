//! Everything that a change must pass, the quick checks first.

use std::{fs, thread};

use anyhow::{Context, Result, bail, ensure};
use machine::Suite;
use xshell::cmd;

use crate::{
    deb, faults, host, interface, purity, test, tools, words,
    workspace::{VERSION, Workspace},
};

pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    host::install(&workspace.shell, host::TO_BUILD)?;
    host::ensure_root()?;
    host::install(&workspace.shell, host::TO_BOOT)?;
    step("format");
    tools::ensure_components(workspace)?;
    workspace.cargo().args(["fmt", "--all", "--check"]).run()?;
    step("words");
    words::run(workspace)?;
    // Made while other things compile: mmdebstrap mostly waits for its mirror.
    let trees = thread::spawn(make_trees);
    let checked = check(workspace);
    let made = trees.join().unwrap_or_else(|_| bail!("making the Debian trees panicked"));
    checked?;
    made?;
    step("tests");
    test::run(workspace, &test::Options::default())
}

/// The trees that machines start from.
fn make_trees() -> Result<()> {
    Suite::ALL.into_iter().try_for_each(|suite| suite.tree().map(drop))
}

/// Everything except the tests.
fn check(workspace: &Workspace) -> Result<()> {
    step("lints");
    lints(workspace)?;
    step("documentation");
    documentation(workspace)?;
    step("interfaces of the libraries");
    interface::run(workspace, &interface::Options::default())?;
    step("borders between crates, faults of the past, changelog");
    purity::check(workspace)?;
    faults::check(workspace)?;
    changelog(workspace)?;
    step("dependencies");
    dependencies(workspace)?;
    step("package");
    package(workspace)
}

fn step(name: &str) {
    eprintln!("\n=== {name}");
}

fn lints(workspace: &Workspace) -> Result<()> {
    let clippy = ["clippy", "--quiet", "--workspace", "--all-targets", "--", "-D", "warnings"];
    Ok(workspace.cargo().args(clippy).run()?)
}

fn documentation(workspace: &Workspace) -> Result<()> {
    let doc = ["doc", "--quiet", "--workspace", "--no-deps"];
    Ok(workspace.cargo().args(doc).env("RUSTDOCFLAGS", "-D warnings").run()?)
}

/// The top entry of the changelog must be about this version.
fn changelog(workspace: &Workspace) -> Result<()> {
    let text =
        fs::read_to_string(workspace.root.join("CHANGELOG.md")).context("failed to read CHANGELOG.md")?;
    let top = text.lines().find(|line| line.starts_with("## ")).context("CHANGELOG.md has no entry")?;
    let names_version = top.split(|c: char| !c.is_ascii_digit() && c != '.').any(|word| word == VERSION);
    ensure!(names_version, "the top entry of CHANGELOG.md is {top:?}, the version is {VERSION}");
    Ok(())
}

/// Checks duplicates, licenses and sources. deny.toml says why advisories are not checked.
fn dependencies(workspace: &Workspace) -> Result<()> {
    let deny = tools::cargo_deny(workspace)?;
    let shell = &workspace.shell;
    Ok(cmd!(shell, "{deny} --locked check bans licenses sources").run()?)
}

/// Checks the package with lintian. A promise checks its units with systemd (`units_are_clean`).
fn package(workspace: &Workspace) -> Result<()> {
    let shell = &workspace.shell;
    let package = deb::build(workspace, &deb::Options::default())?;
    host::install(shell, &["lintian"])?;
    Ok(cmd!(shell, "lintian --allow-root --tag-display-limit 0 --fail-on error,warning {package}").run()?)
}
