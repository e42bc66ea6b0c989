//! The Debian releases of the machines, and their trees.

use std::{
    fmt,
    hash::{DefaultHasher, Hash, Hasher},
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};

use crate::Tree;

/// A release of Debian.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Suite {
    /// Debian 12 with systemd 252.
    Bookworm,
    /// Debian 13 with systemd 257.
    Trixie,
}

/// Everything that `app-cluster` depends on, so that apt installs it without a network, and the tools that
/// tests use.
const PACKAGES: &str = "systemd,systemd-sysv,dbus,default-dbus-system-bus,polkitd,init-system-helpers,\
    libnss-systemd,passwd,procps,iproute2,curl,libfaketime";

/// Units that would wake up during a measurement, or delay the boot.
const MASKED: &str = "apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer \
    e2scrub_reap.service fstrim.timer man-db.timer systemd-tmpfiles-clean.timer console-getty.service \
    ldconfig.service systemd-journal-catalog-update.service systemd-update-utmp.service \
    systemd-update-utmp-runlevel.service systemd-update-done.service";

impl Suite {
    /// Every suite that app-cluster promises to support.
    pub const ALL: [Self; 2] = [Self::Bookworm, Self::Trixie];

    /// Debian's name of the release.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Bookworm => "bookworm",
            Self::Trixie => "trixie",
        }
    }

    /// The root tree of this suite, made first if there is none.
    ///
    /// # Errors
    /// Without root, `mmdebstrap`, or a Debian mirror, if it has to be made.
    pub fn tree(self) -> Result<Tree> {
        self.tree_with(&[])
    }

    /// The root tree with these packages too. It is separate from the one without.
    pub(crate) fn tree_with(self, packages: &[&str]) -> Result<Tree> {
        let name = [&[self.name()], packages].concat().join("+");
        Tree::of(&name, self.recipe(), |path| self.bootstrap(path, packages))
    }

    /// A hash of everything that goes into the tree.
    pub(crate) fn recipe(self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (PACKAGES, MASKED, include_str!("tree.sh")).hash(&mut hasher);
        hasher.finish()
    }

    fn bootstrap(self, tree: &Path, packages: &[&str]) -> Result<()> {
        eprintln!("machine: making the Debian tree {} (once)", tree.display());
        let output = Command::new("mmdebstrap")
            .args(["--variant=minbase", "--skip=output/dev"])
            .arg(format!("--include={}", [&[PACKAGES], packages].concat().join(",")))
            .arg(format!("--customize-hook=MASKED='{MASKED}'; {}", include_str!("tree.sh")))
            .args([self.name().as_ref(), tree.as_os_str()])
            .stdin(Stdio::null())
            .output()
            .context("failed to run mmdebstrap; is the Debian package of this name installed?")?;
        if !output.status.success() {
            bail!("failed to make a Debian tree:\n{}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(())
    }
}

impl fmt::Display for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
