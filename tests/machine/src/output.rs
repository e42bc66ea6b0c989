//! The output of a command and how it ended.

use std::{
    fmt::{self, Display},
    process::{Command, ExitStatus},
};

use anyhow::{Result, bail};

/// A finished command: its status and all its output. A failed assertion prints everything.
#[derive(Debug, Clone)]
#[must_use = "a command that failed says so only here"]
pub struct Output {
    command: String,
    status: ExitStatus,
    stdout: String,
    stderr: String,
}

impl Output {
    pub(crate) fn new(command: String, status: ExitStatus, stdout: &[u8], stderr: &[u8]) -> Self {
        let text = |bytes| String::from_utf8_lossy(bytes).trim_end().to_owned();
        Self { command, status, stdout: text(stdout), stderr: text(stderr) }
    }

    /// The exit status.
    #[must_use]
    pub fn status(&self) -> ExitStatus {
        self.status
    }

    /// Standard output without its last newline. The command must have succeeded.
    ///
    /// # Panics
    /// If the command failed.
    #[track_caller]
    #[must_use]
    pub fn stdout(&self) -> &str {
        self.assert_success();
        &self.stdout
    }

    /// Standard output without its last newline, however the command ended.
    #[must_use]
    pub fn any_stdout(&self) -> &str {
        &self.stdout
    }

    /// Standard error without its last newline, however the command ended.
    #[must_use]
    pub fn stderr(&self) -> &str {
        &self.stderr
    }

    /// All output, however the command ended: standard output, then standard error.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{}\n{}", self.stdout, self.stderr)
    }

    /// Asserts that the command exited with status 0.
    ///
    /// # Panics
    /// If it did not.
    #[track_caller]
    pub fn assert_success(&self) -> &Self {
        assert!(self.status.success(), "expected success\n{self}");
        self
    }

    /// Asserts that the command exited with this status, and not by a signal.
    ///
    /// # Panics
    /// If it did not.
    #[track_caller]
    pub fn assert_exit_code(&self, code: i32) -> &Self {
        assert_eq!(self.status.code(), Some(code), "expected exit status {code}\n{self}");
        self
    }

    /// Asserts that the command exited with a status other than 0, and not by a signal.
    ///
    /// # Panics
    /// If it did not.
    #[track_caller]
    pub fn assert_failure(&self) -> &Self {
        assert!(matches!(self.status.code(), Some(1..)), "expected a failure\n{self}");
        self
    }

    /// Asserts that the command wrote `needle` to standard output or standard error.
    ///
    /// # Panics
    /// If it did not.
    #[track_caller]
    pub fn assert_says(&self, needle: &str) -> &Self {
        assert!(
            self.stdout.contains(needle) || self.stderr.contains(needle),
            "expected the words {needle:?}\n{self}"
        );
        self
    }

    /// The output of a successful command, for callers that return errors instead of panicking.
    ///
    /// # Errors
    /// If the command failed, with all of its output.
    pub fn into_success(self) -> Result<String> {
        if !self.status.success() {
            bail!("{self}");
        }
        Ok(self.stdout)
    }
}

impl Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "$ {}", self.command)?;
        writeln!(f, "ended with {}", self.status)?;
        for (name, text) in [("stdout", &self.stdout), ("stderr", &self.stderr)] {
            if !text.is_empty() {
                writeln!(f, "--- {name}\n{text}")?;
            }
        }
        f.write_str("---")
    }
}

/// A command line as one would type it.
pub(crate) fn words<S: AsRef<std::ffi::OsStr>>(argv: &[S]) -> String {
    let words: Vec<_> = argv.iter().map(|word| word.as_ref().to_string_lossy()).collect();
    words.join(" ")
}

/// Runs `command` and waits for its end. Errors name it `line`.
pub(crate) fn capture(command: &mut Command, line: String) -> std::io::Result<Output> {
    let output = command.output()?;
    Ok(Output::new(line, output.status, &output.stdout, &output.stderr))
}
