//! Puts known faults back into the deciding crate. The simulator has to find each of them.
//!
//! A fault is a patch in `tests/simulator/faults`. Its first line says what is wrong. A line `Breaks: LAW`
//! names the simulator's law that no longer holds.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use xshell::cmd;

use crate::{simulate, tree, workspace::Workspace};

/// The crates that the simulator is built from.
const CRATES: [&str; 3] = ["crates/cluster", "crates/names", "tests/simulator"];

const MEMBERS: &str = "members = [\"crates/*\", \"tests/simulator\"]";

/// How many schedules to try, first and then at most, to find a fault.
const SCHEDULES: [u64; 2] = [20_000, 200_000];

#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct Options {
    /// Only faults whose name contains one of these
    #[arg(value_name = "NAME")]
    names: Vec<String>,
}

/// How many schedules break each law.
type Broken = BTreeMap<String, u64>;

pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let seed = simulate::of_commit(workspace).unwrap_or_else(simulate::from_clock);
    let sandbox = Sandbox { workspace, root: workspace.target.join("faults") };
    sandbox.renew()?;
    let sound: Vec<Broken> =
        SCHEDULES.into_iter().map(|n| sandbox.simulate(seed, n)).collect::<Result<_>>()?;
    let mut missed = Vec::new();
    for patch in patches(&workspace.root, &options.names)? {
        let fault = Fault::read(&patch)?;
        sandbox.renew()?;
        sandbox.apply(&patch)?;
        let mut found = None;
        for (schedules, sound) in SCHEDULES.into_iter().zip(&sound) {
            let of = |broken: &Broken| broken.get(&fault.law).copied().unwrap_or(0);
            let (with, without) = (of(&sandbox.simulate(seed, schedules)?), of(sound));
            println!(
                "{}: {with} of {schedules} schedules break \"{}\", {without} without it",
                fault.name, fault.law
            );
            // Two or three of them may be chance.
            if with > 3 * without + 2 {
                found = Some(schedules);
                break;
            }
        }
        missed.extend(found.is_none().then_some(fault.name));
    }
    ensure!(missed.is_empty(), "the simulator does not find: {}", missed.join(", "));
    Ok(())
}

/// Checks whether each patch still applies.
pub(crate) fn check(workspace: &Workspace) -> Result<()> {
    let shell = &workspace.shell;
    for patch in patches(&workspace.root, &[])? {
        Fault::read(&patch)?;
        cmd!(shell, "git apply --check {patch}").quiet().run().with_context(|| {
            format!("{} does not apply any more: make the same fault in the current code", patch.display())
        })?;
    }
    Ok(())
}

fn patches(root: &Path, names: &[String]) -> Result<Vec<PathBuf>> {
    let patches = tree::files(&root.join("tests/simulator/faults"))?;
    let is_wanted = |patch: &PathBuf| {
        let name = patch.file_name().unwrap_or_default().to_string_lossy().into_owned();
        names.is_empty() || names.iter().any(|wanted| name.contains(wanted))
    };
    Ok(patches.into_iter().filter(is_wanted).collect())
}

struct Fault {
    name: String,
    law: String,
}

impl Fault {
    fn read(patch: &Path) -> Result<Self> {
        let text =
            fs::read_to_string(patch).with_context(|| format!("failed to read {}", patch.display()))?;
        let law = text.lines().find_map(|line| line.strip_prefix("Breaks: "));
        let law = law.with_context(|| format!("{} has no line `Breaks: LAW`", patch.display()))?.to_owned();
        let name = patch.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Self { name, law })
    }
}

/// A workspace with only the crates that the simulator is built from.
struct Sandbox<'a> {
    workspace: &'a Workspace,
    root: PathBuf,
}

impl Sandbox<'_> {
    /// Resets the copies to the sources.
    fn renew(&self) -> Result<()> {
        let from = &self.workspace.root;
        for directory in CRATES {
            let to = self.root.join(directory);
            if to.exists() {
                fs::remove_dir_all(&to)?;
            }
            tree::copy(&from.join(directory), &to)?;
        }
        let manifest = fs::read_to_string(from.join("Cargo.toml")).context("failed to read Cargo.toml")?;
        let members =
            |line: &str| if line.starts_with("members = ") { MEMBERS } else { line }.to_owned() + "\n";
        fs::write(self.root.join("Cargo.toml"), manifest.lines().map(members).collect::<String>())?;
        fs::copy(from.join("Cargo.lock"), self.root.join("Cargo.lock"))?;
        Ok(())
    }

    fn apply(&self, patch: &Path) -> Result<()> {
        let (shell, root, ceiling) = (&self.workspace.shell, &self.root, &self.workspace.target);
        // Otherwise git finds the repository around the sandbox, which ignores the files here.
        let git = cmd!(shell, "git -C {root} apply {patch}").env("GIT_CEILING_DIRECTORIES", ceiling);
        Ok(git.quiet().run()?)
    }

    fn simulate(&self, seed: u64, schedules: u64) -> Result<Broken> {
        let manifest = self.root.join("Cargo.toml");
        let (seed, schedules, build) = (seed.to_string(), schedules.to_string(), self.root.join("target"));
        let cargo =
            self.workspace.cargo().args(["run", "--quiet", "--offline", "--example=laws", "-p=simulator"]);
        let cargo = cargo.arg("--manifest-path").arg(manifest).arg("--target-dir").arg(build);
        let told = cargo.args(["--", &seed, &schedules]).quiet().read()?;
        let parse = |line: &str| {
            let (count, law) = line.split_once(' ')?;
            Some((law.to_owned(), count.parse().ok()?))
        };
        Ok(told.lines().filter_map(parse).collect())
    }
}
