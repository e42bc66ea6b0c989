//! `app-cluster check`: the configuration and the units, as the orchestrator and systemd read them.

mod deadline;
mod demand;
mod rules;
mod unit;
mod unit_file;

use std::fmt::Write;
use std::path::Path;

use crate::exit::Exit;
use crate::output;
use deadline::Finding;

/// Checks the installation below `root`: what is wrong, or which files were looked at.
pub(crate) fn run(root: &Path) -> anyhow::Result<Exit> {
    let (report, exit) = report(root);
    output::print(&report)?;
    Ok(exit)
}

fn report(root: &Path) -> (String, Exit) {
    let (mut files, _) = config::files(root);
    let settings = config::load(root);
    let (unit_files, violations) = rules::check(root);
    files.extend(unit_files);

    let mut problems: Vec<String> = Vec::new();
    if let Err(error) = &settings {
        problems.extend(error.problems.iter().map(ToString::to_string));
    }
    // What a template or all services have wrong is found for each unit that it concerns.
    for violation in violations.iter().map(ToString::to_string) {
        if !problems.contains(&violation) {
            problems.push(violation);
        }
    }
    let mut warning = None;
    match settings.as_ref().ok().and_then(|settings| deadline::check(root, settings)) {
        Some(Finding::Problem(text)) => problems.push(text),
        Some(Finding::Warning(text)) => warning = Some(text),
        None => {}
    }

    let mut text = String::new();
    // Writing to a String does not fail.
    if !problems.is_empty() {
        for line in problems.iter().chain(&warning) {
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
    if let Some(warning) = warning {
        let _ = writeln!(text, "{warning}");
    }
    text.push_str("no problems\n");
    (text, Exit::Done)
}

#[cfg(test)]
mod tests;
