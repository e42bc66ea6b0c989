//! How a worker's last process ended, from what systemd reports of its unit.

use crate::breach::Breach;
use crate::info::UnitInfo;

/// `si_code` of SIGCHLD for a process that has exited (sigaction(2)).
const CLD_EXITED: i32 = 1;

/// How late systemd may end a process that has missed its watchdog, in microseconds. Its timers are up to 250
/// ms late (sd_event_add_time(3)), and systemd itself is late on a busy machine.
const LATE_USEC: u64 = 1_000_000;

/// `EX_CONFIG` of sysexits.h. Our unit has it in `RestartPreventExitStatus=`.
const EX_CONFIG: i32 = 78;

impl UnitInfo {
    /// Whether systemd gave the worker up because of its exit status. Another try does not help.
    pub fn is_hopeless(&self) -> bool {
        self.has_executed() && self.exit_code == CLD_EXITED && self.exit_status == EX_CONFIG
    }

    /// Whether systemd has executed the program since it last began to start the unit. Before that it reports
    /// no end, or, in versions later than Debian 13, that of the run before.
    pub fn has_executed(&self) -> bool {
        self.started_usec > self.begun_usec
    }

    /// Why the program was not executed, as a phrase. None if it was, or still may be.
    fn failure_before(&self) -> Option<String> {
        let failure = match self.result.as_str() {
            // systemd sets these before a run begins.
            "success" | "start-limit-hit" | "exec-condition" => return None,
            "resources" => "failed before systemd could execute its program",
            "timeout" => "did not get to its program in time: ExecStartPre= was still running",
            _ => "failed in ExecStartPre=, before its program",
        };
        Some(failure.to_owned())
    }

    /// How the last process ended or is being ended, as a phrase. None while one runs, or if there was none.
    pub fn last_exit(&self) -> Option<String> {
        if !self.has_executed() {
            return self.failure_before();
        }
        let why = match self.result.as_str() {
            "watchdog" => Some("missed its watchdog"),
            "timeout" if self.was_ready() => Some("did not end in time"),
            "timeout" => Some("did not say READY=1 in time"),
            "oom-kill" => Some("ran out of memory"),
            _ => None,
        };
        if self.exit_code == 0 {
            // The process is ending. systemd reports why it ends it before it reports how it ended.
            return why.map(str::to_owned);
        }
        let how = match self.exit_code {
            CLD_EXITED => format!("exited with status {}", self.exit_status),
            _ => format!("was killed by {}", signal_name(self.exit_status)),
        };
        Some(match why {
            Some(why) => format!("{why} and {how}"),
            None if self.result == "protocol" => format!("{how} before it said READY=1"),
            None => how,
        })
    }

    /// Which part of its contract the last process has not kept.
    pub fn breach(&self) -> Option<Breach> {
        if !self.has_executed() {
            return None;
        }
        match self.result.as_str() {
            "timeout" if !self.was_ready() => Some(Breach::NeverReady),
            "watchdog" if self.was_unfed() => Some(Breach::NeverFed),
            _ => None,
        }
    }

    /// Whether the worker never fed its watchdog. No feeding was seen, and it was active for one watchdog
    /// interval only. Each feeding would have extended that.
    fn was_unfed(&self) -> bool {
        let lived = self.inactive_usec.checked_sub(self.active_usec);
        let is_as_long = lived.is_some_and(|usec| usec < self.watchdog_usec.saturating_add(LATE_USEC));
        is_as_long && self.fed_usec <= self.active_usec
    }

    /// Whether the process has sent READY=1, whether it still runs or not.
    fn was_ready(&self) -> bool {
        self.active_usec != 0 && self.active_usec >= self.started_usec
    }
}

