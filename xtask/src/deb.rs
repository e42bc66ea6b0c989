//! The Debian package.
//!
//! `packaging/root` has the hand-written part of the installed file system, and `packaging/debian` has the
//! package's control files. The rest is built. The same source and version give the same bytes.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use xshell::{Shell, cmd};

use crate::{
    docs, host,
    tree::{copy, files, set_modes},
    workspace::{VERSION, Workspace},
};

#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct Options {
    /// The package's version, and that of the release it brings [default: that of the source]
    #[arg(long, value_name = "V")]
    pub(crate) version: Option<String>,
}

/// Used if git cannot tell the date of the last change.
const DATE_WITHOUT_GIT: &str = "1767225600";

pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let package = build(workspace, options)?;
    println!("{}", package.display());
    Ok(())
}

/// Builds the package and returns its path. A package with another version contains the same programs.
pub(crate) fn build(workspace: &Workspace, options: &Options) -> Result<PathBuf> {
    let version = options.version.as_deref().unwrap_or(VERSION);
    host::install(&workspace.shell, host::TO_BUILD)?;
    let shell = &workspace.shell;
    let architecture = cmd!(shell, "dpkg --print-architecture").quiet().read()?;
    let directory = workspace.target.join("debian");
    let package = directory.join(format!("app-cluster_{version}_{architecture}.deb"));
    let stage = directory.join(format!("{version}.stage"));
    shell.remove_path(&stage)?;
    // dpkg-shlibdeps expects this name. It also recognises a package by DEBIAN/.
    let root = stage.join("debian/app-cluster");
    fs::create_dir_all(root.join("DEBIAN"))?;
    copy(&workspace.root.join("packaging/root"), &root)?;
    copy(&workspace.root.join("units"), &root.join("usr/lib/systemd/system"))?;
    let programs = build_programs(workspace, &root)?;
    let libraries = libraries(shell, &programs, &stage)?;
    let release = root.join("usr/lib/app-cluster/release");
    fs::write(release.join("VERSION"), format!("{version}\n"))?;
    let date = source_date(shell);
    install_documentation(workspace, version, &date, &root)?;
    let values = [("VERSION", version), ("ARCHITECTURE", &architecture), ("SHLIBS", &libraries)];
    control(workspace, &values, &root)?;
    set_modes(&root)?;

    let _date = shell.push_env("SOURCE_DATE_EPOCH", &date);
    let unfinished = stage.join("package.deb");
    cmd!(shell, "dpkg-deb --root-owner-group --build {root} {unfinished}").quiet().ignore_stdout().run()?;
    fs::rename(&unfinished, &package)?;
    Ok(package)
}

/// Builds the programs and puts them into the tree; returns where.
fn build_programs(workspace: &Workspace, root: &Path) -> Result<[PathBuf; 3]> {
    workspace
        .cargo()
        .args(["build", "--release", "-p", "cli", "-p", "orchestrator", "-p", "reference-worker", "--bins"])
        .run()?;
    let programs = [
        ("app-cluster", "usr/bin/app-cluster"),
        ("app-cluster-orchestrator", "usr/libexec/app-cluster/orchestrator"),
        ("app-cluster-worker", "usr/lib/app-cluster/release/worker"),
    ];
    for (program, path) in programs {
        let (from, to) = (workspace.release(program), root.join(path));
        install(&from, &to)?;
        let unneeded = ["--strip-unneeded", "--remove-section=.comment", "--remove-section=.note"];
        cmd!(workspace.shell, "strip {unneeded...} {to}").quiet().run()?;
    }
    Ok(programs.map(|(_, path)| root.join(path)))
}

fn install(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to.parent().unwrap_or(to))?;
    fs::copy(from, to).with_context(|| format!("failed to copy {}", from.display()))?;
    fs::set_permissions(to, fs::Permissions::from_mode(0o755))?;
    Ok(())
}

fn install_documentation(workspace: &Workspace, version: &str, date: &str, root: &Path) -> Result<()> {
    let shell = &workspace.shell;
    let share = root.join("usr/share");
    let man1 = share.join("man/man1");
    fs::create_dir_all(&man1)?;
    docs::man_pages(&man1)?;
    docs::completions(&share)?;
    let changelog = share.join("doc/app-cluster/changelog");
    let date = cmd!(shell, "date --utc --rfc-email --date=@{date}").quiet().read()?;
    let values = [("VERSION", version), ("DATE", &date)];
    fs::write(&changelog, filled(&workspace.root.join("packaging/debian/changelog"), &values)?)?;
    let pages = files(&share.join("man"))?.into_iter().chain([changelog]);
    cmd!(shell, "gzip --best --no-name").args(pages).quiet().run()?;
    Ok(())
}

/// The packages that hold the shared libraries, with the versions needed.
fn libraries(shell: &Shell, programs: &[PathBuf], stage: &Path) -> Result<String> {
    fs::write(
        stage.join("debian/control"),
        "Source: app-cluster\n\nPackage: app-cluster\nArchitecture: any\n",
    )?;
    let _directory = shell.push_dir(stage);
    let answer = cmd!(shell, "dpkg-shlibdeps -O").args(programs).quiet().read()?;
    let libraries = answer.trim().strip_prefix("shlibs:Depends=");
    Ok(libraries.with_context(|| format!("dpkg-shlibdeps said: {answer}"))?.to_owned())
}

/// Writes `DEBIAN/`, from which dpkg-deb makes the control part.
fn control(workspace: &Workspace, values: &[(&str, &str)], root: &Path) -> Result<()> {
    let source = workspace.root.join("packaging/debian");
    let target = root.join("DEBIAN");
    let mut sums = String::new();
    let mut bytes = 0;
    for file in files(root)? {
        let path = file.strip_prefix(root)?.display().to_string();
        bytes += file.metadata()?.len();
        if !path.starts_with("etc/") {
            let shell = &workspace.shell;
            let sum = cmd!(shell, "md5sum {file}").quiet().read()?;
            let (sum, _) = sum.split_once(' ').context("md5sum prints the sum first")?;
            sums += &format!("{sum}  {path}\n");
        }
    }
    let size = bytes.div_ceil(1024).to_string();
    let values = [values, &[("SIZE", &size)]].concat();
    fs::write(target.join("md5sums"), sums)?;
    fs::write(target.join("control"), filled(&source.join("control"), &values)?)?;
    for name in ["conffiles", "preinst", "postinst", "prerm", "postrm"] {
        fs::copy(source.join(name), target.join(name))?;
    }
    Ok(())
}

/// The text of a file with each `@NAME@` replaced.
fn filled(path: &Path, values: &[(&str, &str)]) -> Result<String> {
    let mut text = fs::read_to_string(path).with_context(|| format!("failed to read {}", path.display()))?;
    for (name, value) in values {
        text = text.replace(&format!("@{name}@"), value);
    }
    Ok(text)
}

/// The date of the last change, in seconds since the epoch. No file in the package is newer.
fn source_date(shell: &Shell) -> String {
    cmd!(shell, "git log -1 --format=%ct")
        .quiet()
        .ignore_stderr()
        .read()
        .ok()
        .filter(|date| !date.is_empty())
        .unwrap_or_else(|| DATE_WITHOUT_GIT.to_owned())
}
