//! Configuration that the orchestrator does not read: files with other names, and files that its user cannot read.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::problem::{Findings, Problem};
use super::unit;
use super::units::{SERVICE, Units};
use super::users::{self, Access, Account, Want};

/// Adds what is wrong with the configuration files below `root`, and with the names of the units' drop-ins.
pub(super) fn check(root: &Path, units: &Units, findings: &mut Findings) {
    let conf_d = config::DIRECTORIES.map(|directory| root.join(directory).join("conf.d"));
    for directory in &conf_d {
        findings.extend(not_read(directory, "toml"));
    }
    for loaded in &units.loaded {
        for directory in unit::drop_in_directories(&units.directories, &loaded.name) {
            findings.extend(not_read(&directory, "conf"));
        }
    }
    let account = units.get(SERVICE).and_then(|unit| users::of_service(root, unit));
    if let Some(account) = account {
        let (files, _) = config::files(root);
        let directories = conf_d.into_iter().filter(|directory| directory.is_dir());
        for path in directories.chain(files.into_iter().filter(|file| file.is_file())) {
            can_be_read(root, &account, &path, findings);
        }
    }
}

/// Files that are not read because their names do not end in `.extension`, although this seems to be a mistake.
fn not_read(directory: &Path, extension: &str) -> Vec<Problem> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let mut names: Vec<String> =
        entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    let is_meant = |name: &&String| directory.join(name).is_file() && !is_set_aside(name, extension);
    names
        .iter()
        .filter(is_meant)
        .map(|name| {
            let stem = Path::new(name).file_stem().unwrap_or_default().to_string_lossy();
            let (file, better) = (directory.join(name), directory.join(format!("{stem}.{extension}")));
            let is_taken = better.symlink_metadata().is_ok();
            let (file, better) = (file.display(), better.display());
            let advice = match is_taken {
                true => {
                    format!(
                        "{better} is there already: rename this file, or copy what is missing into that one"
                    )
                }
                false => format!("write `mv -n {file} {better}`"),
            };
            let text = format!("is not read, its name does not end in .{extension}; {advice}");
            Problem::new("name", file.to_string(), text)
        })
        .collect()
}

/// Whether a file is read, or is set aside on purpose: notes, and files that editors and dpkg leave.
fn is_set_aside(name: &str, extension: &str) -> bool {
    const ASIDE: [&str; 11] =
        ["md", "txt", "bak", "old", "orig", "save", "swp", "tmp", "disabled", "off", "example"];
    let (stem, ending) = name.rsplit_once('.').unwrap_or((name, ""));
    ending == extension
        || name.starts_with('.')
        || name.ends_with('~')
        || stem.eq_ignore_ascii_case("readme")
        || ASIDE.contains(&ending)
        || ending.starts_with("dpkg-")
        || ending.starts_with("ucf-")
}

fn can_be_read(root: &Path, account: &Account, path: &Path, findings: &mut Findings) {
    let user = &account.name;
    let listed = if path.is_dir() { account.may(Want::Execute, root, path) } else { Access::Granted };
    let access = match account.may(Want::Read, root, path) {
        Access::Granted => listed,
        other => other,
    };
    match access {
        Access::Granted => {}
        Access::Denied(at) => {
            let text = format!(
                "user {user} cannot read it (the orchestrator would refuse to start or reload); write `chmod {} {}`",
                if at.is_dir() { "o+rx" } else { "o+r" },
                at.display(),
            );
            findings.add(Problem::new("unreadable-conf", path.display().to_string(), text));
        }
        Access::Unknown(at) => findings.not_seen(whether(user, "read", path, &at)),
    }
}

/// What cannot be checked about `path`, because of `at`.
pub(super) fn whether(user: &str, verb: &str, path: &Path, at: &PathBuf) -> String {
    let why = match fs::metadata(at) {
        Ok(metadata) if metadata.permissions().mode() != 0 => {
            "has an access control list, or leads out of the root"
        }
        _ => "is accessible only to root",
    };
    format!("whether user {user} can {verb} {}: {} {why}", path.display(), at.display())
}
