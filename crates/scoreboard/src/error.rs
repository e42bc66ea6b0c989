//! The reasons why a board cannot be opened, claimed or read.

use std::io;
use std::path::{Path, PathBuf};

use crate::Instance;

/// The reasons why a board cannot be opened, claimed or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file is something else, or a board of another version. It was left unchanged.
    #[error("{} is not a scoreboard of version {}", path.display(), crate::VERSION)]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// The file ends before the end of its table of seats. It was truncated, or the first worker is about to
    /// write it.
    #[error("{} is too short for a scoreboard: {bytes} bytes", path.display())]
    TooShort {
        /// The file.
        path: PathBuf,
        /// Its length.
        bytes: u64,
    },
    /// The file, or the bytes given, end within a slot.
    #[error("a slot of the scoreboard is cut off after {bytes} bytes")]
    SlotTooShort {
        /// How many bytes of the slot there are.
        bytes: usize,
    },
    /// A living process has the slot of this instance.
    #[error("the slot of {instance} is taken by a living process")]
    Taken {
        /// The instance.
        instance: Instance,
    },
    /// A system call failed.
    #[error("failed to {operation} {}", path.display())]
    System {
        /// What the program tried, in the infinitive.
        operation: &'static str,
        /// The board.
        path: PathBuf,
        /// The error of the system call.
        source: io::Error,
    },
}

impl Error {
    pub(crate) fn system<E: Into<io::Error>>(operation: &'static str, path: &Path) -> impl FnOnce(E) -> Self {
        move |source| Self::System { operation, path: path.to_owned(), source: source.into() }
    }
}
