mod deploy;
mod power;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use super::*;

/// A script, distinguished from others by `name`.
fn script(name: &str) -> String {
    format!("#!/bin/sh\nexec {name}\n")
}

fn id(name: &str) -> ReleaseId {
    ReleaseId::new(name).unwrap()
}

/// A state directory, a package and files of a user.
struct Disk {
    root: tempfile::TempDir,
    releases: Releases,
}

impl Disk {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        // tempfile gives access only to the owner, but workers run as another user.
        fs::set_permissions(root.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let path = |name: &str| root.path().join(name);
        let mut releases = Releases::new(path("lib"), path("pkg"));
        releases.hidden = vec![path("home")];
        for name in ["lib", "srv", "home"] {
            fs::create_dir(path(name)).unwrap();
        }
        Self { root, releases }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn package(&self, version: &str, program: &str) {
        fs::create_dir_all(self.path("pkg")).unwrap();
        fs::write(self.path("pkg/VERSION"), format!("{version}\n")).unwrap();
        fs::write(self.path("pkg/worker"), program).unwrap();
    }

    fn stage(&self) -> Option<String> {
        self.releases.stage_packaged(None).unwrap().map(|id| id.to_string())
    }

    /// A disk whose current release came from the package.
    fn with_current(version: &str) -> Self {
        let disk = Self::new();
        disk.package(version, &script(version));
        disk.stage();
        disk.releases.make_current(&id(version)).unwrap();
        disk
    }

    /// Creates a user's directory with a worker in it.
    fn directory(&self, name: &str) -> PathBuf {
        let dir = self.path(name);
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join(PROGRAM), script(name)).unwrap();
        fs::set_permissions(dir.join(PROGRAM), fs::Permissions::from_mode(0o755)).unwrap();
        dir
    }

    /// Sets when a release was added.
    fn came_at(&self, name: &str, second: u64) {
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(second);
        fs::File::open(self.path("lib/releases").join(name)).unwrap().set_modified(time).unwrap();
    }

