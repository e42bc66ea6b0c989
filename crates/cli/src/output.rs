//! Writing to standard output and standard error.

use std::io::{self, Write};

use anyhow::Context;

/// The version of what `--json` prints, of all commands. `docs/reference/json.md` says what may change without a new one.
pub(crate) const SCHEMA_VERSION: u32 = 1;

/// Writes `text` to standard output. If the reader has ended (`| head`), that is not a failure.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    print_on(text).map(drop)
}

/// The same; returns whether there is still a reader.
pub(crate) fn print_on(text: &str) -> anyhow::Result<bool> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(error).context("cannot write to standard output"),
    }
}

/// Writes `text` to standard error. An error is ignored: there is no other place to report it, and the exit status
/// also says that the command failed.
pub(crate) fn complain(text: &str) {
    let _ = io::stderr().write_all(text.as_bytes());
}
