//! What systemd itself reports about the units. `systemd-analyze verify` does not need a running systemd.
//!
//! It reads the files in place, with all drop-ins, as PID 1 would. A copy would lack the units that they depend on.

mod advice;
mod keys;
mod said;

use std::path::Path;
use std::process::Command;

use names::Names;

use super::problem::{CONFIGURATION, Findings, Problem, VERIFY};
use super::unit_file::Assignment;
use super::units::{Loaded, Units, is_same};
use keys::Keys;
use said::Said;

/// Adds what systemd finds wrong with the units below `root`.
pub(super) fn check(root: &Path, units: &Units, findings: &mut Findings) {
    let names: Vec<String> = units.loaded.iter().map(Loaded::instance).collect();
    let text = match ask(root, &names) {
        Ok(text) => text,
        Err(error) => return findings.not_seen(format!("what systemd says of the units: {error}")),
    };
    let said: Vec<Said<'_>> = text.lines().filter_map(said::parse).collect();
    let mut keys = None;
    for said in &said {
        let problem = match said {
            Said::OfLine { file, line, message } => {
                let keys = keys.get_or_insert_with(Keys::of_systemd);
                of_line(units, keys, Path::new(file), *line, message)
            }
            Said::OfUnit { unit, message } => of_unit(root, units, unit, message),
            Said::Follows(_) => None,
        };
        findings.extend(problem);
    }
    // The message that a unit cannot be loaded follows another one. If there is no other one, it is reported.
    if findings.problems.iter().all(|problem| problem.label == CONFIGURATION) {
        let follows = said.iter().filter_map(|said| match said {
            Said::Follows(message) => Some(*message),
            _ => None,
        });
        let concerns = |message: &&str| names.iter().any(|name| message.contains(name.as_str()));
        findings.extend(follows.filter(concerns).map(|message| {
            let advice = "`systemctl cat` and the name of the unit show its files";
            Problem::new(VERIFY, "systemd", format!("says \"{message}\"; {advice}"))
        }));
    }
}

/// What `systemd-analyze verify` says. Its exit status counts warnings in some versions and not in others.
fn ask(root: &Path, names: &[String]) -> Result<String, String> {
    let mut command = Command::new("systemd-analyze");
    command.args(["verify", "--man=no", "--recursive-errors=no"]).args(names).env_clear();
    // The rest of the environment could change where it looks and what it prints.
    command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("LC_ALL", "C").env("SYSTEMD_COLORS", "0");
    if root != Path::new("/") {
        command.arg(format!("--root={}", root.display()));
    }
    let output = command.output().map_err(|error| format!("cannot run systemd-analyze: {error}"))?;
    Ok(String::from_utf8_lossy(&output.stderr).into_owned())
}

fn of_line(units: &Units, keys: &Keys, file: &Path, line: usize, message: &str) -> Option<Problem> {
    // systemd also loads units that the cluster's units depend on. Problems in those are not reported. If /lib is a
    // link, systemd prints /lib.
    let file = &units.files().into_iter().find(|ours| is_same(ours, file))?;
    let advice = advice::of_line(keys, message, assignment_at(units, file, line));
    let at = assignment_at(units, file, line).filter(|_| said::is_about_a_key(message));
    let key = at.map_or_else(String::new, |at| format!(": [{}] {}", at.section, at.key));
    let place = format!("{}:{line}{key}", file.display());
    Some(Problem::new(VERIFY, place, format!("systemd says \"{message}\"; {advice}")))
}

/// The assignment on a line, or the one that continues there.
fn assignment_at<'a>(units: &'a Units, file: &Path, line: usize) -> Option<&'a Assignment> {
    let all = units.loaded.iter().flat_map(|loaded| loaded.unit.all());
    all.filter(|a| a.file == file && a.line <= line).max_by_key(|a| a.line)
}

fn of_unit(root: &Path, units: &Units, name: &str, message: &str) -> Option<Problem> {
    let loaded = units.loaded.iter().find(|loaded| loaded.instance() == name)?;
    // It checks as the user that it runs as. Another check examines the access of the service's user.
    let is_for_program = message.ends_with("is not executable: Permission denied");
    if is_for_program || is_to_come(root, message) {
        return None;
    }
    let at = advice::assignment_behind(&loaded.unit, message);
    let place = at.map_or_else(|| loaded.unit.file.display().to_string(), Assignment::place);
    let advice = advice::of_unit(&loaded.name, message);
    Some(Problem::new(VERIFY, place, format!("systemd says \"{message}\"; {advice}")))
}

/// Whether it is about the program of a worker, which exists only after the orchestrator has started the worker.
fn is_to_come(root: &Path, message: &str) -> bool {
    let links = Names::packaged().links();
    let mut paths = message.split_whitespace().map(Path::new).filter(|path| path.starts_with(&links));
    let link = paths.next().and_then(Path::parent).and_then(|link| link.strip_prefix("/").ok());
    link.is_some_and(|link| root.join(link).symlink_metadata().is_err())
}
