//! Releases that fail: the new package with a different worker.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

use crate::Package;

/// The fault of a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// Its worker prints the reason on stderr and exits with status 1.
    FailsBeforeReady,
    /// Its worker never sends READY=1.
    HangsBeforeReady,
    /// SIGABRT kills its worker a second after its start.
    DiesAfterReady,
    /// Its worker sends READY=1, but never feeds its watchdog.
    StallsAfterReady,
    /// Its worker fails as instance 2 and works as any other instance.
    FailsAsTheSecond,
    /// Its worker answers one of five requests with 500.
    AnswersWithErrors,
    /// Its worker needs a fifth of a second for each response.
    AnswersSlowly,
    /// Its worker says READY=1 and feeds its watchdog, and listens on a port of its own.
    AcceptsNothing,
}

impl Flaw {
    /// The message of a worker that reports why it fails.
    pub const REASON: &str = "cannot open the database: the schema is of version 7, expected 8";

    /// A worker with this flaw. `good` is the path of a worker without one.
    #[must_use]
    pub fn program(self, good: &str) -> String {
        let reason = Self::REASON;
        match self {
            Self::FailsBeforeReady => format!("#!/bin/sh\necho '{reason}' >&2\nexit 1\n"),
            Self::HangsBeforeReady => format!("#!/bin/sh\nAPP_CLUSTER_FAULT_START=hang exec {good}\n"),
            Self::DiesAfterReady => {
                format!("#!/bin/sh\nAPP_CLUSTER_FAULT_START=crash-after=1s exec {good}\n")
            }
            // systemd accepts messages only from the main process (NotifyAccess=main), so systemd-notify(1)
            // does not help.
            Self::StallsAfterReady => format!(
                "#!/usr/bin/perl\nuse Socket;\nsocket(my $notify, AF_UNIX, SOCK_DGRAM, 0) or die;\n\
                 send($notify, 'READY=1', 0, pack_sockaddr_un($ENV{{NOTIFY_SOCKET}})) or die;\n\
                 print STDERR \"{reason}\\n\";\nsleep;\n"
            ),
            Self::AcceptsNothing => "#!/usr/bin/perl\nuse Socket;\n\
                 socket(my $own, AF_INET, SOCK_STREAM, 0) or die;\n\
                 bind($own, pack_sockaddr_in(0, INADDR_LOOPBACK)) and listen($own, 9) or die;\n\
                 socket(my $notify, AF_UNIX, SOCK_DGRAM, 0) or die;\n\
                 my $systemd = pack_sockaddr_un($ENV{NOTIFY_SOCKET});\n\
                 send($notify, 'READY=1', 0, $systemd) or die;\n\
                 while (sleep 1) { send($notify, 'WATCHDOG=1', 0, $systemd) or die }\n"
                .to_owned(),
            Self::AnswersWithErrors => format!("#!/bin/sh\nAPP_CLUSTER_FAULT_ERRORS=0.2 exec {good}\n"),
            Self::AnswersSlowly => format!("#!/bin/sh\nAPP_CLUSTER_FAULT_SLOW=200ms exec {good}\n"),
            Self::FailsAsTheSecond => format!(
                "#!/bin/sh\n[ \"$APP_CLUSTER_INSTANCE\" != 2 ] || {{ echo '{reason}' >&2; exit 1; }}\nexec {good}\n"
            ),
        }
    }
}

const RELEASE: &str = "usr/lib/app-cluster/release";
/// The path of the packaged worker in a flawed package.
const PACKAGED: &str = "usr/lib/app-cluster/release/packaged-worker";

/// A package file that is deleted at the end of its test.
#[derive(Debug)]
pub(crate) struct Flawed {
    /// The version of the package.
    pub(crate) version: String,
    /// The path of the file.
    pub(crate) path: PathBuf,
    _directory: TempDir,
}

/// Repacks the new package with a worker that has this flaw, and with a version higher than all others.
pub(crate) fn flawed(flaw: Flaw) -> Flawed {
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let root = directory.path().join("root");
    dpkg_deb(&["--raw-extract".as_ref(), &Package::New.path(), &root]);

    let version = format!("{}+flawed", Package::New.version());
    let control = root.join("DEBIAN/control");
    let text = fs::read_to_string(&control).expect("a package has a control file");
    let with_version = |line: &str| match line.strip_prefix("Version: ") {
        Some(_) => format!("Version: {version}\n"),
        None => format!("{line}\n"),
    };
    write(&control, &text.lines().map(with_version).collect::<String>(), 0o644);
    write(&root.join(RELEASE).join("VERSION"), &format!("{version}\n"), 0o644);

    let worker = root.join(RELEASE).join("worker");
    fs::rename(&worker, root.join(PACKAGED)).expect("the package has a worker");
    write(&worker, &flaw.program(&format!("/{PACKAGED}")), 0o755);

    let path = directory.path().join("flawed.deb");
    // Compression would take longer than everything else that the test does with the package.
    dpkg_deb(&["--root-owner-group".as_ref(), "-Znone".as_ref(), "--build".as_ref(), &root, &path]);
    Flawed { version, path, _directory: directory }
}

fn write(path: &Path, text: &str, mode: u32) {
    fs::write(path, text).expect("a temporary file can be written");
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("its mode can be set");
}

fn dpkg_deb(arguments: &[&Path]) {
    let output = Command::new("dpkg-deb").args(arguments).output().expect("dpkg-deb can be run");
    assert!(output.status.success(), "dpkg-deb: {}", String::from_utf8_lossy(&output.stderr));
}
