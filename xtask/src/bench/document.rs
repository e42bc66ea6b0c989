//! `docs/benchmarks.md`: one section for each part and Debian release. A new measurement replaces its
//! section.

use std::{fmt, fs, io, thread};

use anyhow::{Context, Result};
use xshell::cmd;

use super::cluster::Cluster;
use crate::workspace::{VERSION, Workspace};

/// The path of the document, relative to the top directory.
const PATH: &str = "docs/benchmarks.md";

/// How the document begins.
const PREAMBLE: &str = "\
# Benchmarks

Written by `cargo xtask bench`, on booted machines with the package installed. Each section says where and when it was
measured. Times drift from machine to machine; what is promised are the ratios, and what stays as it is.
";

/// The result of one measurement.
pub(super) struct Section {
    heading: String,
    text: String,
}

impl Section {
    /// The section with this title about this cluster.
    pub(super) fn new(workspace: &Workspace, cluster: &Cluster, title: &str, figures: &str) -> Result<Self> {
        let debian = cluster.machine.shell(". /etc/os-release && echo Debian $VERSION_ID").into_success()?;
        let systemd = cluster.machine.systemctl(["--version"]).into_success()?;
        let systemd = systemd.lines().next().unwrap_or_default();
        let date = cmd!(workspace.shell, "date --utc +%F").quiet().read()?;
        let command = std::env::args().skip(1).collect::<Vec<_>>().join(" ");
        let text = format!(
            "{date}, app-cluster {VERSION}, {systemd}, {}\n`cargo xtask {command}`\n\n{figures}",
            host()?
        );
        Ok(Self { heading: format!("## {title}, {debian}"), text })
    }
}

impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n\n{}\n", self.heading, self.text.trim_end())
    }
}

/// Replaces the section with the same title. Without one, appends the section.
pub(super) fn replace(workspace: &Workspace, section: &Section) -> Result<()> {
    let path = workspace.root.join(PATH);
    let before = match fs::read_to_string(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => PREAMBLE.to_owned(),
        text => text.with_context(|| format!("failed to read {PATH}"))?,
    };
    fs::write(&path, replaced(&before, section)).with_context(|| format!("failed to write {PATH}"))?;
    println!("{PATH}: {}", section.heading.trim_start_matches("## "));
    Ok(())
}

fn replaced(before: &str, section: &Section) -> String {
    let mut parts: Vec<String> = vec![String::new()];
    for line in before.lines() {
        if line.starts_with("## ") {
            parts.push(String::new());
        }
        if let Some(part) = parts.last_mut() {
            *part += &format!("{line}\n");
        }
    }
    match parts.iter_mut().find(|part| part.lines().next() == Some(&section.heading)) {
        Some(part) => *part = section.to_string(),
        None => parts.push(section.to_string()),
    }
    let parts: Vec<&str> = parts.iter().map(|part| part.trim_end()).collect();
    format!("{}\n", parts.join("\n\n"))
}

/// `AMD EPYC, 2 cores, Linux 6.18.44`
fn host() -> Result<String> {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").context("failed to read /proc/cpuinfo")?;
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let (_, model) = model.unwrap_or(("", "a processor without a name"));
    let kernel =
        fs::read_to_string("/proc/sys/kernel/osrelease").context("failed to read the kernel's release")?;
    let cores = thread::available_parallelism()?;
    Ok(format!("{model}, {cores} cores, Linux {}", kernel.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(title: &str, text: &str) -> Section {
        Section { heading: format!("## {title}"), text: text.to_owned() }
    }

    #[test]
    fn a_section_comes_to_the_end_or_takes_the_place_of_its_predecessor() {
        let one = replaced("# Benchmarks\n\nWords.\n", &section("Soak, Debian 12", "old\n"));
        let two = replaced(&one, &section("Soak, Debian 13", "other"));
        let new = replaced(&two, &section("Soak, Debian 12", "new"));
        let expected = "\
            # Benchmarks\n\nWords.\n\n\
            ## Soak, Debian 12\n\nnew\n\n\
            ## Soak, Debian 13\n\nother\n";
        assert_eq!(new, expected);
    }
}
