//! A command that runs while the test continues.

use std::{
    ffi::OsStr,
    fs::File,
    io,
    os::unix::fs::FileExt,
    path::Path,
    process::{Child, Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::output::{Output, words};

/// A running command, such as a load. If it is dropped before its end, it is killed.
///
/// Its output goes to unnamed files, so that a full pipe never blocks it.
#[derive(Debug)]
pub struct Running {
    line: String,
    child: Child,
    stdout: File,
    stderr: File,
}

impl Running {
    pub(crate) fn spawn(
        command: &mut Command,
        program: &Path,
        args: &[impl AsRef<OsStr>],
    ) -> io::Result<Self> {
        let stdout = tempfile::tempfile()?;
        let stderr = tempfile::tempfile()?;
        let child = command
            .args(args)
            .stdin(Stdio::null())
            .stdout(stdout.try_clone()?)
            .stderr(stderr.try_clone()?)
            .spawn()?;
        Ok(Self { line: format!("{} {}", program.display(), words(args)), child, stdout, stderr })
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The output so far: standard output, then standard error.
    ///
    /// # Panics
    /// If the files with the output cannot be read.
    #[must_use]
    pub fn text_so_far(&self) -> String {
        let bytes =
            [&self.stdout, &self.stderr].map(|file| content(file).expect("an unnamed file can be read"));
        String::from_utf8_lossy(&bytes.concat()).into_owned()
    }

    /// Whether it has ended, without waiting.
    ///
    /// # Panics
    /// If the kernel does not tell.
    #[must_use]
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("a child can be waited for").is_some()
    }

    /// Sends SIGTERM, and waits for the end.
    ///
    /// # Panics
    /// If the signal cannot be sent.
    #[track_caller]
    pub fn stop(self) -> Output {
        let pid = Pid::from_child(&self.child);
        if let Err(error) = kill_process(pid, Signal::TERM) {
            panic!("failed to send SIGTERM to: {}: {error}", self.line);
        }
        self.wait()
    }

    /// Waits until it ends by itself.
    ///
    /// # Panics
    /// If the kernel does not tell how it ended.
    #[track_caller]
    pub fn wait(mut self) -> Output {
        let status = self.child.wait().expect("a child can be waited for");
        let [stdout, stderr] =
            [&self.stdout, &self.stderr].map(|file| content(file).expect("an unnamed file can be read"));
        Output::new(self.line.clone(), status, &stdout, &stderr)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Fails if it has already ended, which is fine.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The contents of a file to which another process appends. The shared file offset does not change.
pub(crate) fn content(file: &File) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(file.metadata()?.len()).map_err(io::Error::other)?];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(bytes)
}
