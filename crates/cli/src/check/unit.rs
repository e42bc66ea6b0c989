//! A unit as systemd puts it together: its file and its drop-ins, `systemd.unit(5)`.

use std::fs;
use std::path::{Path, PathBuf};

use config::{Problem, drop_in};

use super::unit_file::{self, Assignment};

/// Where systemd looks for units below the root, highest precedence first (`systemd-analyze unit-paths`).
const DIRECTORIES: [&str; 11] = [
    "etc/systemd/system.control",
    "run/systemd/system.control",
    "run/systemd/transient",
    "run/systemd/generator.early",
    "etc/systemd/system",
    "run/systemd/system",
    "run/systemd/generator",
    "usr/local/lib/systemd/system",
    "usr/lib/systemd/system",
    "lib/systemd/system",
    "run/systemd/generator.late",
];

/// The directories below `root` that may hold units.
pub(super) fn directories(root: &Path) -> Vec<PathBuf> {
    // If /lib is a link to /usr/lib, the same files would be found twice.
    let merged = root.join("lib").is_symlink();
    DIRECTORIES.iter().filter(|dir| !(merged && dir.starts_with("lib/"))).map(|dir| root.join(dir)).collect()
}

/// Why a unit is absent.
#[derive(Debug)]
pub(super) enum Absent {
    /// No directory has a file of this name.
    Missing,
    /// Its file is empty or a link to `/dev/null`.
    Masked(PathBuf),
}

/// A unit with all its assignments.
#[derive(Debug)]
pub(super) struct Unit {
    /// Its file.
    pub(super) file: PathBuf,
    /// Its drop-ins, in the order in which they are read.
    pub(super) drop_ins: Vec<PathBuf>,
    /// Every assignment, in the order in which they are made.
    assignments: Vec<Assignment>,
    /// Files that cannot be read.
    pub(super) unreadable: Vec<Problem>,
}

impl Unit {
    /// Reads the unit `name`. It may be a template, or an instance, whose own drop-ins count too.
    pub(super) fn load(directories: &[PathBuf], name: &str) -> Result<Self, Absent> {
        let template = template_of(name);
        let file = drop_in::first(directories, name)
            .or_else(|| drop_in::first(directories, template.as_deref()?))
            .ok_or(Absent::Missing)?;
        if drop_in::is_masked(&file)
            || fs::metadata(&file).is_ok_and(|meta| meta.is_file() && meta.len() == 0)
        {
            return Err(Absent::Masked(file));
        }
        let (drop_ins, unreadable) = drop_in::list(&drop_in_directories(directories, name), "conf");
        let mut unit = Self { file, drop_ins, assignments: Vec::new(), unreadable };
        for file in [vec![unit.file.clone()], unit.drop_ins.clone()].concat() {
            unit.read(&file);
        }
        Ok(unit)
    }

    fn read(&mut self, file: &Path) {
        match drop_in::read(file) {
            Ok(text) => self.assignments.extend(unit_file::parse(file, &text.unwrap_or_default())),
            Err(problem) => self.unreadable.push(problem),
        }
    }

    /// Every assignment, in the order in which they are made.
    pub(super) fn all(&self) -> &[Assignment] {
        &self.assignments
    }

    /// The assignment to `key` of `section` that is in effect, for a setting with one value.
    pub(super) fn last(&self, section: &str, key: &str) -> Option<&Assignment> {
        let last = self.assignments.iter().rfind(|a| a.section == section && a.key == key)?;
        (!last.value.is_empty()).then_some(last)
    }

    /// What is in the list `key` of `section`. An empty assignment clears the list.
    pub(super) fn list(&self, section: &str, key: &str) -> Vec<&Assignment> {
        let all = self.assignments.iter().filter(|a| a.section == section && a.key == key);
        since_reset(&all.collect::<Vec<_>>())
    }

