//! The units of the cluster, loaded once for all checks.

use std::path::{Path, PathBuf};

use config::drop_in;

use super::problem::{Findings, Problem};
use super::unit::{self, Absent, Unit};

pub(crate) const SOCKET: &str = "app-cluster.socket";
pub(super) const SERVICE: &str = "app-cluster.service";
pub(super) const WORKER: &str = "worker@.service";
pub(crate) const TARGET: &str = "app-cluster.target";
const SLICE: &str = "app-cluster.slice";

/// All units of the cluster. Each has to exist.
const UNITS: [&str; 5] = [SOCKET, SERVICE, WORKER, TARGET, SLICE];

/// A unit of the package, or an instance that has its own files.
#[derive(Debug)]
pub(super) struct Loaded {
    /// Its name.
    pub(super) name: String,
    /// The unit of the package. For an instance, its template.
    pub(super) kind: &'static str,
    /// What is in its files.
    pub(super) unit: Unit,
}

impl Loaded {
    /// The name under which systemd can load it. systemd cannot load a template, but it can load the first worker.
    pub(super) fn instance(&self) -> String {
        self.name.replace("@.", "@1.")
    }
}

/// The units below a root.
#[derive(Debug)]
pub(super) struct Units {
    /// The units that exist.
    pub(super) loaded: Vec<Loaded>,
    absent: Vec<(String, Absent)>,
    /// Where systemd looks for units, highest precedence first.
    pub(super) directories: Vec<PathBuf>,
}

impl Units {
    /// Loads all below `root`.
    pub(super) fn load(root: &Path) -> Self {
        let directories = unit::directories(root);
        let (mut loaded, mut absent) = (Vec::new(), Vec::new());
        for kind in UNITS {
            for name in [vec![kind.to_owned()], unit::instances(&directories, kind)].concat() {
                match Unit::load(&directories, &name) {
                    Ok(unit) => loaded.push(Loaded { name, kind, unit }),
                    Err(reason) => absent.push((name, reason)),
                }
            }
        }
        Self { loaded, absent, directories }
    }

    /// The unit of this name, if it exists.
    pub(super) fn get(&self, name: &str) -> Option<&Unit> {
        self.loaded.iter().find(|loaded| loaded.name == name).map(|loaded| &loaded.unit)
    }

    /// The files of all, each once.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        let of = |loaded: &Loaded| [vec![loaded.unit.file.clone()], loaded.unit.drop_ins.clone()].concat();
        let mut files: Vec<_> = self.loaded.iter().flat_map(of).collect();
        files.sort();
        files.dedup();
        files
    }

    /// Adds the units and files that cannot be read.
    pub(super) fn check(&self, root: &Path, findings: &mut Findings) {
        for (name, reason) in &self.absent {
            findings.add(of_absent(name, root, reason));
        }
        for loaded in &self.loaded {
            for problem in &loaded.unit.unreadable {
                // systemd reads it as root. If another user cannot read it, the file is not at fault.
                if rustix::process::geteuid().is_root() {
                    findings.add(Problem::new(
                        "unreadable",
                        problem.file.display().to_string(),
                        problem.message.as_str(),
                    ));
                } else {
                    findings.not_seen(problem.to_string());
                }
            }
            self.check_slice(&loaded.unit, findings);
            self.check_required(&loaded.unit, findings);
        }
    }

    /// systemd creates a slice that has no file, but not one that is masked. The unit in it then cannot start.
    fn check_slice(&self, unit: &Unit, findings: &mut Findings) {
        let Some(slice) = unit.last("Service", "Slice").filter(|slice| slice.value != SLICE) else { return };
        if let Some(file) =
            drop_in::first(&self.directories, &slice.value).filter(|file| drop_in::is_masked(file))
        {
            let (name, file) = (&slice.value, file.display());
            let text = format!(
                "{name} is masked by {file} (the unit could not start); write `systemctl unmask {name}`"
            );
            findings.add(Problem::new("masked-slice", slice.place(), text));
        }
    }
}

impl Units {
    /// Services and sockets that the unit requires and that cannot start. Units of other types need no files.
    fn check_required(&self, unit: &Unit, findings: &mut Findings) {
        let lists = ["Requires", "Requisite", "BindsTo"].map(|key| unit.list("Unit", key));
        for at in lists.iter().flatten() {
            let names = at.value.split_whitespace().filter(|name| !name.contains('%'));
            for name in names.filter(|name| name.ends_with(".service") || name.ends_with(".socket")) {
                let (what, advice) = match Unit::load(&self.directories, name) {
                    Ok(_) => continue,
                    Err(Absent::Missing) => ("is not there", format!("install it, or remove {name}")),
                    Err(Absent::Masked(_)) => ("is masked", format!("write `systemctl unmask {name}`")),
                };
                let text = format!("{name} {what} (the unit could not start); {advice}");
                findings.add(Problem::new("required", at.place(), text));
            }
        }
    }
}

/// Whether two paths lead to the same file.
pub(super) fn is_same(one: &Path, other: &Path) -> bool {
    one == other || matches!((one.canonicalize(), other.canonicalize()), (Ok(one), Ok(other)) if one == other)
}

fn of_absent(name: &str, root: &Path, absent: &Absent) -> Problem {
    match absent {
        Absent::Missing => {
            let place = root.join("usr/lib/systemd/system").join(name);
            Problem::new("missing", place.display().to_string(), "missing; install the package again")
        }
        Absent::Masked(file) => Problem::new(
            "masked",
            file.display().to_string(),
            format!("masked; write `systemctl unmask {name}`"),
        ),
    }
}
