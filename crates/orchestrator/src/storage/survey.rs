//! Lists the releases, and what else a rollout has to know before it begins.

use std::fs;
use std::io;

use cluster::input::{Found, Survey};
use cluster::release::ReleaseId;
use names::Names;

use crate::disk;
use crate::releases::{Release, Releases};
use crate::stage::Stage;

/// Examines the releases. If `stages_package` is true, it first makes a release of the package's program, if
/// needed.
pub(super) fn survey(
    names: &Names,
    releases: &Releases,
    stage: &Stage,
    stages_package: bool,
    current: Option<ReleaseId>,
) -> Result<Survey, String> {
    let packaged = match stages_package {
        true => stage.packaged(current.as_ref()).map_err(|error| format!("{error:#}")).transpose(),
        false => None,
    };
    let found = |release: Release| Found {
        is_rejected: releases.is_rejected(&release.id),
        runnable: releases.check_runnable(&release.id).map_err(|error| format!("{error:#}")),
        id: release.id,
    };
    let listed = releases.list().map_err(|error| format!("failed to list the releases: {error}"))?;
    let boot_id = boot(names).map_err(|error| {
        let dir = names.runtime_dir.display();
        format!("failed to write to {dir}: {error}; no worker was touched, so make room there and try again")
    });
    Ok(Survey {
        current: releases.current(),
        releases: listed.into_iter().map(found).collect(),
        packaged,
        boot_id,
    })
}

/// The name of this boot. It is random, and kept in the directory that does not survive a reboot. The sandbox
/// hides the kernel's own boot id (`ProcSubset=`).
fn boot(names: &Names) -> io::Result<String> {
    let path = names.runtime_dir.join("boot");
    if let Ok(name) = fs::read_to_string(&path) {
        return Ok(name);
    }
    let name = format!("{:016x}", crate::random());
    disk::write_atomically(&path, name.as_bytes())?;
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_boot_has_one_name() {
        let dir = tempfile::tempdir().unwrap();
        let names = Names { runtime_dir: dir.path().to_owned(), ..Names::packaged() };
        let name = boot(&names).unwrap();
        assert_eq!(name.len(), 16);
        assert_eq!(boot(&names).unwrap(), name);
        let nowhere = Names { runtime_dir: "/proc/no/such".into(), ..names };
        assert!(boot(&nowhere).is_err());
    }
}