    /// The assignments to `key` of `section`, or to one of its other names.
    pub(super) fn assignments<'a>(
        &'a self,
        names: &'a [(&'static str, &'static str)],
    ) -> impl DoubleEndedIterator<Item = &'a Assignment> {
        self.assignments
            .iter()
            .filter(move |a| names.iter().any(|(section, key)| a.section == *section && a.key == *key))
    }
}

/// What is in a list. An empty assignment clears the list.
pub(super) fn since_reset<'a>(all: &[&'a Assignment]) -> Vec<&'a Assignment> {
    let begin = all.iter().rposition(|a| a.value.is_empty()).map_or(0, |at| at + 1);
    all[begin..].to_vec()
}

/// The directories of drop-ins for `name`, highest precedence first.
pub(super) fn drop_in_directories(directories: &[PathBuf], name: &str) -> Vec<PathBuf> {
    let own = names(name);
    let of_type = name.rsplit_once('.').map(|(_, unit_type)| unit_type.to_owned());
    let below = |names: &[String]| -> Vec<PathBuf> {
        directories
            .iter()
            .flat_map(|dir| names.iter().map(move |name| dir.join(format!("{name}.d"))))
            .collect()
    };
    [below(&own), below(of_type.as_slice())].concat()
}

/// The names under which `name` may have drop-ins: `a-b@1.service`, `a-b@.service`, `a-.service`.
fn names(name: &str) -> Vec<String> {
    let mut names = vec![name.to_owned()];
    names.extend(template_of(name));
    if let Some((stem, unit_type)) = name.rsplit_once('.') {
        let stem = stem.split_once('@').map_or(stem, |(prefix, _)| prefix);
        let dashes: Vec<usize> = stem.match_indices('-').map(|(at, _)| at).collect();
        names.extend(dashes.iter().rev().map(|at| format!("{}.{unit_type}", &stem[..=*at])));
    }
    names
}

/// `worker@.service` for `worker@3.service`.
fn template_of(name: &str) -> Option<String> {
    let (prefix, rest) = name.split_once('@')?;
    let (instance, unit_type) = rest.rsplit_once('.')?;
    (!instance.is_empty()).then(|| format!("{prefix}@.{unit_type}"))
}

/// The instances of `template` that have their own files: `worker@3.service` for `worker@3.service.d`.
pub(super) fn instances(directories: &[PathBuf], template: &str) -> Vec<String> {
    let Some((prefix, suffix)) = template.split_once('@') else { return Vec::new() };
    let entries = directories.iter().filter_map(|dir| fs::read_dir(dir).ok()).flatten().flatten();
    let mut instances: Vec<String> = entries
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let unit = name.strip_suffix(".d").unwrap_or(&name);
            let instance = unit.strip_prefix(prefix)?.strip_prefix('@')?.strip_suffix(suffix)?;
            (!instance.is_empty()).then(|| unit.to_owned())
        })
        .collect();
    instances.sort();
    instances.dedup();
    instances
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_has_drop_ins_under_several_names() {
        assert_eq!(names("worker@3.service"), ["worker@3.service", "worker@.service"]);
        assert_eq!(names("a-b-c.service"), ["a-b-c.service", "a-b-.service", "a-.service"]);
        let dirs = drop_in_directories(&["/etc".into(), "/usr".into()], "x.socket");
        assert_eq!(
            dirs,
            ["/etc/x.socket.d", "/usr/x.socket.d", "/etc/socket.d", "/usr/socket.d"].map(PathBuf::from)
        );
    }

    #[test]
    fn instances_are_found_by_their_files() {
        let root = tempfile::tempdir().unwrap();
        for dir in ["worker@3.service.d", "worker@.service.d", "worker@b.service", "other@1.service.d"] {
            fs::create_dir(root.path().join(dir)).unwrap();
        }
        let found = instances(&[root.path().to_owned()], "worker@.service");
        assert_eq!(found, ["worker@3.service", "worker@b.service"]);
    }
}
