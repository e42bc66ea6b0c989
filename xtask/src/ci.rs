//! Everything that a change must pass, the quick checks first.

use std::fs;

use anyhow::{Context, Result, bail, ensure};
use machine::{Machine, Suite};
use xshell::cmd;

use crate::{
    deb, host, interface, purity, test, tools,
    workspace::{VERSION, Workspace},
};

pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    host::install(&workspace.shell, host::TO_BUILD)?;
    step("format and lints");
    tools::ensure_components(workspace)?;
    format_and_lints(workspace)?;
    step("documentation");
    documentation(workspace)?;
    step("interfaces of the libraries");
    interface::run(workspace, &interface::Options::default())?;
    step("borders between crates, changelog");
    purity::check(workspace)?;
    changelog(workspace)?;
    step("dependencies");
    dependencies(workspace)?;
    step("package");
    package(workspace)?;
    step("tests");
    test::run(workspace, &test::Options::default())
}

fn step(name: &str) {
    eprintln!("\n=== {name}");
}

fn format_and_lints(workspace: &Workspace) -> Result<()> {
    workspace.cargo().args(["fmt", "--all", "--check"]).run()?;
    let clippy = ["clippy", "--quiet", "--workspace", "--all-targets", "--", "-D", "warnings"];
    Ok(workspace.cargo().args(clippy).run()?)
}

fn documentation(workspace: &Workspace) -> Result<()> {
    let doc = ["doc", "--quiet", "--workspace", "--no-deps"];
    Ok(workspace.cargo().args(doc).env("RUSTDOCFLAGS", "-D warnings").run()?)
}

/// The changelog begins with what this version is about.
fn changelog(workspace: &Workspace) -> Result<()> {
    let text =
        fs::read_to_string(workspace.root.join("CHANGELOG.md")).context("failed to read CHANGELOG.md")?;
    let top = text.lines().find(|line| line.starts_with("## ")).context("CHANGELOG.md has no entry")?;
    let names_version = top.split(|c: char| !c.is_ascii_digit() && c != '.').any(|word| word == VERSION);
    ensure!(names_version, "the top entry of CHANGELOG.md is {top:?}, the version is {VERSION}");
    Ok(())
}

/// Duplicates, licenses and sources. Why no advisories: see deny.toml.
fn dependencies(workspace: &Workspace) -> Result<()> {
    let deny = tools::cargo_deny(workspace)?;
    let shell = &workspace.shell;
    Ok(cmd!(shell, "{deny} --locked check bans licenses sources").run()?)
}

/// The package pleases lintian, and its units please the systemd of every suite it is meant for.
fn package(workspace: &Workspace) -> Result<()> {
    let shell = &workspace.shell;
    let package = deb::build(workspace, &deb::Options::default())?;
    host::ensure_root()?;
    host::install(shell, host::TO_BOOT)?;
    host::install(shell, &["lintian"])?;
    cmd!(shell, "lintian --allow-root --tag-display-limit 0 --fail-on error,warning {package}").run()?;
    for suite in Suite::ALL {
        eprintln!("systemd-analyze verify in {suite}");
        verify_units(suite, &package)?;
    }
    Ok(())
}

fn verify_units(suite: Suite, package: &std::path::Path) -> Result<()> {
    let machine = Machine::boot(suite);
    machine.install(package).into_success()?;
    let units = ["service", "socket", "target", "slice"].map(|kind| format!("app-cluster.{kind}"));
    // A machine without man-db could not tell whether the man pages exist.
    let verify = ["systemd-analyze", "verify", "--man=no", "worker@1.service"];
    let verdict = machine.run(verify.into_iter().chain(units.iter().map(String::as_str)));
    // Of a warning the exit status says nothing.
    if !verdict.text().trim().is_empty() {
        bail!("systemd has objections to the units:\n{verdict}");
    }
    verdict.into_success()?;
    Ok(())
}
