//! Processes of a machine, inspected and killed from outside.

use std::{fs, io, path::PathBuf, time::Duration};

use machine::Machine;
use rustix::{
    process::{Pid, Signal, kill_process},
    time::{ClockId, clock_gettime},
};

/// A limit for bugs: nothing takes this long.
const DEADLINE: Duration = Duration::from_secs(60);

/// A process of a machine, by its pid on the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Process {
    pid: u32,
}

impl Process {
    /// The process with this pid in the machine.
    ///
    /// # Panics
    /// If there is none.
    #[track_caller]
    #[must_use]
    pub fn of(machine: &Machine, pid: u32) -> Self {
        let namespace = namespace(machine.leader()).expect("the machine runs");
        let is_it = |host: &u32| {
            namespace_pid(*host).is_some_and(|inner| inner == pid)
                && self::namespace(*host).is_ok_and(|of| of == namespace)
        };
        match processes().find(is_it) {
            Some(host) => Self { pid: host },
            None => panic!("the machine has no process {pid}"),
        }
    }

    /// Its pid on the host.
    #[must_use]
    pub fn number(self) -> u32 {
        self.pid
    }

    /// Waits until `count` other processes execute the program with this name. The look costs the machine
    /// nothing, in particular not its systemd, so it does not disturb a measurement.
    ///
    /// # Panics
    /// If the deadline has passed.
    #[track_caller]
    pub fn until_others_execute(self, machine: &Machine, program: &str, count: usize) {
        let namespace = namespace(machine.leader()).expect("the machine runs");
        let executes = |host: &u32| {
            let executable = fs::read_link(format!("/proc/{host}/exe")).unwrap_or_default();
            executable.ends_with(program) && self::namespace(*host).is_ok_and(|of| of == namespace)
        };
        machine.wait_for("another process", DEADLINE, || {
            let found = processes().filter(|host| *host != self.pid).filter(executes).count();
            if found >= count { Ok(()) } else { Err(format!("{found} others execute {program}")) }
        });
    }

    /// Kills it with SIGKILL. Returns the monotonic clock right before that, in microseconds.
    ///
    /// # Panics
    /// If it is already gone.
    #[track_caller]
    pub fn kill(self) -> u64 {
        let now = monotonic_usec();
        self.signal(Signal::KILL);
        now
    }

    /// Stops it until it is resumed. The process does not notice.
    ///
    /// # Panics
    /// If it is gone.
    #[track_caller]
    pub fn pause(self) {
        self.signal(Signal::STOP);
    }

    /// Resumes it.
    ///
    /// # Panics
    /// If it is gone.
    #[track_caller]
    pub fn resume(self) {
        self.signal(Signal::CONT);
    }

    #[track_caller]
    fn signal(self, signal: Signal) {
        let pid = Pid::from_raw(self.pid.cast_signed()).expect("a process has a number");
        kill_process(pid, signal).expect("it is there to be told");
    }

    /// Its resident memory in kibibytes (`VmRSS`).
    ///
    /// # Panics
    /// If it is gone.
    #[must_use]
    pub fn resident_kib(self) -> u64 {
        status_number(&self.directory().join("status"), "VmRSS:").expect("the process runs")
    }

    /// Its highest resident memory in kibibytes (`VmHWM`), since the last [`forget_peak`](Self::forget_peak).
    ///
    /// # Panics
    /// If it is gone.
    #[must_use]
    pub fn peak_kib(self) -> u64 {
        status_number(&self.directory().join("status"), "VmHWM:").expect("the process runs")
    }

    /// Resets the peak to the current value (proc_pid_clear_refs(5)).
    ///
    /// # Panics
    /// If it is gone.
    pub fn forget_peak(self) {
        fs::write(self.directory().join("clear_refs"), "5").expect("the process runs");
    }

    /// How often the kernel has switched to or from its threads, and how long they ran, in clock ticks.
    ///
    /// # Panics
    /// If it is gone.
    #[must_use]
    pub fn switches_and_ticks(self) -> (u64, u64) {
        let threads = fs::read_dir(self.directory().join("task")).expect("the process runs");
        let mut sums = (0, 0);
        for thread in threads.filter_map(Result::ok) {
            let status = thread.path().join("status");
            for name in ["voluntary_ctxt_switches:", "nonvoluntary_ctxt_switches:"] {
                sums.0 += status_number(&status, name).unwrap_or(0);
            }
            sums.1 += ticks(&thread.path().join("stat")).unwrap_or(0);
        }
        sums
    }

    fn directory(self) -> PathBuf {
        PathBuf::from(format!("/proc/{}", self.pid))
    }
}

/// The monotonic clock in microseconds. systemd's `…Monotonic` properties use the same clock, also in a
/// machine.
#[must_use]
pub fn monotonic_usec() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    let part = |value: i64| u64::try_from(value).unwrap_or_default();
    part(now.tv_sec) * 1_000_000 + part(now.tv_nsec) / 1000
}

fn processes() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").expect("/proc can be read");
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

fn namespace(pid: u32) -> io::Result<PathBuf> {
    fs::read_link(format!("/proc/{pid}/ns/pid"))
}

/// Its pid in the innermost namespace.
fn namespace_pid(host: u32) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{host}/status")).ok()?;
    let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:"))?;
    numbers.split_whitespace().next_back()?.parse().ok()
}

fn status_number(path: &PathBuf, name: &str) -> Option<u64> {
    let status = fs::read_to_string(path).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

/// User and system time (proc_pid_stat(5), fields 14 and 15).
fn ticks(stat: &PathBuf) -> Option<u64> {
    let text = fs::read_to_string(stat).ok()?;
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    Some(fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?)
}
