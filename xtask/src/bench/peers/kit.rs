//! What the machine needs to run the peers. It has no network to download it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use machine::Boot;
use xshell::cmd;

use super::plain;
use crate::{bench::cluster::Cluster, host, tree, workspace::Workspace};

/// The versions that are measured.
const PM2: &str = "7.0.4";
const GUNICORN: &str = "27.0.1";

/// Debian packages that only the peers' machine has.
const PACKAGES: [&str; 2] = ["nodejs", "python3"];

/// The places on the host that the machine's files come from.
pub(in crate::bench) struct Kit {
    root: PathBuf,
    /// The program `plain-axum`.
    axum: PathBuf,
    /// Contains `node_modules`.
    pm2: PathBuf,
    /// Contains the module `gunicorn`.
    gunicorn: PathBuf,
}

impl Kit {
    /// The kit's places, whether or not they exist.
    pub(in crate::bench) fn of(workspace: &Workspace) -> Self {
        let fetched = workspace.target.join("peers");
        Self {
            root: workspace.root.clone(),
            axum: workspace.release("plain-axum"),
            pm2: fetched.join(format!("pm2-{PM2}")),
            gunicorn: fetched.join(format!("gunicorn-{GUNICORN}")),
        }
    }

    /// Builds and installs what is missing.
    pub(in crate::bench) fn fetch(&self, workspace: &Workspace) -> Result<()> {
        workspace.cargo().args(["build", "--release", "-p", "peers"]).run()?;
        once(&self.pm2, |partial| npm(workspace, partial))
            .with_context(|| format!("failed to install pm2 {PM2}, without which PM2 cannot be measured"))?;
        once(&self.gunicorn, |partial| pip(workspace, partial))
            .with_context(|| format!("failed to install gunicorn {GUNICORN}, which is to be measured"))
    }

    /// Adds to a machine what must be there when it boots.
    pub(in crate::bench) fn pack(&self, boot: Boot) -> Boot {
        boot.packages(&PACKAGES).directory(&self.pm2, "/opt/npm").directory(&self.gunicorn, "/opt/pip")
    }

    /// Copies programs and units into a booted machine.
    pub(super) fn unpack(&self, cluster: &Cluster) -> Result<()> {
        let machine = &cluster.machine;
        let root = self.root.join("tests/peers/root");
        for file in tree::files(&root)? {
            let inside = Path::new("/").join(file.strip_prefix(&root)?);
            machine.copy_in(&file, &inside.to_string_lossy());
        }
        machine.copy_in(&self.axum, plain::PROGRAM);
        for (name, text) in plain::units(&self.root)? {
            machine.write_file(&format!("/etc/systemd/system/{name}"), &text);
        }
        machine.systemctl(["daemon-reload"]).into_success()?;
        Ok(())
    }

    /// The peers of app-cluster, with versions.
    pub(super) fn versions(&self, cluster: &Cluster) -> Result<String> {
        let lock = fs::read_to_string(self.root.join("Cargo.lock")).context("failed to read Cargo.lock")?;
        let [axum, hyper, tokio] = ["axum", "hyper", "tokio"].map(|name| locked(&lock, name));
        let node = cluster.machine.run(["node", "--version"]).into_success()?;
        let python = cluster.machine.run(["python3", "--version"]).into_success()?;
        Ok(format!(
            "axum {}, hyper {}, tokio {}; PM2 {PM2}; Node {}; gunicorn {GUNICORN}, {python}",
            axum?,
            hyper?,
            tokio?,
            node.trim_start_matches('v'),
        ))
    }
}

/// Makes a directory if it does not exist. A half-finished one does not count.
fn once(directory: &Path, make: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    if directory.exists() {
        return Ok(());
    }
    eprintln!("xtask: installing {}", directory.display());
    let partial = directory.with_extension("partial");
    if partial.exists() {
        fs::remove_dir_all(&partial)?;
    }
    fs::create_dir_all(&partial)?;
    make(&partial)?;
    Ok(fs::rename(&partial, directory)?)
}

fn npm(workspace: &Workspace, directory: &Path) -> Result<()> {
    let shell = &workspace.shell;
    if cmd!(shell, "npm --version").quiet().ignore_stdout().ignore_stderr().run().is_err() {
        host::install(shell, &["npm"])?;
    }
    let quietly = ["--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"];
    let package = format!("pm2@{PM2}");
    cmd!(shell, "npm install {quietly...} --prefix {directory} {package}").quiet().ignore_stdout().run()?;
    Ok(())
}

fn pip(workspace: &Workspace, directory: &Path) -> Result<()> {
    let shell = &workspace.shell;
    host::install(shell, &["python3-pip"])?;
    let quietly = ["--quiet", "--disable-pip-version-check", "--root-user-action=ignore"];
    let package = format!("gunicorn=={GUNICORN}");
    cmd!(shell, "/usr/bin/python3 -m pip install {quietly...} --target {directory} {package}")
        .quiet()
        .run()?;
    Ok(())
}

/// A crate's version in a Cargo.lock.
fn locked<'a>(lock: &'a str, name: &str) -> Result<&'a str> {
    let block = lock.split("[[package]]").find(|block| block.contains(&format!("\nname = \"{name}\"\n")));
    let version = block.and_then(|block| block.split("version = \"").nth(1)?.split('"').next());
    version.with_context(|| format!("Cargo.lock has no {name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_locked_version_is_the_crates_own() {
        let lock = "version = 4\n\n[[package]]\nname = \"axum-core\"\nversion = \"0.5.0\"\n\n\
            [[package]]\nname = \"axum\"\nversion = \"0.8.9\"\nsource = \"x\"\n";
        assert_eq!(locked(lock, "axum").unwrap(), "0.8.9");
        assert!(locked(lock, "hyper").is_err());
    }
}
