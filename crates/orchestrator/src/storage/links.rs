//! The release that each instance executes, as a symbolic link. `ExecStart=` of the worker's unit goes
//! through it.
//!
//! ```text
//! /run/app-cluster/instances/1 -> /var/lib/app-cluster/releases/1.3.0
//! /run/app-cluster/instances/2 -> /var/lib/app-cluster/releases/1.2.0
//! ```

use std::collections::BTreeSet;
use std::fs;
use std::io;

use cluster::release::ReleaseId;
use names::{Instance, Names};

use crate::disk;

/// Makes this instance execute this release from now on. After an error nothing has changed.
pub(super) fn point(names: &Names, instance: Instance, id: &ReleaseId) -> io::Result<()> {
    disk::create_dir(&names.links())?;
    disk::replace_link(&names.link(instance), &names.state_dir.join("releases").join(id.as_str()))
}

/// The release of each instance that has a link.
pub(super) fn read(names: &Names) -> Vec<(Instance, ReleaseId)> {
    let release = |instance| {
        let target = fs::read_link(names.link(instance)).ok()?;
        Some((instance, ReleaseId::new(target.file_name()?.to_str()?)?))
    };
    instances(names).unwrap_or_default().into_iter().filter_map(release).collect()
}

/// Removes the links of all instances except `kept`.
pub(super) fn unlink(names: &Names, kept: &BTreeSet<Instance>) -> io::Result<()> {
    for instance in instances(names)?.difference(kept) {
        disk::remove(&names.link(*instance))?;
    }
    Ok(())
}

/// The instances that have a link.
fn instances(names: &Names) -> io::Result<BTreeSet<Instance>> {
    let entries = match fs::read_dir(names.links()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
        entries => entries?,
    };
    let mut instances = BTreeSet::new();
    for entry in entries {
        let number = entry?.file_name().to_str().and_then(|name| name.parse().ok());
        instances.extend(number.and_then(Instance::new));
    }
    Ok(instances)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn a_link_says_what_an_instance_executes() {
        let dir = tempfile::tempdir().unwrap();
        let names = Names {
            runtime_dir: dir.path().to_owned(),
            state_dir: "/var/lib/app-cluster".into(),
            ..Names::packaged()
        };
        let [one, two] = [1, 2].map(|number| Instance::new(number).unwrap());
        let [old, new] = ["1.0.0", "1.1.0"].map(|name| ReleaseId::new(name).unwrap());
        assert_eq!(read(&names), []);
        unlink(&names, &BTreeSet::new()).unwrap();

        point(&names, one, &old).unwrap();
        point(&names, two, &old).unwrap();
        point(&names, two, &new).unwrap();
        let target = fs::read_link(names.link(two)).unwrap();
        assert_eq!(target, Path::new("/var/lib/app-cluster/releases/1.1.0"));
        fs::write(names.links().join("README"), "").unwrap();
        assert_eq!(read(&names), [(one, old), (two, new.clone())]);

        unlink(&names, &[two].into()).unwrap();
        assert_eq!(read(&names), [(two, new)]);
    }
}