    /// All names in the directory of releases.
    fn names(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.path("lib/releases")) else { return Vec::new() };
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

#[test]
fn a_package_becomes_a_release_once() {
    let disk = Disk::new();
    assert_eq!(disk.stage(), None, "no package, no release");
    disk.package("1.0.0", "old");
    assert_eq!(disk.stage().as_deref(), Some("1.0.0"));
    assert_eq!(disk.releases.current(), None, "a staged release is not current");
    disk.releases.make_current(&id("1.0.0")).unwrap();
    assert_eq!(disk.releases.current(), Some(id("1.0.0")));
    assert_eq!(disk.stage(), None);
    let program = disk.path("lib/current/worker");
    assert_eq!(fs::read_to_string(&program).unwrap(), "old");
    assert_eq!(fs::metadata(&program).unwrap().permissions().mode() & 0o777, 0o755);
}

#[test]
fn the_same_version_with_other_bytes_is_another_release() {
    let disk = Disk::with_current("1.0.0");
    disk.package("1.0.0", "new");
    assert_eq!(disk.stage().as_deref(), Some("1.0.0.2"));
    assert_eq!(disk.stage().as_deref(), Some("1.0.0.2"), "asking again changes nothing");
}

/// A worker may be large, and a reload waits for the answer.
#[test]
fn a_package_that_has_not_changed_is_not_read_again() {
    let disk = Disk::with_current("1.0.0");
    // If the copy were compared, it would differ.
    fs::write(disk.path("lib/current/worker"), "damaged").unwrap();
    assert_eq!(disk.stage(), None);
    let file = fs::read(disk.path("pkg/worker")).unwrap();
    fs::remove_file(disk.path("pkg/worker")).unwrap();
    fs::write(disk.path("pkg/worker"), file).unwrap();
    assert_eq!(disk.stage().as_deref(), Some("1.0.0.2"), "it is another file");
}

#[test]
fn another_version_with_the_same_bytes_is_another_release() {
    let disk = Disk::with_current("1.0.0");
    disk.package("1.0.1", &script("1.0.0"));
    assert_eq!(disk.stage().as_deref(), Some("1.0.1"));
    disk.releases.make_current(&id("1.0.1")).unwrap();
    assert_eq!(disk.stage(), None);
}

#[test]
fn a_package_does_not_replace_what_somebody_deployed() {
    let disk = Disk::with_current("1.0.0");
    let mine = disk.releases.stage_directory(&disk.directory("srv/mine"), None).unwrap();
    disk.releases.make_current(&mine).unwrap();
    disk.package("1.1.0", "new");
    assert_eq!(disk.stage(), None);
    disk.releases.make_current(&id("1.0.0")).unwrap();
    assert_eq!(disk.stage().as_deref(), Some("1.1.0"));
}

#[test]
fn a_package_goes_around_a_deployed_release_of_its_name() {
    let disk = Disk::with_current("1.0.0");
    // The directory is gone, but its name is still taken.
    let mine = disk.directory("srv/mine");
    disk.releases.stage_directory(&mine, Some(id("1.1.0"))).unwrap();
    fs::remove_dir_all(&mine).unwrap();
    disk.package("1.1.0", &script("srv/mine"));
    assert_eq!(disk.stage().as_deref(), Some("1.1.0.2"));
}

#[test]
fn a_current_release_that_has_lost_its_link_is_still_the_current_one() {
    let disk = Disk::with_current("1.0.0");
    fs::remove_file(disk.path("lib/current")).unwrap();
    assert_eq!(disk.releases.stage_packaged(Some(&id("1.0.0"))).unwrap(), None);
    assert_eq!(disk.stage().as_deref(), Some("1.0.0"));
}

#[test]
fn an_interrupted_copy_is_made_good() {
    let disk = Disk::new();
    disk.package("1.0.0", "whole");
    fs::create_dir_all(disk.path("lib/releases/.staging")).unwrap();
    fs::write(disk.path("lib/releases/.staging/worker"), "ha").unwrap();
    assert_eq!(disk.stage().as_deref(), Some("1.0.0"));
    assert_eq!(fs::read_to_string(disk.path("lib/releases/1.0.0/worker")).unwrap(), "whole");
}

#[test]
fn rejection_lasts_until_a_rollout_succeeds() {
    let disk = Disk::with_current("1.0.0");
    disk.releases.stage_directory(&disk.directory("srv/bad"), None).unwrap();
    for bad in ["1.0.0", "bad"] {
        disk.releases.reject(&id(bad)).unwrap();
        assert!(disk.releases.is_rejected(&id(bad)));
        disk.releases.accept(&id(bad)).unwrap();
        assert!(!disk.releases.is_rejected(&id(bad)));
    }
    assert_eq!(fs::read_dir(disk.path("srv/bad")).unwrap().count(), 1, "the directory is not changed");
}

#[test]
fn a_new_release_is_not_rejected_for_an_old_one_of_its_name() {
    let disk = Disk::with_current("1.0.0");
    disk.releases.reject(&id("1.1.0")).unwrap();
    disk.package("1.1.0", "new");
    disk.stage();
    assert!(!disk.releases.is_rejected(&id("1.1.0")));
}

#[test]
fn a_version_that_is_no_name_is_refused() {
    let disk = Disk::new();
    disk.package("../../etc", "evil");
    let error = disk.releases.stage_packaged(None).unwrap_err().to_string();
    assert!(error.contains("cannot name a release"), "{error}");
}

#[test]
fn the_list_tells_where_releases_come_from() {
    let disk = Disk::with_current("1.0.0");
    disk.releases.reject(&id("1.0.0")).unwrap();
    let file = fs::File::open(disk.path("pkg/worker")).unwrap();
    disk.releases.stage_file(&file, Some(id("mine"))).unwrap();
    disk.came_at("1.0.0", 2);
    disk.came_at("mine", 1);
    let dir = disk.directory("srv/blog");
    disk.releases.stage_directory(&dir, None).unwrap();

    let listed = disk.releases.list().unwrap();
    let size = script("1.0.0").len() as u64;
    let told: Vec<_> = listed.iter().map(|r| (r.id.as_str(), r.origin.clone(), r.size)).collect();
    assert_eq!(
        told,
        [
            ("mine", Origin::File, Some(size)),
            ("1.0.0", Origin::Package, Some(size)),
            ("blog", Origin::Directory(dir), None),
        ]
    );
    assert_eq!(listed[0].added, SystemTime::UNIX_EPOCH + Duration::from_secs(1));
}

#[test]
fn what_is_not_needed_is_removed_and_the_current_release_stays() {
    let disk = Disk::new();
    for version in ["1.0.0", "1.1.0", "1.2.0"] {
        disk.package(version, version);
        disk.stage();
    }
    disk.releases.make_current(&id("1.2.0")).unwrap();
    disk.releases.reject(&id("1.1.0")).unwrap();
    disk.releases.remove_all(&["1.1.0", "0.9.0", "1.2.0"].map(id)).unwrap();
    assert_eq!(disk.names(), ["1.0.0", "1.2.0"]);
}

#[test]
fn removing_leaves_a_deployed_directory_alone() {
    let disk = Disk::with_current("1.0.0");
    let dir = disk.directory("srv/blog");
    disk.releases.stage_directory(&dir, None).unwrap();
    disk.releases.remove_all(&[id("blog")]).unwrap();
    assert_eq!(disk.names(), ["1.0.0"]);
    assert!(dir.join(PROGRAM).exists());
}

#[test]
fn removing_takes_away_what_an_interruption_left() {
    let disk = Disk::with_current("1.0.0");
    for name in [".staging", ".removed"] {
        fs::create_dir(disk.path("lib/releases").join(name)).unwrap();
        fs::write(disk.path("lib/releases").join(name).join(PROGRAM), "ha").unwrap();
    }
    fs::write(disk.path("lib/releases/.gone.rejected"), "").unwrap();
    disk.releases.reject(&id("1.0.0")).unwrap();
    disk.releases.remove_all(&[]).unwrap();
    assert_eq!(disk.names(), [".1.0.0.rejected", "1.0.0"]);
}
