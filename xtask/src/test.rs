//! Runs the tests: the simulator, and one pool of all other tests, from unit tests to promises in booted
//! machines.

mod costs;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Result;
use machine::Suite;

use crate::{
    deb, demo, faults, fuzz, host, simulate, tools,
    workspace::{VERSION, Workspace},
};

#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct Options {
    /// Each promise on every Debian release, with all its requests and rounds, the known faults, and the
    /// fuzzers
    #[arg(long, conflicts_with = "quick")]
    full: bool,
    /// Without booted machines
    #[arg(long)]
    quick: bool,
    /// Run each of them this many times
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Upgrade from this package, for example that of a release, instead of one built from this source
    #[arg(long, value_name = "FILE", conflicts_with = "quick")]
    old: Option<PathBuf>,
    /// Only the tests whose name contains one of these, without the simulator
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Without a time limit, and with the output shown at once
    #[arg(skip)]
    watched: bool,
}

/// The environment variable with the seed for the chaos test.
pub(crate) const CHAOS_SEED: &str = "APP_CLUSTER_CHAOS_SEED";

/// How many of the tests to run: a profile in .config/nextest.toml.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Profile {
    /// The tests that need no machine.
    Quick,
    /// The tests that a change must pass.
    Ci,
    /// All tests.
    Full,
    /// Chaos, for as long as you want.
    Chaos,
}

pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    host::install(&workspace.shell, host::TO_BUILD)?;
    host::install(&workspace.shell, host::TO_TEST)?;
    host::ensure_root()?;
    if !options.quick {
        host::install(&workspace.shell, host::TO_BOOT)?;
    }
    let pool = Pool { program: tools::cargo_nextest(workspace)?, profile: options.profile() };
    if options.names.is_empty() {
        simulate::quick(workspace)?;
    }
    if options.full && options.names.is_empty() {
        faults::run(workspace, &faults::Options::default())?;
        fuzz::run(workspace, &fuzz::Options::default())?;
    }
    let _environment = match pool.profile {
        Profile::Quick => Vec::new(),
        Profile::Ci | Profile::Full | Profile::Chaos => {
            Artifacts::build(workspace, options.old.clone())?.name(workspace, pool.profile)
        }
    };
    // Run the examples even if a test failed.
    let tests = pool.run(workspace, options);
    let examples = if options.names.is_empty() { examples(workspace) } else { Ok(()) };
    tests.and(examples)
}

impl Options {
    /// Only the chaos test.
    pub(crate) fn chaos(suite: Option<Suite>) -> Self {
        let suite = suite.map_or("", Suite::name);
        Self { names: vec![format!("chaos::{suite}")], watched: true, ..Self::default() }
    }

    fn profile(&self) -> Profile {
        match (self.quick, self.full) {
            _ if self.watched => Profile::Chaos,
            (true, _) => Profile::Quick,
            (_, true) => Profile::Full,
            _ => Profile::Ci,
        }
    }
}

/// One runner for all tests. So a test that waits leaves its place to others.
struct Pool {
    /// cargo-nextest.
    program: PathBuf,
    profile: Profile,
}

impl Pool {
    /// Runs the tests. The test runner prints the summary. At the end, this prints what each test cost.
    fn run(&self, workspace: &Workspace, options: &Options) -> Result<()> {
        let Self { program, profile } = self;
        let mut arguments = vec!["nextest", "run", "--workspace", "--profile", profile.name()];
        if *profile == Profile::Quick {
            arguments.extend(["--exclude=machine", "--exclude=promises"]);
        }
        let report = workspace.root.join("target/nextest").join(profile.name()).join("junit.xml");
        // Otherwise the report of an earlier run could be taken for this one's.
        let directory = report.parent().unwrap_or(&report);
        workspace.as_owner("mkdir").arg("--parents").arg(directory).quiet().run()?;
        workspace.shell.remove_path(&report)?;
        // The owner of the target directory builds them, and root runs them.
        workspace.as_owner(program).args(&arguments).args(["--no-run", "--cargo-quiet"]).run()?;
        let rounds = options.rounds.to_string();
        if options.rounds > 1 {
            arguments.extend(["--stress-count", &rounds]);
        }
        if options.watched {
            arguments.push("--no-capture");
        }
        // If this program dies, the tests must end too: nextest ends them, and they end their machines.
        let run = workspace.as_root(Path::new("setpriv")).args(["--pdeathsig", "TERM", "--"]).arg(program);
        let ended = run.args(&arguments).arg("--cargo-quiet").arg("--").args(&options.names).run();
        if ended.is_ok() || report.exists() {
            costs::tell(&report)?;
        }
        Ok(ended?)
    }
}

impl Profile {
    fn name(self) -> &'static str {
        match self {
            Self::Quick => "quick",
            Self::Ci => "ci",
            Self::Full => "full",
            Self::Chaos => "chaos",
        }
    }
}

