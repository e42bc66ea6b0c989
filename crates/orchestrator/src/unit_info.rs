//! What systemd says of one worker's unit, kept up to date from its property signals.

use std::collections::HashMap;
use std::time::Duration;

use rollout::{ActiveState, InvocationId, Unit};
use rustix::process::Signal;
use zbus::{OwnedObjectPath, OwnedVariant};

use crate::breach::Breach;

/// Properties by name, as `GetAll` and `PropertiesChanged` deliver them.
pub(crate) type Properties = HashMap<String, OwnedVariant>;

/// The properties of a worker's unit that somebody here needs (org.freedesktop.systemd1(5)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UnitInfo {
    pub(crate) active: ActiveState,
    pub(crate) sub_state: String,
    pub(crate) invocation: Option<InvocationId>,
    /// The path of the job that waits or runs for it.
    pub(crate) job: Option<String>,
    /// `NRestarts`.
    pub(crate) restarts: u32,
    pub(crate) main_pid: u32,
    /// CLOCK_MONOTONIC, microseconds.
    pub(crate) started_usec: u64,
    /// CLOCK_REALTIME, microseconds.
    pub(crate) active_since_usec: u64,
    /// When it became active, CLOCK_MONOTONIC, microseconds.
    active_usec: u64,
    /// When it was active last, CLOCK_MONOTONIC, microseconds.
    inactive_usec: u64,
    /// When it last fed its watchdog, as far as known, CLOCK_MONOTONIC, microseconds; becoming active counts. There is no
    /// signal for that.
    fed_usec: u64,
    /// `WatchdogUSec`; 0 or infinity is none.
    watchdog_usec: u64,
    exit_code: i32,
    exit_status: i32,
    result: String,
    /// Why its process asks to be replaced, if it does.
    pub(crate) asks: Option<String>,
}

impl Default for UnitInfo {
    fn default() -> Self {
        Self {
            active: ActiveState::Inactive,
            sub_state: "dead".to_owned(),
            invocation: None,
            job: None,
            restarts: 0,
            main_pid: 0,
            started_usec: 0,
            active_since_usec: 0,
            active_usec: 0,
            inactive_usec: 0,
            fed_usec: 0,
            watchdog_usec: 0,
            exit_code: 0,
            exit_status: 0,
            result: "success".to_owned(),
            asks: None,
        }
    }
}

/// Where a unit without a job says that its job is.
const NO_JOB: &str = "/";

/// `si_code` of SIGCHLD in `ExecMainCode` (sigaction(2)).
const CLD_EXITED: i32 = 1;

/// How late systemd may be to end what has missed its watchdog, in microseconds: its timers are up to 250 ms late
/// (sd_event_add_time(3)), and itself where the machine is busy.
const LATE_USEC: u64 = 1_000_000;

impl UnitInfo {
    /// Takes over the properties that are there; those of another type than documented are left alone.
    pub(crate) fn apply(&mut self, properties: &Properties) {
        for (name, value) in properties {
            match name.as_str() {
                "ActiveState" => set(&mut self.active, value, |word: String| ActiveState::parse(&word)),
                "SubState" => set(&mut self.sub_state, value, |word| word),
                "InvocationID" => {
                    set(&mut self.invocation, value, |id: Vec<u8>| InvocationId::from_bytes(&id));
                }
                "Job" => set(&mut self.job, value, |(_, path): (u32, OwnedObjectPath)| {
                    Some(path.to_string()).filter(|path| path != NO_JOB)
                }),
                "NRestarts" => set(&mut self.restarts, value, |n| n),
                "MainPID" => set(&mut self.main_pid, value, |pid| pid),
                "ExecMainStartTimestampMonotonic" => set(&mut self.started_usec, value, |usec| usec),
                "ActiveEnterTimestamp" => set(&mut self.active_since_usec, value, |usec| usec),
                "ActiveEnterTimestampMonotonic" => set(&mut self.active_usec, value, |usec| usec),
                "ActiveExitTimestampMonotonic" => set(&mut self.inactive_usec, value, |usec| usec),
                "WatchdogTimestampMonotonic" => set(&mut self.fed_usec, value, |usec| usec),
                "WatchdogUSec" => set(&mut self.watchdog_usec, value, |usec| usec),
                "ExecMainCode" => set(&mut self.exit_code, value, |code| code),
                "ExecMainStatus" => set(&mut self.exit_status, value, |status| status),
                "Result" => set(&mut self.result, value, |word| word),
                // systemd clears it when it starts another process.
                "StatusText" => set(&mut self.asks, value, |text: String| request(&text)),
                _ => {}
            }
        }
    }

