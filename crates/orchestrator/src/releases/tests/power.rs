//! A power cut, or a full disk, at every step.

use std::fs::{self, File};

use super::*;
use crate::disk::faults::{Fault, at_every_step, steps_of};

const PROGRAM_OF_MINE: &str = "#!/bin/sh\nexec mine\n";

impl Disk {
    /// A disk with four releases: the third is current, one is rejected, one is a directory. A file and a
    /// directory are ready to deploy.
    fn in_use() -> Self {
        let disk = Self::new();
        for (second, version) in ["1.0.0", "1.1.0", "1.2.0"].into_iter().enumerate() {
            disk.package(version, &script(version));
            disk.stage();
            disk.came_at(version, second as u64);
        }
        disk.releases.stage_directory(&disk.directory("srv/blog"), None).unwrap();
        disk.releases.make_current(&id("1.2.0")).unwrap();
        disk.releases.reject(&id("1.0.0")).unwrap();
        disk.package("1.3.0", &script("1.3.0"));
        let mine = disk.directory("srv/mine");
        fs::write(mine.join(PROGRAM), PROGRAM_OF_MINE).unwrap();
        disk
    }

    /// Asserts what must hold at any moment.
    fn check(&self) {
        let current = self.releases.current().expect("there is a link");
        self.releases.check_runnable(&current).unwrap();
        for release in self.releases.list().unwrap() {
            self.releases.check_runnable(&release.id).unwrap();
            let name = match release.id.as_str() {
                "blog" => "srv/blog",
                name => name,
            };
            let expected = if name.starts_with("20") || name == "mine" {
                PROGRAM_OF_MINE.to_owned()
            } else {
                script(name)
            };
            assert_eq!(fs::read_to_string(self.releases.program(&release.id)).unwrap(), expected, "{name}");
            let is_bad = release.id == id("1.0.0");
            assert_eq!(self.releases.is_rejected(&release.id), is_bad, "{name} rejected");
        }
        assert!(self.path("srv/blog/worker").exists(), "the directory belongs to the user");
    }

    fn mine(&self) -> File {
        File::open(self.path("srv/mine/worker")).unwrap()
    }
}

/// Runs `operation` with both faults at every step. Afterwards the disk must be sound, and `again` must
/// succeed.
fn survives<T>(operation: impl Fn(&Disk) -> anyhow::Result<T>, again: impl Fn(&Disk) -> anyhow::Result<()>) {
    for fault in [Fault::PowerCut, Fault::DiskFull] {
        at_every_step(
            fault,
            Disk::in_use,
            |disk| operation(disk),
            |disk, trial| {
                disk.check();
                match trial.returned {
                    None => assert!(trial.struck && fault == Fault::PowerCut),
                    Some(Ok(_)) => assert!(!trial.struck, "an error was ignored"),
                    Some(Err(error)) => assert!(trial.struck, "{error:#}"),
                }
                again(disk).unwrap();
                disk.check();
                assert!(!disk.names().iter().any(|name| name == ".staging"), "{:?}", disk.names());
            },
        );
    }
}

#[test]
fn staging_a_package() {
    let stage = |disk: &Disk| disk.releases.stage_packaged(None);
    survives(stage, |disk| {
        assert_eq!(disk.releases.stage_packaged(None)?, Some(id("1.3.0")));
        Ok(())
    });
}

#[test]
fn staging_a_file() {
    survives(
        |disk| disk.releases.stage_file(&disk.mine(), None),
        |disk| disk.releases.stage_file(&disk.mine(), None).map(drop),
    );
}

#[test]
fn staging_a_file_by_name() {
    // The change is complete or did not happen. In the second case, it can be repeated.
    survives(
        |disk| disk.releases.stage_file(&disk.mine(), Some(id("mine"))),
        |disk| match disk.releases.check_runnable(&id("mine")) {
            Ok(()) => Ok(()),
            Err(_) => disk.releases.stage_file(&disk.mine(), Some(id("mine"))).map(drop),
        },
    );
}

