//! The public interfaces of the libraries, as committed lists. So a diff shows each change of an interface.
//! There is no published version yet to compare with.
//!
//! rustdoc prints the interface as JSON. The format is unstable and differs between toolchains. So this
//! always uses the oldest supported toolchain.

use std::{fs, path::Path};

use anyhow::{Context, Result, ensure};
use xshell::{Cmd, Shell, cmd};

use crate::workspace::Workspace;

/// A library for other projects.
struct Library {
    package: &'static str,
    /// The name by which programs import it.
    name: &'static str,
    directory: &'static str,
}

const LIBRARIES: [Library; 2] = [
    Library { package: "app-cluster-worker", name: "app_cluster_worker", directory: "crates/worker" },
    Library { package: "app-cluster-scoreboard", name: "scoreboard", directory: "crates/scoreboard" },
];

/// The version whose rustdoc output is understood: `rust-version` in Cargo.toml.
const OLDEST: &str = env!("CARGO_PKG_RUST_VERSION");

#[derive(Debug, Clone, Copy, Default, clap::Args)]
pub(crate) struct Options {
    /// Write the lists, to be read in the diff
    #[arg(long)]
    update: bool,
}

pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let toolchain = oldest_toolchain(&workspace.shell)?;
    for library in LIBRARIES {
        let found = library.list(workspace, toolchain)?;
        let path = workspace.root.join(library.directory).join("interface.txt");
        if options.update {
            fs::write(&path, &found).with_context(|| format!("failed to write {}", path.display()))?;
        }
        library.compare(&path, &found)?;
    }
    publishable(workspace)
}

impl Library {
    /// Every public item, one per line.
    fn list(&self, workspace: &Workspace, toolchain: Option<(&str, &str)>) -> Result<String> {
        let json = workspace.target.join("doc").join(self.name).with_extension("json");
        // Removes the output of another toolchain or of an earlier build.
        let _ = fs::remove_file(&json);
        let rustdoc = ["rustdoc", "--quiet", "--lib", "--package", self.package, "--"];
        let form = ["-Zunstable-options", "--output-format=json", "--cap-lints=allow"];
        let rustdoc = workspace.cargo().args(rustdoc).args(form);
        rustdoc.env("RUSTC_BOOTSTRAP", "1").envs(toolchain).run()?;
        let mut builder = public_api::Builder::from_rustdoc_json(&json);
        builder = builder.omit_blanket_impls(true).omit_auto_trait_impls(true);
        let api = builder.build().with_context(|| format!("failed to understand {}", json.display()))?;
        Ok(api.items().map(|item| format!("{item}\n")).collect())
    }

    fn compare(&self, path: &Path, found: &str) -> Result<()> {
        let listed =
            fs::read_to_string(path).with_context(|| format!("failed to read {}", path.display()))?;
        ensure!(
            found == listed,
            "the interface of {} is another than {}/interface.txt says; if that is meant, \
             `cargo xtask interface --update` writes it, to be read in the diff:\n{}",
            self.package,
            self.directory,
            changes(&listed, found)
        );
        Ok(())
    }
}

/// The environment variable that selects the oldest toolchain. `None` if that one is in use already, else a
/// variable for rustup.
fn oldest_toolchain(shell: &Shell) -> Result<Option<(&'static str, &'static str)>> {
    let chosen = ("RUSTUP_TOOLCHAIN", OLDEST);
    let is_oldest = |rustc: Cmd<'_>| {
        let version = rustc.quiet().ignore_stderr().read();
        version.is_ok_and(|version| version.starts_with(&format!("rustc {OLDEST}.")))
    };
    if is_oldest(cmd!(shell, "rustc --version")) {
        return Ok(None);
    }
    let installed = cmd!(shell, "rustup toolchain install {OLDEST} --profile minimal --no-self-update").run();
    installed.with_context(|| format!("interfaces need Rust {OLDEST}, which is not installed"))?;
    ensure!(
        is_oldest(cmd!(shell, "rustc --version").env(chosen.0, chosen.1)),
        "rustc in PATH is not rustup's"
    );
    Ok(Some(chosen))
}

/// Checks that each library could be published: its dependencies have versions, and its metadata is complete.
fn publishable(workspace: &Workspace) -> Result<()> {
    let packages = LIBRARIES.iter().flat_map(|library| ["--package", library.package]);
    let publish = ["publish", "--dry-run", "--no-verify", "--allow-dirty"];
    let output = workspace.cargo().args(publish).args(packages).ignore_status().output()?;
    let told = String::from_utf8_lossy(&output.stderr);
    let warnings =
        told.lines().filter(|line| line.starts_with("warning: ") && !line.ends_with("due to dry run"));
    let is_fine = output.status.success() && warnings.count() == 0;
    ensure!(is_fine, "cargo would not publish the libraries, or has objections:\n{told}");
    Ok(())
}

/// The lines that are in only one of the two lists.
fn changes(before: &str, after: &str) -> String {
    let gone = before.lines().filter(|line| !after.lines().any(|other| other == *line));
    let new = after.lines().filter(|line| !before.lines().any(|other| other == *line));
    let lines = gone.map(|line| format!("- {line}")).chain(new.map(|line| format!("+ {line}")));
    lines.collect::<Vec<_>>().join("\n")
}
