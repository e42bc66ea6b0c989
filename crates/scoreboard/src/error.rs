//! Why a board could not be had or read.

use std::io;
use std::path::{Path, PathBuf};

use crate::Instance;

/// Why a board could not be had or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file is something else, or a board of another version; it was left as it is.
    #[error("{} is not a scoreboard of version {}", path.display(), crate::VERSION)]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// The file ends before its table of seats does: it was cut, or the first worker is about to write it.
    #[error("{} is too short for a scoreboard: {bytes} bytes", path.display())]
    TooShort {
        /// The file.
        path: PathBuf,
        /// Its length.
        bytes: u64,
    },
    /// The file ends, or the bytes do, within a slot.
    #[error("a slot of the scoreboard is cut off after {bytes} bytes")]
    SlotTooShort {
        /// How much of the slot there is.
        bytes: usize,
    },
    /// A living process has the slot of this instance.
    #[error("the slot of {instance} is taken by a living process")]
    Taken {
        /// The instance.
        instance: Instance,
    },
    /// The system refused something.
    #[error("failed to {operation} {}", path.display())]
    System {
        /// What was tried, in the infinitive.
        operation: &'static str,
        /// The board.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl Error {
    pub(crate) fn system<E: Into<io::Error>>(operation: &'static str, path: &Path) -> impl FnOnce(E) -> Self {
        move |source| Self::System { operation, path: path.to_owned(), source: source.into() }
    }
}