#[test]
fn staging_a_directory() {
    // The name is free the first time.
    survives(
        |disk| disk.releases.stage_directory(&disk.path("srv/mine"), None),
        |disk| disk.releases.stage_directory(&disk.path("srv/mine"), None).map(drop),
    );
}

#[test]
fn an_error_leaves_nothing_behind() {
    let operations: [fn(&Disk) -> anyhow::Result<()>; 3] = [
        |disk| disk.releases.stage_packaged(None).map(drop),
        |disk| disk.releases.stage_file(&disk.mine(), None).map(drop),
        |disk| disk.releases.stage_directory(&disk.path("srv/mine"), None).map(drop),
    ];
    for operation in operations {
        let before = Disk::in_use().names();
        at_every_step(
            Fault::DiskFull,
            Disk::in_use,
            |disk| operation(disk),
            |disk, trial| {
                if let Some(Err(error)) = trial.returned {
                    let error = format!("{error:#}");
                    assert!(error.starts_with("failed to make release"), "{error}");
                    assert!(error.ends_with("no storage space"), "{error}");
                    assert_eq!(disk.names(), before);
                }
            },
        );
    }
}

#[test]
fn the_first_release() {
    let begin = |disk: &Disk| {
        let staged = disk.releases.stage_packaged(None)?;
        staged.map_or(Ok(()), |id| disk.releases.make_current(&id))
    };
    for fault in [Fault::PowerCut, Fault::DiskFull] {
        let prepare = || {
            let disk = Disk::new();
            disk.package("1.0.0", &script("1.0.0"));
            disk
        };
        at_every_step(
            fault,
            prepare,
            |disk| begin(disk),
            |disk, trial| {
                if let Some(current) = disk.releases.current() {
                    disk.releases.check_runnable(&current).unwrap();
                } else {
                    assert!(trial.struck);
                }
                begin(disk).unwrap();
                assert_eq!(disk.releases.current(), Some(id("1.0.0")));
                disk.releases.check_runnable(&id("1.0.0")).unwrap();
                assert_eq!(disk.names(), ["1.0.0"]);
            },
        );
    }
}

#[test]
fn making_a_release_current() {
    survives(
        |disk| {
            let result = disk.releases.make_current(&id("1.1.0"));
            if result.is_err() {
                assert_eq!(disk.releases.current(), Some(id("1.2.0")), "an error, and yet another release");
            }
            result
        },
        |disk| {
            disk.releases.make_current(&id("1.1.0"))?;
            assert_eq!(disk.releases.current(), Some(id("1.1.0")));
            Ok(())
        },
    );
}

#[test]
fn removing() {
    let not_current = || ["1.0.0", "1.1.0", "blog"].map(id);
    survives(
        |disk| Ok(disk.releases.remove_all(&not_current())?),
        |disk| {
            disk.releases.remove_all(&not_current())?;
            assert_eq!(disk.names(), ["1.2.0"]);
            Ok(())
        },
    );
}

/// A power cut also loses what was written but not yet on disk. So nothing may get its name before it is
/// durable, and nothing may rely on a name that is not durable.
#[test]
fn what_gets_a_name_is_durable_before() {
    let disk = Disk::with_current("1.0.0");
    disk.package("1.1.0", "new");
    assert_eq!(
        steps_of(|| disk.stage()),
        [
            "mkdir .staging",
            "sync releases",
            "create worker",
            "write worker",
            "sync worker",
            "create VERSION",
            "write VERSION",
            "sync VERSION",
            "create .source",
            "write .source",
            "sync .source",
            "sync .staging",
            "rename 1.1.0",
            "sync releases",
        ]
    );
    assert_eq!(
        steps_of(|| disk.releases.make_current(&id("1.1.0"))),
        ["link .current.next", "rename current", "sync lib"]
    );
    assert_eq!(
        steps_of(|| disk.releases.remove_all(&[id("1.0.0")])),
        ["rename .removed", "sync releases", "remove .removed", "sync releases"]
    );
}