/// The examples in the documentation, which are not in the pool.
fn examples(workspace: &Workspace) -> Result<()> {
    Ok(workspace.cargo().args(["test", "--quiet", "--workspace", "--doc"]).run()?)
}

/// The packages and programs that the promises test.
struct Artifacts {
    /// The package to upgrade from.
    old: PathBuf,
    /// The package to upgrade to.
    new: PathBuf,
    client: PathBuf,
    attacker: PathBuf,
    mortal_orchestrator: PathBuf,
}

impl Artifacts {
    fn build(workspace: &Workspace, old: Option<PathBuf>) -> Result<Self> {
        let package = |version: String| deb::build(workspace, &deb::Options { version: Some(version) });
        Ok(Self {
            old: old.map_or_else(|| package(VERSION.to_owned()), |old| Ok(fs::canonicalize(old)?))?,
            new: package(next_version())?,
            client: demo::client(workspace)?,
            attacker: attacker(workspace)?,
            mortal_orchestrator: mortal_orchestrator(workspace)?,
        })
    }

    /// Sets the environment variables that name them, for as long as the returned value lives.
    fn name(self, workspace: &Workspace, profile: Profile) -> Vec<xshell::PushEnv<'_>> {
        let counts = if profile == Profile::Full { "full" } else { "ci" };
        let variables = [
            ("APP_CLUSTER_DEB_OLD", self.old),
            ("APP_CLUSTER_DEB_NEW", self.new),
            ("APP_CLUSTER_CLIENT", self.client),
            ("APP_CLUSTER_ATTACKER", self.attacker),
            ("APP_CLUSTER_MORTAL_ORCHESTRATOR", self.mortal_orchestrator),
            ("APP_CLUSTER_COUNTS", counts.into()),
        ];
        let mut set: Vec<_> =
            variables.into_iter().map(|(name, value)| workspace.shell.push_env(name, value)).collect();
        if workspace.shell.var_os(CHAOS_SEED).is_none() {
            let seed = simulate::of_commit(workspace).unwrap_or_else(simulate::from_clock);
            set.push(workspace.shell.push_env(CHAOS_SEED, seed.to_string()));
        }
        set
    }
}

fn attacker(workspace: &Workspace) -> Result<PathBuf> {
    workspace.cargo().args(["build", "--release", "-p", "attacker"]).run()?;
    Ok(workspace.release("attacker"))
}

/// Builds the orchestrator that crashes where a test says so. It puts it where no other build replaces it.
fn mortal_orchestrator(workspace: &Workspace) -> Result<PathBuf> {
    let build = ["build", "--quiet", "-p", "orchestrator", "--features", "fault-points"];
    workspace.cargo().args(build).run()?;
    let mortal = workspace.target.join("mortal-orchestrator");
    fs::copy(workspace.target.join("debug/app-cluster-orchestrator"), &mortal)?;
    Ok(mortal)
}

/// The patch release after the version in the source.
fn next_version() -> String {
    let (major, minor) = (env!("CARGO_PKG_VERSION_MAJOR"), env!("CARGO_PKG_VERSION_MINOR"));
    let patch: u32 = env!("CARGO_PKG_VERSION_PATCH").parse().unwrap_or(0);
    format!("{major}.{minor}.{}", patch + 1)
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        path::{Path, PathBuf},
    };

    fn promises() -> Vec<PathBuf> {
        let directory = root().join("tests/promises/tests");
        let files = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
        files.filter(|path| path.extension().is_some_and(|extension| extension == "rs")).collect()
    }

    fn root() -> &'static Path {
        Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
    }

    /// A file without this line is not compiled.
    #[test]
    fn every_promise_is_in_the_program_of_promises() {
        let program = fs::read_to_string(root().join("tests/promises/tests/main.rs")).unwrap();
        for file in promises() {
            let name = file.file_stem().unwrap().to_string_lossy().into_owned();
            assert!(name == "main" || program.contains(&format!("mod {name};")), "main.rs lacks {name}");
        }
    }

    /// If a test were renamed, it would silently lose its setting.
    #[test]
    fn the_tests_that_the_pool_knows_by_name_exist() {
        let pool = fs::read_to_string(root().join(".config/nextest.toml")).unwrap();
        let promises: String = promises().iter().map(|path| fs::read_to_string(path).unwrap()).collect();
        let filters = pool.lines().filter(|line| line.contains("package(promises)"));
        let is_name = |c: char| c.is_ascii_lowercase() || c == '_';
        let words = filters.flat_map(|line| line.split(|c: char| !is_name(c)));
        let names: Vec<_> = words.filter(|word| word.contains('_')).collect();
        assert!(names.len() >= 6, "{names:?}");
        for name in names {
            let declared = [format!("fn {name}("), format!("mod {name};")];
            assert!(declared.iter().any(|words| promises.contains(words)), "no test or promise {name}");
        }
    }
}
