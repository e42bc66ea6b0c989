//! A terminal for the command, and a user who types.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

use crate::process::DEADLINE;

/// A command on a terminal.
pub(crate) struct Pty {
    child: Child,
    master: File,
    slave: File,
    written: Arc<Mutex<String>>,
}

impl Pty {
    /// Starts it on a terminal of this size, which it controls.
    pub(crate) fn start(command: &Command, rows: u16, columns: u16) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
        let slave = File::options().read(true).write(true).open(Path::new(&name)).unwrap();
        let stdio = || Stdio::from(OwnedFd::from(slave.try_clone().unwrap()));
        // setsid(1) executes the command without a fork, because it does not lead a process group.
        let mut session = Command::new("setsid");
        session.arg("--ctty").arg(command.get_program()).args(command.get_args());
        session.env("TERM", "xterm").env_remove("NO_COLOR");
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => session.env(name, value),
                None => session.env_remove(name),
            };
        }
        let master = File::from(master);
        resize(&master, rows, columns);
        assert!(!is_quiet(&slave), "a new terminal shows what is typed");
        let child = session.stdin(stdio()).stdout(stdio()).stderr(stdio()).spawn().unwrap();
        let written = Arc::new(Mutex::new(String::new()));
        let (mut reader, sink) = (master.try_clone().unwrap(), written.clone());
        thread::spawn(move || {
            let mut bytes = Vec::new();
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = reader.read(&mut buffer) {
                bytes.extend_from_slice(&buffer[..count]);
                *sink.lock().unwrap() = String::from_utf8_lossy(&bytes).into_owned();
            }
        });
        Self { child, master, slave, written }
    }

    /// Makes the terminal larger or smaller.
    pub(crate) fn resize(&self, rows: u16, columns: u16) {
        resize(&self.master, rows, columns);
    }

    /// Types this.
    pub(crate) fn types(&mut self, keys: &str) {
        self.master.write_all(keys.as_bytes()).unwrap();
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Everything that the command has written.
    pub(crate) fn written(&self) -> String {
        self.written.lock().unwrap().clone()
    }

    /// The lines that the command drew last, without colours.
    fn drawn(&self) -> Vec<String> {
        let written = self.written();
        let Some((drawn, _)) = written.rsplit_once("\x1b[0J") else { return Vec::new() };
        let (_, drawn) = drawn.rsplit_once("\x1b[1;1H").unwrap_or_default();
        // The last carriage return only moves to the start of the next line.
        let drawn = console::strip_ansi_codes(drawn);
        drawn.trim_end_matches('\r').lines().map(|line| line.trim_matches('\r').to_owned()).collect()
    }

    /// Waits until the command has drawn what `is_wanted` accepts, and returns the lines.
    #[track_caller]
    pub(crate) fn until_drawn(&self, is_wanted: impl Fn(&[String]) -> bool) -> Vec<String> {
        self.until(|| Some(self.drawn()).filter(|drawn| is_wanted(drawn)))
    }

    /// Waits until this returns a value.
    #[track_caller]
    pub(crate) fn until<T>(&self, look: impl Fn() -> Option<T>) -> T {
        let deadline = Instant::now() + DEADLINE;
        loop {
            if let Some(found) = look() {
                return found;
            }
            assert!(Instant::now() < deadline, "it has written {:?}", self.written());
            pause();
        }
    }

    /// Whether the terminal delivers each key at once and does not show it.
    pub(crate) fn is_quiet(&self) -> bool {
        is_quiet(&self.slave)
    }

    /// Whether the command is stopped, proc_pid_stat(5).
    pub(crate) fn is_stopped(&self) -> bool {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        stat.rsplit_once(") ").unwrap().1.starts_with('T')
    }

    /// Waits for its end; returns its exit status.
    #[track_caller]
    pub(crate) fn ends(&mut self) -> Option<i32> {
        let deadline = Instant::now() + DEADLINE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(Instant::now() < deadline, "it does not end; it has written {:?}", self.written());
            pause();
        }
    }
}

impl Drop for Pty {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn is_quiet(terminal: &File) -> bool {
    let modes = tcgetattr(terminal).unwrap().local_modes;
    assert_eq!(modes.contains(LocalModes::ICANON), modes.contains(LocalModes::ECHO));
    !modes.contains(LocalModes::ECHO)
}

fn resize(terminal: &File, rows: u16, columns: u16) {
    tcsetwinsize(terminal, Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
}

#[expect(clippy::disallowed_methods, reason = "between two looks at a condition, which has a deadline")]
fn pause() {
    thread::sleep(Duration::from_millis(20));
}
