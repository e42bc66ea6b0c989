//! The configuration of app-cluster: `app-cluster.toml` and `conf.d/*.toml`.
//!
//! A value passes through three types on its way from a file to the program:
//!
//! - A *fragment* holds the keys of one file. Every key is optional, and each value is valid and has its
//!   position.
//! - *Inputs* are all fragments merged. For each key they hold the last value, and which file sets it.
//! - [`Settings`] are complete. A key that no file sets has its default, and the values do not contradict
//!   each other.
//!
//! `systemd.conf(5)` defines which files are read, and in which order. See [`drop_in`].

pub mod drop_in;
pub mod spelling;
pub mod timespan;

mod effective;
mod fragment;
mod inputs;
mod keys;
mod problem;
mod settings;

use std::path::{Path, PathBuf};

use fragment::Fragment;
use inputs::Inputs;

pub use effective::Effective;
pub use problem::{Error, Position, Problem};
pub use settings::{
    BackoffSettings, Count, Deadline, OnFailure, Origin, ParseWorkersError, Ratio, ReleaseSettings,
    RolloutSettings, Settings, Workers,
};

/// The directories of the configuration, relative to the root, highest precedence first.
///
/// `/etc` belongs to the administrator, `/run` lasts until the next boot, and the others belong to packages.
pub const DIRECTORIES: [&str; 4] =
    ["etc/app-cluster", "run/app-cluster", "usr/local/lib/app-cluster", "usr/lib/app-cluster"];

/// Reads the configuration below `root`. It is `/`, except in tests and for images.
///
/// # Errors
///
/// [`Error`] holds every problem of every file, even if a later file overrides the value. A missing file is
/// not an error, because all settings have defaults.
pub fn load(root: &Path) -> Result<Settings, Error> {
    let (files, problems) = files(root);
    // A masked file counts as empty.
    let read = |file: PathBuf| drop_in::read(&file).map(|text| (file, text.unwrap_or_default()));
    settle(files.into_iter().map(read), problems)
}

/// Parses `texts`, each with the file name to use in problems. A later text overrides an earlier one.
///
/// # Errors
///
/// Fails as [`load`] does.
pub fn parse<'a>(texts: impl IntoIterator<Item = (&'a Path, &'a str)>) -> Result<Settings, Error> {
    settle(texts.into_iter().map(|(file, text)| Ok((file.to_owned(), text.to_owned()))), Vec::new())
}

fn settle(
    texts: impl Iterator<Item = Result<(PathBuf, String), Problem>>,
    mut problems: Vec<Problem>,
) -> Result<Settings, Error> {
    let mut inputs = Inputs::default();
    for text in texts {
        match text.map_err(|problem| vec![problem]).and_then(|(file, text)| Fragment::parse(&file, &text)) {
            Ok(fragment) => inputs.merge(fragment),
            Err(found) => problems.extend(found),
        }
    }
    // Contradictions can be found only if all values are known.
    if problems.is_empty() {
        inputs.into_settings().map_err(|problems| Error { problems })
    } else {
        Err(Error { problems })
    }
}

/// The configuration files below `root`, in the order in which they are read. A later file overrides an
/// earlier one.
///
/// The problems are the directories that exist but cannot be listed.
pub fn files(root: &Path) -> (Vec<PathBuf>, Vec<Problem>) {
    let main: Vec<PathBuf> = DIRECTORIES.iter().map(|dir| root.join(dir)).collect();
    let conf_d: Vec<PathBuf> = main.iter().map(|dir| dir.join("conf.d")).collect();
    let (drop_ins, problems) = drop_in::list(&conf_d, "toml");
    (drop_in::first(&main, "app-cluster.toml").into_iter().chain(drop_ins).collect(), problems)
}
