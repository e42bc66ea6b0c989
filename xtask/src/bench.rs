//! Measurements that take too long for a test, or that need a machine without other load. The results go into
//! `docs/benchmarks.md`.
//!
//! One module per part. `table` and `document` write the results, `cluster` is what they measure.

mod cluster;
mod cpu;
mod document;
mod many_workers;
mod peers;
mod soak;
mod stamps;
mod status;
mod table;
mod trend;

use std::path::Path;

use anyhow::{Result, ensure};
use clap::ValueEnum;
use machine::{Boot, Suite};

use self::{cluster::Cluster, document::Section, peers::Kit};
use crate::{deb, demo, host, workspace::Workspace};

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Options {
    /// What to measure [default: everything]
    #[arg(value_enum, value_name = "PART")]
    parts: Vec<Part>,
    /// The Debian release to measure on
    #[arg(long, value_parser = suite, default_value_t = Suite::Bookworm)]
    suite: Suite,
    /// How many rollouts the soak has
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(40..))]
    rollouts: u32,
    /// A trial: 100 rollouts in the soak, one round of everything else; the results are only printed
    #[arg(long, conflicts_with = "rollouts")]
    quick: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Many rollouts in a row: does the orchestrator's size stay constant?
    Soak,
    /// 10 and 100 workers: what a rollout costs for each worker
    ManyWorkers,
    /// app-cluster beside other programs that replace workers
    Peers,
}

/// The result of a part.
struct Findings {
    /// The figures, as Markdown.
    text: String,
    /// The promises that the figures break.
    broken: Vec<String>,
}

pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    host::install(&workspace.shell, host::TO_BUILD)?;
    host::install(&workspace.shell, host::TO_BOOT)?;
    let package = deb::build(workspace, &deb::Options::default())?;
    let client = demo::client(workspace)?;
    let parts = options.parts();
    let kit = Kit::of(workspace);
    if parts.contains(&Part::Peers) {
        kit.fetch(workspace)?;
    }
    host::ensure_root()?;

    let mut broken = Vec::new();
    for part in parts {
        eprintln!("xtask: booting {}, installing {}", options.suite, package.display());
        let boot = Boot::new(options.suite);
        let boot = if part == Part::Peers { kit.pack(boot) } else { boot };
        let cluster = Cluster::boot(boot, &package)?;
        let findings = options.measure(part, &cluster, &client, &kit)?;
        let section = Section::new(workspace, &cluster, part.title(), &findings.text)?;
        if options.quick {
            println!("{section}");
        } else {
            document::replace(workspace, &section)?;
        }
        broken.extend(findings.broken);
    }
    ensure!(broken.is_empty(), "promises are broken:\n{}", broken.join("\n"));
    Ok(())
}

impl Options {
    fn parts(&self) -> Vec<Part> {
        if self.parts.is_empty() { Part::value_variants().to_vec() } else { self.parts.clone() }
    }

    fn measure(&self, part: Part, cluster: &Cluster, client: &Path, kit: &Kit) -> Result<Findings> {
        match part {
            Part::Soak => soak::run(cluster, client, if self.quick { 100 } else { self.rollouts }),
            Part::ManyWorkers => many_workers::run(cluster, self.quick),
            Part::Peers => peers::run(cluster, client, kit, self.quick),
        }
    }
}

impl Part {
    fn title(self) -> &'static str {
        match self {
            Self::Soak => "Soak",
            Self::ManyWorkers => "Many workers",
            Self::Peers => "Peers",
        }
    }
}

fn suite(name: &str) -> Result<Suite, String> {
    let names = Suite::ALL.map(Suite::name).join(" or ");
    Suite::ALL.into_iter().find(|suite| suite.name() == name).ok_or_else(|| format!("expected {names}"))
}
