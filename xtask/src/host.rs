//! The machine that this program runs on: privileges and Debian packages.

use std::{env, os::unix::process::CommandExt, process::Command};

use anyhow::{Context, Result, bail};
use xshell::{Shell, cmd};

/// The packages that building needs.
pub(crate) const TO_BUILD: &[&str] = &["dpkg-dev", "gcc", "libc6-dev"];

/// The packages for booting machines, and for finding the process that uses a port.
pub(crate) const TO_BOOT: &[&str] = &["iproute2", "mmdebstrap", "systemd-container", "util-linux"];

/// The packages for the tests without a machine: a private user manager and a bus.
pub(crate) const TO_TEST: &[&str] = &["dbus", "dbus-daemon", "systemd", "util-linux"];

/// Passed through sudo, so that root uses the same cargo with the same target directory.
const KEPT: [&str; 10] = [
    "PATH",
    "CARGO",
    "CARGO_HOME",
    "CARGO_MANIFEST_DIR",
    "CARGO_TARGET_DIR",
    "CI",
    "RUSTUP_HOME",
    "RUSTUP_TOOLCHAIN",
    "TERM",
    "XDG_CACHE_HOME",
];

/// Continues as root. If this process is not root, it restarts through sudo.
pub(crate) fn ensure_root() -> Result<()> {
    if rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let mut sudo = Command::new("sudo");
    sudo.args(["--", "env"]);
    let home = env::var("HOME").context("HOME is not set")?;
    for name in KEPT {
        let default = match name {
            "CARGO_HOME" => Some(format!("{home}/.cargo")),
            "RUSTUP_HOME" => Some(format!("{home}/.rustup")),
            "XDG_CACHE_HOME" => Some(format!("{home}/.cache")),
            _ => None,
        };
        if let Some(value) = env::var(name).ok().or(default) {
            sudo.arg(format!("{name}={value}"));
        }
    }
    eprintln!("xtask: machines need root, continuing through sudo");
    let error = sudo.arg(env::current_exe()?).args(env::args_os().skip(1)).exec();
    Err(error).context("failed to run sudo; run this as root instead")
}

/// Installs those of these Debian packages that are missing.
pub(crate) fn install(shell: &Shell, packages: &[&str]) -> Result<()> {
    let missing: Vec<_> = packages.iter().copied().filter(|name| !is_installed(shell, name)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    eprintln!("xtask: installing Debian packages: {}", missing.join(" "));
    apt_get(shell, &["update"])?;
    apt_get(shell, &[&["install", "--yes", "--no-install-recommends"], missing.as_slice()].concat())
}

fn apt_get(shell: &Shell, arguments: &[&str]) -> Result<()> {
    let is_root = rustix::process::geteuid().is_root();
    let (program, env) = if is_root { ("env", None) } else { ("sudo", Some("env")) };
    let apt_get = cmd!(shell, "{program} {env...} DEBIAN_FRONTEND=noninteractive apt-get {arguments...}");
    let output = apt_get.quiet().ignore_status().output()?;
    if !output.status.success() {
        bail!("apt-get {} failed:\n{}", arguments.join(" "), String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

fn is_installed(shell: &Shell, package: &str) -> bool {
    let format = "--showformat=${db:Status-Status}";
    let status = cmd!(shell, "dpkg-query --show {format} {package}").quiet().ignore_stderr().read();
    status.is_ok_and(|status| status == "installed")
}
