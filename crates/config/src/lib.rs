//! The configuration of app-cluster: `app-cluster.toml` and `conf.d/*.toml`.
//!
//! A value passes through three types on its way from a file to the one who uses it:
//!
//! - a *fragment* is what one file says: every key optional, each value valid and with its position;
//! - *inputs* are all fragments laid over each other: per key the last file that sets it, and which that was;
//! - [`Settings`] are complete: what no file says has its default, and the values make sense together.
//!
//! Which files are read, and in which order, follows `systemd.conf(5)`; see [`drop_in`].

pub mod drop_in;
pub mod spelling;
pub mod timespan;

mod fragment;
mod inputs;
mod keys;
mod problem;
mod settings;

use std::path::{Path, PathBuf};

use fragment::Fragment;
use inputs::Inputs;

pub use problem::{Error, Position, Problem};
pub use settings::{
    BackoffSettings, Count, Deadline, Effective, OnFailure, Origin, ParseWorkersError, Ratio,
    ReleaseSettings, RolloutSettings, Settings, Workers,
};

/// Where configuration is looked for, below the root, highest precedence first.
///
/// `/etc` is the administrator's, `/run` lasts until the next boot, the others belong to packages.
pub const DIRECTORIES: [&str; 4] =
    ["etc/app-cluster", "run/app-cluster", "usr/local/lib/app-cluster", "usr/lib/app-cluster"];

/// Reads the configuration below `root`, which is `/` except in tests and for images.
///
/// # Errors
///
/// [`Error`] holds every problem of every file that takes part, also of a value that a later file
/// overrides. No file at all is not an error: all settings have defaults.
pub fn load(root: &Path) -> Result<Settings, Error> {
    let (files, problems) = files(root);
    // A masked file says nothing.
    let read = |file: PathBuf| drop_in::read(&file).map(|text| (file, text.unwrap_or_default()));
    settle(files.into_iter().map(read), problems)
}

/// The same of texts that come from elsewhere, each with the file that problems are to name. A later one overrides.
///
/// # Errors
///
/// As [`load`].
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
    // How values go together can be said when all of them are known.
    if problems.is_empty() {
        inputs.into_settings().map_err(|problems| Error { problems })
    } else {
        Err(Error { problems })
    }
}

/// The files that take part below `root`, in the order in which they are read: a later one overrides.
///
/// Directories that exist and cannot be listed are reported as problems beside what was found.
pub fn files(root: &Path) -> (Vec<PathBuf>, Vec<Problem>) {
    let main: Vec<PathBuf> = DIRECTORIES.iter().map(|dir| root.join(dir)).collect();
    let conf_d: Vec<PathBuf> = main.iter().map(|dir| dir.join("conf.d")).collect();
    let (drop_ins, problems) = drop_in::list(&conf_d, "toml");
    (drop_in::first(&main, "app-cluster.toml").into_iter().chain(drop_ins).collect(), problems)
}
