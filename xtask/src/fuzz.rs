//! Runs libFuzzer on the parsers of untrusted input: `tests/fuzz`.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use xshell::{Cmd, cmd};

use crate::{host, tree, workspace::Workspace};

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Options {
    /// The target, a file in tests/fuzz/src/bin [default: one after another]
    target: Option<String>,
    /// For how long each target runs
    #[arg(long, value_name = "N", default_value_t = 60)]
    seconds: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self { target: None, seconds: 60 }
    }
}

/// The instrumentation that libFuzzer needs to see where an input leads. The stable compiler has all of it.
const COVERAGE: [&str; 5] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
];

pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let targets = targets(workspace)?;
    let chosen = match &options.target {
        None => targets,
        Some(target) => {
            ensure!(targets.contains(target), "no target {target}, there are: {}", targets.join(", "));
            vec![target.clone()]
        }
    };
    host::install(&workspace.shell, host::TO_BUILD)?;
    host::install(&workspace.shell, &["g++"])?;
    let programs = build(workspace)?;
    let mut crashes = Vec::new();
    for target in chosen {
        eprintln!("\n=== {target}, for {} s", options.seconds);
        let bench = Bench::new(workspace, &programs, target)?;
        crashes.extend(bench.run(workspace, options.seconds)?);
    }
    if crashes.is_empty() { Ok(()) } else { bail!("{}", crashes.join("\n")) }
}

/// The targets by name: one program each.
fn targets(workspace: &Workspace) -> Result<Vec<String>> {
    let programs = tree::files(&workspace.root.join("tests/fuzz/src/bin"))?;
    let names = programs.iter().filter_map(|path| path.file_stem());
    Ok(names.map(|name| name.to_string_lossy().into_owned()).collect())
}

/// Builds all targets, and returns their directory. Other builds have other flags, so this one has a
/// directory of its own.
fn build(workspace: &Workspace) -> Result<PathBuf> {
    let arguments = ["build", "--package=fuzz", "--bins", "--features=libfuzzer"];
    let host = host(workspace)?;
    cargo(workspace, &arguments, &host).env("RUSTFLAGS", COVERAGE.join(" ")).run()?;
    Ok(directory(workspace).join(host).join("fuzz"))
}

/// Removes what was built from this project.
pub(crate) fn clean(workspace: &Workspace) -> Result<()> {
    Ok(cargo(workspace, &["clean", "--quiet", "--workspace"], &host(workspace)?).quiet().run()?)
}

fn cargo<'a>(workspace: &'a Workspace, arguments: &[&str], host: &str) -> Cmd<'a> {
    let cargo = workspace.cargo().args(arguments).args(["--profile=fuzz", "--target", host]);
    cargo.env("CARGO_TARGET_DIR", directory(workspace))
}

fn directory(workspace: &Workspace) -> PathBuf {
    workspace.target.join("fuzz")
}

/// If the target is named, the flags do not apply to build scripts and macros, which run in the compiler.
fn host(workspace: &Workspace) -> Result<String> {
    Ok(cmd!(workspace.shell, "rustc --print host-tuple").quiet().read()?)
}

/// One target and the places of its files.
struct Bench {
    target: String,
    program: PathBuf,
    /// The inputs in the repository.
    committed: PathBuf,
    dictionary: PathBuf,
    /// The inputs that this run and earlier runs have found here.
    found: PathBuf,
    /// The inputs that crashed the target.
    crashes: PathBuf,
}

impl Bench {
    fn new(workspace: &Workspace, programs: &Path, target: String) -> Result<Self> {
        let (source, work) = (workspace.root.join("tests/fuzz"), workspace.target.join("fuzz"));
        let bench = Self {
            program: programs.join(&target),
            committed: source.join("corpus").join(&target),
            dictionary: source.join("dictionaries").join(format!("{target}.dict")),
            found: work.join("corpus").join(&target),
            crashes: work.join("crashes").join(&target),
            target,
        };
        for directory in [&bench.found, &bench.crashes] {
            fs::create_dir_all(directory)
                .with_context(|| format!("failed to create {}", directory.display()))?;
        }
        Ok(bench)
    }

    /// Returns the crash, if there is one.
    fn run(&self, workspace: &Workspace, seconds: u32) -> Result<Option<String>> {
        let before = tree::files(&self.crashes)?;
        let (program, found, committed) = (&self.program, &self.found, &self.committed);
        let mut arguments: Vec<OsString> = vec![
            format!("-max_total_time={seconds}").into(),
            format!("-artifact_prefix={}/", self.crashes.display()).into(),
            "-print_final_stats=1".into(),
            // In seconds and megabytes. None of these inputs needs more.
            "-timeout=10".into(),
            "-rss_limit_mb=1024".into(),
        ];
        if self.dictionary.exists() {
            arguments.push(format!("-dict={}", self.dictionary.display()).into());
        }
        let shell = &workspace.shell;
        if cmd!(shell, "{program} {arguments...} {found} {committed}").run().is_ok() {
            return Ok(None);
        }
        let mut crashes = tree::files(&self.crashes)?;
        crashes.retain(|crash| !before.contains(crash));
        let crash = crashes.first().context("the fuzzer failed, and left no input")?;
        Ok(Some(self.tell(crash)))
    }

    fn tell(&self, crash: &Path) -> String {
        format!(
            "{target} does not survive {crash}; put it into tests/fuzz/corpus/{target} under a name of its own, and \
             `cargo test -p fuzz` reproduces it",
            target = self.target,
            crash = crash.display()
        )
    }
}