    /// What the rollout has to know of it.
    pub(crate) fn unit(&self) -> Unit {
        Unit {
            active: self.active,
            invocation: self.invocation,
            restarts: self.restarts,
            has_job: self.has_job(),
            fed_after: self.fed_after(),
        }
    }

    fn fed_after(&self) -> Option<Duration> {
        let has_watchdog = self.watchdog_usec != 0 && self.watchdog_usec != u64::MAX;
        has_watchdog.then(|| Duration::from_micros(self.fed_usec.saturating_sub(self.active_usec)))
    }

    pub(crate) fn has_job(&self) -> bool {
        self.job.is_some()
    }

    /// How the last process ended or is being ended, as a phrase; none while one runs or when there was none.
    pub(crate) fn last_exit(&self) -> Option<String> {
        let why = match self.result.as_str() {
            "watchdog" => Some("missed its watchdog"),
            "timeout" if self.was_ready() => Some("did not end in time"),
            "timeout" => Some("did not say READY=1 in time"),
            "oom-kill" => Some("ran out of memory"),
            _ => None,
        };
        if self.exit_code == 0 {
            // It is on its way out; what ends it is known before how it ends.
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

    /// What of its contract the last process has not kept; `read` is the unit as it was read last, for there is no signal for all of
    /// it.
    pub(crate) fn breach(&self, read: &Self) -> Option<Breach> {
        match self.result.as_str() {
            "timeout" if !self.was_ready() => Some(Breach::NeverReady),
            "watchdog" if self.was_unfed(read) => Some(Breach::NeverFed),
            _ => None,
        }
    }

    /// Whether it was not seen to feed its watchdog, and ended as long after it became active as one does that never did: each
    /// time it is fed it lives so much longer.
    fn was_unfed(&self, read: &Self) -> bool {
        let lived = self.inactive_usec.checked_sub(self.active_usec);
        let is_as_long = lived.is_some_and(|usec| usec < read.watchdog_usec.saturating_add(LATE_USEC));
        is_as_long && read.fed_usec <= self.active_usec
    }

    /// Keeps what was known of it before and systemd has forgotten: it clears the time of the last feeding when it ends the
    /// process for its watchdog.
    pub(crate) fn remember(&mut self, before: &Self) {
        self.fed_usec = self.fed_usec.max(before.fed_usec);
    }

    /// Whether the process, be it alive or not, has said READY=1.
    fn was_ready(&self) -> bool {
        self.active_usec != 0 && self.active_usec >= self.started_usec
    }
}

/// Why a worker that says this of itself (`STATUS=` in sd_notify(3)) asks to be replaced; none if it does not ask.
fn request(status: &str) -> Option<String> {
    const LONGEST: usize = 200;
    status.strip_prefix("recycle: ").map(|reason| reason.chars().take(LONGEST).collect())
}

fn set<V, T>(field: &mut T, value: &OwnedVariant, convert: impl FnOnce(V) -> T)
where
    V: TryFrom<OwnedVariant>,
{
    if let Some(value) = value.try_clone().ok().and_then(|value| V::try_from(value).ok()) {
        *field = convert(value);
    }
}

fn signal_name(number: i32) -> String {
    match Signal::from_named_raw(number) {
        Some(Signal::ABORT) => "SIGABRT".to_owned(),
        Some(Signal::ALARM) => "SIGALRM".to_owned(),
        // rustix's Debug writes `Signal::KILL`, in quotation marks.
        Some(signal) => format!("{signal:?}").trim_matches('"').replace("Signal::", "SIG"),
        None => format!("signal {number}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(result: &str, code: i32, status: i32) -> Option<String> {
        after(result, code, status, &[]).last_exit()
    }

    /// A worker that ended so, and was started and became active at these times.
    fn after(result: &str, code: i32, status: i32, times: &[(&str, u64)]) -> UnitInfo {
        let properties = [
            ("Result", OwnedVariant::from(zbus::Str::from(result.to_owned()))),
            ("ExecMainCode", OwnedVariant::from(code)),
            ("ExecMainStatus", OwnedVariant::from(status)),
        ];
        let times = times.iter().map(|(name, usec)| (*name, OwnedVariant::from(*usec)));
        let mut info = UnitInfo::default();
        info.apply(
            &properties.into_iter().chain(times).map(|(name, value)| (name.to_owned(), value)).collect(),
        );
        info
    }

    const STARTED: &str = "ExecMainStartTimestampMonotonic";
    const ACTIVE: &str = "ActiveEnterTimestampMonotonic";
    const FED: &str = "WatchdogTimestampMonotonic";

    #[test]
    fn what_a_worker_did_not_say_is_named() {
        // It became active in an earlier process.
        let info = after("timeout", 2, 15, &[(ACTIVE, 5), (STARTED, 7)]);
        assert_eq!(
            info.last_exit().as_deref(),
            Some("did not say READY=1 in time and was killed by SIGTERM")
        );
        assert_eq!(info.breach(&info), Some(Breach::NeverReady));
        let info = after("timeout", 2, 9, &[(STARTED, 7), (ACTIVE, 8)]);
        assert_eq!(info.last_exit().as_deref(), Some("did not end in time and was killed by SIGKILL"));
        assert_eq!(info.breach(&info), None);
        assert_eq!(ended("protocol", 1, 0).as_deref(), Some("exited with status 0 before it said READY=1"));
    }

    /// Ended by a watchdog of 10 s after it became active at 2 s.
    fn unfed(inactive_usec: u64) -> UnitInfo {
        let times = [
            (STARTED, 1_000_000),
            (ACTIVE, 2_000_000),
            ("ActiveExitTimestampMonotonic", inactive_usec),
            ("WatchdogUSec", 10_000_000),
        ];
        after("watchdog", 3, 6, &times)
    }

    #[test]
    fn a_watchdog_that_was_never_fed_is_told_from_one_that_was() {
        let breach = |inactive_usec| {
            let info = unfed(inactive_usec);
            info.breach(&info)
        };
        assert_eq!(breach(12_250_000), Some(Breach::NeverFed));
        assert_eq!(breach(14_000_000), None, "it was fed 2 s after READY=1, and never again");
        assert_eq!(breach(1_000_000), None, "that was an earlier process");
    }

    #[test]
    fn what_was_seen_to_feed_its_watchdog_is_believed() {
        let seen = |fed_usec| {
            let mut before = UnitInfo::default();
            before.apply(&[(FED.to_owned(), OwnedVariant::from(fed_usec))].into());
            let mut info = unfed(12_250_000);
            info.remember(&before);
            info.breach(&info)
        };
        assert_eq!(seen(2_100_000_u64), None);
        assert_eq!(seen(1_999_000), Some(Breach::NeverFed), "becoming active is no feeding");
    }

    #[test]
    fn tells_how_a_process_ended() {
        assert_eq!(ended("success", 0, 0), None);
        assert_eq!(ended("exit-code", 1, 78).as_deref(), Some("exited with status 78"));
        assert_eq!(ended("signal", 2, 9).as_deref(), Some("was killed by SIGKILL"));
        assert_eq!(ended("watchdog", 3, 6).as_deref(), Some("missed its watchdog and was killed by SIGABRT"));
        assert_eq!(ended("signal", 2, 34).as_deref(), Some("was killed by signal 34"));
    }

    #[test]
    fn a_worker_asks_to_be_replaced_until_it_says_something_else() {
        let mut info = UnitInfo::default();
        let mut say = |status: &str| {
            let status = OwnedVariant::from(zbus::Str::from(status.to_owned()));
            info.apply(&[("StatusText".to_owned(), status)].into());
            info.asks.clone()
        };
        assert_eq!(say("accepting connections"), None);
        assert_eq!(say("recycle: 1000 requests begun").as_deref(), Some("1000 requests begun"));
        assert_eq!(say(&format!("recycle: {}", "ä".repeat(1000))), Some("ä".repeat(200)));
        assert_eq!(say("draining, 3 connections"), None);
    }

    #[test]
    fn a_property_of_another_type_changes_nothing() {
        let mut info = UnitInfo::default();
        info.apply(&[("NRestarts".to_owned(), OwnedVariant::from(zbus::Str::from("many")))].into());
        assert_eq!(info, UnitInfo::default());
    }
}
