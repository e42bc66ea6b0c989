//! The command as a process: its start, its output, its signals and its end.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::bus::Bus;

/// A test that waits longer than this has failed.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// A running command.
pub(crate) struct Running {
    child: Child,
    lines: Receiver<String>,
    errors: thread::JoinHandle<String>,
}

/// How it ended.
pub(crate) struct Ended {
    pub(crate) exit: i32,
    pub(crate) lines: Vec<String>,
    pub(crate) errors: String,
}

/// The command with these arguments, as alice types it without systemd.
pub(crate) fn command(bus: &Bus, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_app-cluster"));
    command
        .args(args)
        .env("DBUS_SYSTEM_BUS_ADDRESS", &bus.address)
        .env_remove("NOTIFY_SOCKET")
        .env("SUDO_USER", "alice");
    command
}

/// Starts it.
pub(crate) fn start(mut command: Command) -> Running {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (sender, lines) = channel();
    let stdout = BufReader::new(child.stdout.take().unwrap());
    thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
    let mut stderr = child.stderr.take().unwrap();
    let errors = thread::spawn(move || {
        let mut text = String::new();
        let _ = stderr.read_to_string(&mut text);
        text
    });
    Running { child, lines, errors }
}

impl Running {
    /// Waits for a line that ends like this.
    pub(crate) fn says(&self, end: &str) {
        while !self
            .lines
            .recv_timeout(DEADLINE)
            .unwrap_or_else(|_| panic!("never said {end:?}"))
            .ends_with(end)
        {}
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for its end.
    pub(crate) fn ends(mut self) -> Ended {
        let mut lines = Vec::new();
        // The output ends with the process.
        loop {
            match self.lines.recv_timeout(DEADLINE) {
                Ok(line) => lines.push(line),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    let _ = self.child.kill();
                    panic!("it does not end; it said {lines:?}");
                }
            }
        }
        let exit = self.child.wait().unwrap().code().expect("it died of a signal");
        Ended { exit, lines, errors: self.errors.join().unwrap() }
    }
}

/// Runs it to its end.
pub(crate) fn run(bus: &Bus, args: &[&str]) -> Ended {
    start(command(bus, args)).ends()
}
