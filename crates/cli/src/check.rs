//! `app-cluster check`: the configuration and the units, as the orchestrator and systemd read them.

mod conf;
mod deadline;
mod demand;
mod live;
mod problem;
mod program;
mod rules;
mod started;
mod unit;
mod unit_file;
mod units;
mod users;
mod values;
mod verify;

use std::fmt::Write;
use std::path::{Path, PathBuf};

pub(crate) use live::{Standing, standing};
pub(crate) use units::{SOCKET, TARGET};

use crate::exit::Exit;
use crate::output;
use problem::{Findings, Problem};
use units::Units;

/// Checks the installation below `root`. The report says what is wrong, or which files were checked.
pub(crate) fn run(root: &Path) -> anyhow::Result<Exit> {
    let (report, exit) = report(root);
    output::print(&report)?;
    Ok(exit)
}

/// What is known of an installation.
struct Look {
    files: Vec<PathBuf>,
    settings: Option<config::Settings>,
    findings: Findings,
}

fn look(root: &Path) -> Look {
    let (mut files, _) = config::files(root);
    let mut findings = Findings::default();
    let settings = config::load(root);
    if let Err(error) = &settings {
        findings.extend(error.problems.iter().map(Problem::of_configuration));
    }
    let settings = settings.ok();
    let units = Units::load(root);
    files.extend(units.files());

    units.check(root, &mut findings);
    verify::check(root, &units, &mut findings);
    findings.extend(rules::check(&units));
    values::check(root, &units, &mut findings);
    conf::check(root, &units, &mut findings);
    program::check(root, &units, &mut findings);
    if let Some(settings) = &settings {
        deadline::check(&units, settings, &mut findings);
    }
    if root == Path::new("/") {
        live::check(&units, &mut findings);
    }
    Look { files, settings, findings }
}

/// What is wrong here that a restart of the cluster does not fix, a line each. If no worker serves, the orchestrator may
/// fail only because there is no listener. So that problem does not count then.
pub(crate) fn hindrances(is_served: bool) -> String {
    let cured = |problem: &Problem| match problem.label {
        live::LISTENER | live::SOCKET_FAILED | live::DAEMON_RELOAD => true,
        started::ORCHESTRATOR => !is_served,
        _ => false,
    };
    let findings = look(Path::new("/")).findings;
    let lasting = findings.problems.iter().filter(|problem| !cured(problem));
    lasting.map(|problem| format!("{problem}\n")).collect()
}

fn report(root: &Path) -> (String, Exit) {
    let Look { files, settings, findings: Findings { problems, warnings, unseen } } = look(root);
    let unseen: Vec<String> = unseen.iter().map(|what| format!("not checked: {what}")).collect();
    let mut text = String::new();
    // Writing to a String does not fail.
    if !problems.is_empty() {
        for problem in &problems {
            let _ = writeln!(text, "{problem}");
        }
        for line in warnings.iter().chain(&unseen) {
            let _ = writeln!(text, "{line}");
        }
        let _ = writeln!(text, "{} problem{}", problems.len(), if problems.len() == 1 { "" } else { "s" });
        return (text, Exit::Configuration);
    }
    for file in &files {
        let _ = writeln!(text, "{}: ok", file.display());
    }
    for key in settings.iter().flat_map(|settings| settings.effective()) {
        let origin =
            key.origin.map_or_else(|| "default".to_owned(), |origin| origin.file.display().to_string());
        let _ = writeln!(text, "{} = {}  # {origin}", key.key, key.value);
    }
    for line in warnings.iter().chain(&unseen) {
        let _ = writeln!(text, "{line}");
    }
    text.push_str(if unseen.is_empty() { "no problems\n" } else { "no problems in what could be checked\n" });
    (text, Exit::Done)
}

#[cfg(test)]
mod tests;
