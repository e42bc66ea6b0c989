//! The users that services run as, and which files they may use.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};
use std::process::Command;

use super::unit::Unit;

/// A user, with the groups that its process has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) name: String,
    uid: u32,
    groups: Vec<u32>,
}

/// A kind of access.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Want {
    Read,
    Execute,
}

impl Want {
    fn bit(self) -> u32 {
        match self {
            Self::Read => 0o4,
            Self::Execute => 0o1,
        }
    }
}

/// Whether the kernel would permit an access.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Access {
    Granted,
    /// This file, or directory on the way to it, forbids it.
    Denied(PathBuf),
    /// It is not known: this file is not accessible, or has an access control list.
    Unknown(PathBuf),
}

/// A line of passwd(5) or group(5) for `name`, which may be a number.
pub(super) fn entry(root: &Path, database: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(root.join("etc").join(database)).unwrap_or_default();
    let is_it = |line: &&str| {
        let mut fields = line.split(':');
        fields.next() == Some(name) || fields.nth(1) == Some(name)
    };
    if let Some(line) = text.lines().find(is_it) {
        return Some(line.to_owned());
    }
    // Users may come from other sources, nsswitch.conf(5). Of an image, only the files are known.
    let output =
        (root == Path::new("/")).then(|| Command::new("getent").args([database, name]).output().ok());
    let text = String::from_utf8(output??.stdout).ok()?;
    text.lines().next().map(str::to_owned)
}

/// The user that a service runs as; none if there is no such user, or if systemd creates one for it.
pub(super) fn of_service(root: &Path, unit: &Unit) -> Option<Account> {
    let user = unit.last("Service", "User").map_or("root", |user| user.value.as_str());
    let line = entry(root, "passwd", user)?;
    let fields: Vec<&str> = line.split(':').collect();
    let (name, uid) = (*fields.first()?, fields.get(2)?.parse().ok()?);
    let group = |name: &str| entry(root, "group", name)?.split(':').nth(2)?.parse::<u32>().ok();
    let primary = match unit.last("Service", "Group") {
        Some(named) => group(&named.value),
        None => fields.get(3)?.parse().ok(),
    };
    let supplementary = unit.list("Service", "SupplementaryGroups");
    let supplementary = supplementary.iter().flat_map(|a| a.value.split_whitespace()).filter_map(group);
    let groups = primary.into_iter().chain(supplementary).chain(memberships(root, name)).collect();
    Some(Account { name: name.to_owned(), uid, groups })
}

fn memberships(root: &Path, user: &str) -> Vec<u32> {
    let text = fs::read_to_string(root.join("etc/group")).unwrap_or_default();
    let of_user = |line: &str| {
        let fields: Vec<&str> = line.split(':').collect();
        fields.get(3)?.split(',').any(|member| member == user).then(|| fields[2].parse().ok())?
    };
    text.lines().filter_map(of_user).collect()
}

impl Account {
    /// Whether it has the access `want` to `file`, which exists below `root`.
    pub(super) fn may(&self, want: Want, root: &Path, file: &Path) -> Access {
        let Ok(real) = fs::canonicalize(file) else { return Access::Unknown(file.to_owned()) };
        let Ok(real_root) = fs::canonicalize(root) else { return Access::Unknown(root.to_owned()) };
        if !real.starts_with(&real_root) {
            return Access::Unknown(file.to_owned());
        }
        // The user needs access to the directories of a link and to those of its target.
        for (root, path) in [(root, file), (real_root.as_path(), real.as_path())] {
            for directory in between(root, path) {
                match self.may_here(Want::Execute, &directory) {
                    Access::Granted => {}
                    other => return other,
                }
            }
        }
        self.may_here(want, &real)
    }

    /// The same for this file or directory alone, inode(7).
    fn may_here(&self, want: Want, path: &Path) -> Access {
        let Ok(metadata) = fs::metadata(path) else { return Access::Unknown(path.to_owned()) };
        let mode = metadata.mode();
        let bits = if self.uid == metadata.uid() {
            mode >> 6
        } else if self.groups.contains(&metadata.gid()) {
            mode >> 3
        } else {
            mode
        };
        // capabilities(7), CAP_DAC_OVERRIDE: even root may execute only a file that has an execute bit.
        let may =
            if self.uid == 0 { want == Want::Read || mode & 0o111 != 0 } else { bits & want.bit() != 0 };
        if may {
            Access::Granted
        } else if has_access_list(path) {
            Access::Unknown(path.to_owned())
        } else {
            Access::Denied(path.to_owned())
        }
    }
}

/// The directories from `root` down to the one that holds `path`.
fn between(root: &Path, path: &Path) -> Vec<PathBuf> {
    let Some(inner) = path.parent().and_then(|parent| parent.strip_prefix(root).ok()) else {
        return Vec::new();
    };
    let mut directories = vec![root.to_owned()];
    for part in inner.components().filter(|part| matches!(part, Component::Normal(_))) {
        directories.push(directories[directories.len() - 1].join(part));
    }
    directories
}

/// acl(5): the mode does not contain what the list grants.
fn has_access_list(path: &Path) -> bool {
    rustix::fs::getxattr(path, "system.posix_acl_access", &mut [0_u8; 0]).is_ok_and(|length| length > 0)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    /// A user that owns nothing and is in no group.
    fn stranger() -> Account {
        Account { name: "stranger".to_owned(), uid: u32::MAX - 7, groups: Vec::new() }
    }

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_file_and_every_directory_on_the_way_count() {
        let root = tempfile::tempdir().unwrap();
        let (directory, file, link) =
            (root.path().join("a"), root.path().join("a/file"), root.path().join("link"));
        fs::create_dir(&directory).unwrap();
        fs::write(&file, "").unwrap();
        symlink("a/file", &link).unwrap();
        set_mode(root.path(), 0o711);
        set_mode(&directory, 0o711);
        set_mode(&file, 0o604);
        let may = |want| stranger().may(want, root.path(), &link);
        assert_eq!(may(Want::Read), Access::Granted);
        assert_eq!(may(Want::Execute), Access::Denied(fs::canonicalize(&file).unwrap()));
        set_mode(&directory, 0o700);
        assert_eq!(may(Want::Read), Access::Denied(fs::canonicalize(&directory).unwrap()));
    }

    #[test]
    fn the_class_decides_as_in_the_kernel() {
        let root = tempfile::tempdir().unwrap();
        set_mode(root.path(), 0o711);
        let file = root.path().join("file");
        fs::write(&file, "").unwrap();
        let metadata = fs::metadata(&file).unwrap();
        // For the owner, only the owner's bits count, even if others have more rights.
        set_mode(&file, 0o044);
        let owner =
            Account { name: "owner".to_owned(), uid: metadata.uid() | 1 << 30, groups: vec![metadata.gid()] };
        assert_eq!(owner.may(Want::Read, root.path(), &file), Access::Granted);
        set_mode(&file, 0o404);
        assert!(matches!(owner.may(Want::Read, root.path(), &file), Access::Denied(_)));
        assert_eq!(stranger().may(Want::Read, root.path(), &file), Access::Granted);
    }
}