/// The name from signal(7), for every machine that Debian runs on except MIPS.
fn signal_name(number: i32) -> String {
    let name = match number {
        1 => "SIGHUP",
        2 => "SIGINT",
        3 => "SIGQUIT",
        4 => "SIGILL",
        5 => "SIGTRAP",
        6 => "SIGABRT",
        7 => "SIGBUS",
        8 => "SIGFPE",
        9 => "SIGKILL",
        10 => "SIGUSR1",
        11 => "SIGSEGV",
        12 => "SIGUSR2",
        13 => "SIGPIPE",
        14 => "SIGALRM",
        15 => "SIGTERM",
        16 => "SIGSTKFLT",
        17 => "SIGCHLD",
        18 => "SIGCONT",
        19 => "SIGSTOP",
        20 => "SIGTSTP",
        24 => "SIGXCPU",
        25 => "SIGXFSZ",
        29 => "SIGIO",
        30 => "SIGPWR",
        31 => "SIGSYS",
        _ => return format!("signal {number}"),
    };
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::info::Change;

    fn ended(result: &str, exit_code: i32, exit_status: i32) -> UnitInfo {
        UnitInfo { result: result.to_owned(), exit_code, exit_status, started_usec: 1, ..UnitInfo::default() }
    }

    fn exit(result: &str, exit_code: i32, exit_status: i32) -> Option<String> {
        ended(result, exit_code, exit_status).last_exit()
    }

    #[test]
    fn what_a_worker_did_not_say_is_named() {
        // It became active in an earlier process.
        let info = UnitInfo { active_usec: 5, started_usec: 7, ..ended("timeout", 2, 15) };
        let said = info.last_exit();
        assert_eq!(said.as_deref(), Some("did not say READY=1 in time and was killed by SIGTERM"));
        assert_eq!(info.breach(), Some(Breach::NeverReady));
        let info = UnitInfo { started_usec: 7, active_usec: 8, ..ended("timeout", 2, 9) };
        assert_eq!(info.last_exit().as_deref(), Some("did not end in time and was killed by SIGKILL"));
        assert_eq!(info.breach(), None);
        let said = exit("protocol", 1, 0);
        assert_eq!(said.as_deref(), Some("exited with status 0 before it said READY=1"));
    }

    /// A unit with a watchdog of 10 s that became active at 2 s. Its watchdog ended it.
    fn unfed(inactive_usec: u64) -> UnitInfo {
        UnitInfo {
            started_usec: 1_000_000,
            active_usec: 2_000_000,
            inactive_usec,
            watchdog_usec: 10_000_000,
            ..ended("watchdog", 3, 6)
        }
    }

    #[test]
    fn a_watchdog_that_was_never_fed_is_told_from_one_that_was() {
        assert_eq!(unfed(12_250_000).breach(), Some(Breach::NeverFed));
        assert_eq!(unfed(14_000_000).breach(), None, "it was fed 2 s after READY=1, and never again");
        assert_eq!(unfed(1_000_000).breach(), None, "that was an earlier process");
    }

    #[test]
    fn what_was_seen_to_feed_its_watchdog_is_believed() {
        let seen = |fed_usec| {
            let mut info = UnitInfo { fed_usec, ..unfed(12_250_000) };
            info.apply(Change { fed_usec: Some(0), ..Change::default() });
            info.breach()
        };
        assert_eq!(seen(2_100_000), None);
        assert_eq!(seen(1_999_000), Some(Breach::NeverFed), "becoming active is no feeding");
    }

    #[test]
    fn what_failed_before_its_program_is_not_blamed_for_the_run_before() {
        let before = ended("exit-code", 1, 78);
        assert!(before.is_hopeless() && before.last_exit().is_some());
        let told = |result: &str| {
            let mut info = before.clone();
            info.apply(Change { begun_usec: Some(9), result: Some(result.to_owned()), ..Change::default() });
            (info.is_hopeless(), info.breach(), info.last_exit())
        };
        let because = |why: &str| (false, None, Some(why.to_owned()));
        assert_eq!(told("success"), (false, None, None), "it may be executed yet");
        assert_eq!(told("resources"), because("failed before systemd could execute its program"));
        assert_eq!(told("exit-code"), because("failed in ExecStartPre=, before its program"));
        assert_eq!(told("timeout").1, None, "READY=1 was not to be expected");
        // systemd up to 257 reports it like this.
        assert_eq!(UnitInfo { started_usec: 0, ..ended("resources", 0, 0) }.last_exit(), told("resources").2);
    }

    #[test]
    fn tells_how_a_process_ended() {
        assert_eq!(exit("success", 0, 0), None);
        assert_eq!(exit("exit-code", 1, 78).as_deref(), Some("exited with status 78"));
        assert_eq!(exit("signal", 2, 9).as_deref(), Some("was killed by SIGKILL"));
        assert_eq!(exit("watchdog", 3, 6).as_deref(), Some("missed its watchdog and was killed by SIGABRT"));
        assert_eq!(exit("signal", 2, 34).as_deref(), Some("was killed by signal 34"));
    }
}
