//! The environment, read once.

use std::env::{self, VarError};
use std::str::FromStr;
use std::time::Duration;

use app_cluster_worker::{Accept, Worker};

use crate::faults::{AnswerFaults, Percentage, StartFault};

/// The environment variables in the output of `--help`.
pub const HELP: &str = "\
Environment:
  APP_CLUSTER_INSTANCE     the number of this worker; the unit sets Environment=APP_CLUSTER_INSTANCE=%i
  APP_CLUSTER_SCOREBOARD   the path of the scoreboard [default: the units' path]
  APP_CLUSTER_ACCEPT       fair or plain: whether connections are shared evenly [default: fair]
  APP_CLUSTER_THREADS      how many threads serve, 1 to 64; with several, the watchdog stops only if all hang [default: 1]
  APP_CLUSTER_LINGER       how long idle connections stay open when the worker drains [default: 2s]
  APP_CLUSTER_DRAIN        how long the whole drain may take [default: 30s]
  APP_CLUSTER_MAX_REQUESTS after how many requests the worker asks to be replaced [default: never]
  APP_CLUSTER_MAX_AGE      after which time the worker asks to be replaced [default: never]
  APP_CLUSTER_MAX_MEMORY   at how many bytes of resident memory it asks to be replaced [default: never]
  APP_CLUSTER_FAULTS       1 serves /fault/..., with which any client can end this worker; for tests
  APP_CLUSTER_FAULT_START  fail, hang, exit0 or crash-after=TIME; for tests
  APP_CLUSTER_FAULT_ERRORS the share of requests that are answered with 500, like 0.2; for tests
  APP_CLUSTER_FAULT_SLOW   how long each request waits before it is answered; for tests";

/// The settings from the environment.
#[derive(Debug)]
pub struct Settings {
    /// The instance number, if the unit sets it.
    pub instance: Option<u32>,
    /// How the worker shares connections with its siblings.
    pub accept: Accept,
    /// How many threads serve, 1 to 64.
    pub threads: usize,
    /// How long idle connections stay open in a drain.
    pub linger: Duration,
    /// How long the drain may take, never less than `linger`.
    pub drain: Duration,
    /// The worker asks to be replaced after this many requests.
    pub max_requests: Option<u64>,
    /// The worker asks to be replaced after this time.
    pub max_age: Option<Duration>,
    /// The worker asks to be replaced when it has this many bytes of resident memory.
    pub max_memory: Option<u64>,
    /// Whether `/fault/…` is served.
    pub faults: bool,
    /// The fault at the start.
    pub start_fault: Option<StartFault>,
    /// The faults of responses.
    pub answer_faults: AnswerFaults,
}

/// A variable with an invalid value.
#[derive(Debug, thiserror::Error)]
#[error("{variable}={value:?} cannot be used: {reason}")]
pub struct Invalid {
    variable: &'static str,
    value: String,
    reason: String,
}

impl Settings {
    /// Reads the environment of this process.
    ///
    /// # Errors
    /// [`Invalid`] for the first invalid variable.
    pub fn from_environment() -> Result<Self, Invalid> {
        Self::read(|name| env::var(name))
    }

    /// Reads the variables through this function.
    ///
    /// # Errors
    /// [`Invalid`] for the first invalid variable.
    pub fn read(variable: impl Fn(&str) -> Result<String, VarError>) -> Result<Self, Invalid> {
        let get = |name| read_variable(name, &variable);
        let linger = get("APP_CLUSTER_LINGER")?.parsed(humantime::parse_duration)?;
        let linger = linger.unwrap_or(Duration::from_secs(2));
        let drain = get("APP_CLUSTER_DRAIN")?.parsed(humantime::parse_duration)?;
        let drain = drain.unwrap_or(Duration::from_secs(30));
        if drain < linger {
            return Err(Invalid {
                variable: "APP_CLUSTER_LINGER",
                value: format!("{linger:?}"),
                reason: format!("the whole drain may take only {drain:?} (APP_CLUSTER_DRAIN)"),
            });
        }
        let accept = get("APP_CLUSTER_ACCEPT")?.parsed(|value| match value {
            "fair" => Ok(Accept::Fair),
            "plain" => Ok(Accept::Plain),
            _ => Err("expected fair or plain"),
        })?;
        let threads = get("APP_CLUSTER_THREADS")?.parsed(|value| match value.parse() {
            Ok(threads @ 1..=64) => Ok(threads),
            _ => Err("expected a number from 1 to 64"),
        })?;
        let faults = get("APP_CLUSTER_FAULTS")?.parsed(|value| match value {
            "1" => Ok(true),
            "0" => Ok(false),
            _ => Err("expected 0 or 1"),
        })?;
        let errors = get("APP_CLUSTER_FAULT_ERRORS")?.parsed(Percentage::from_str)?.unwrap_or_default();
        let pause = get("APP_CLUSTER_FAULT_SLOW")?.parsed(humantime::parse_duration)?.unwrap_or_default();
        Ok(Self {
            instance: get("APP_CLUSTER_INSTANCE")?.parsed(u32::from_str)?,
            accept: accept.unwrap_or_default(),
            threads: threads.unwrap_or(1),
            linger,
            drain,
            max_requests: get("APP_CLUSTER_MAX_REQUESTS")?.parsed(u64::from_str)?,
            max_age: get("APP_CLUSTER_MAX_AGE")?.parsed(humantime::parse_duration)?,
            max_memory: get("APP_CLUSTER_MAX_MEMORY")?.parsed(u64::from_str)?,
            faults: faults.unwrap_or(false),
            start_fault: get("APP_CLUSTER_FAULT_START")?.parsed(StartFault::from_str)?,
            answer_faults: AnswerFaults { errors, pause },
        })
    }
}

impl Settings {
    /// Makes this worker ask to be replaced if the settings say so.
    pub fn recycle(&self, mut worker: Worker) -> Worker {
        if let Some(requests) = self.max_requests {
            worker = worker.max_requests(requests);
        }
        if let Some(age) = self.max_age {
            worker = worker.max_age(age);
        }
        if let Some(memory) = self.max_memory {
            worker = worker.max_memory(memory);
        }
        worker
    }
}

/// A variable and its text, if it is not empty: systemd passes `Environment=X=` as empty.
struct Variable {
    name: &'static str,
    text: Option<String>,
}

impl Variable {
    fn parsed<T, E: ToString>(self, parse: impl Fn(&str) -> Result<T, E>) -> Result<Option<T>, Invalid> {
        let Some(text) = self.text else { return Ok(None) };
        match parse(&text) {
            Ok(value) => Ok(Some(value)),
            Err(error) => Err(Invalid { variable: self.name, value: text, reason: error.to_string() }),
        }
    }
}

fn read_variable(
    name: &'static str,
    variable: impl Fn(&str) -> Result<String, VarError>,
) -> Result<Variable, Invalid> {
    match variable(name) {
        Ok(text) => Ok(Variable { name, text: Some(text).filter(|text| !text.is_empty()) }),
        Err(VarError::NotPresent) => Ok(Variable { name, text: None }),
        Err(VarError::NotUnicode(text)) => Err(Invalid {
            variable: name,
            value: text.to_string_lossy().into_owned(),
            reason: "it is not UTF-8".to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(environment: &[(&str, &str)]) -> Result<Settings, String> {
        let get = |name: &str| {
            let found = environment.iter().find(|(variable, _)| *variable == name);
            found.map(|(_, value)| (*value).to_owned()).ok_or(VarError::NotPresent)
        };
        Settings::read(get).map_err(|invalid| invalid.to_string())
    }

    #[test]
    fn an_empty_environment_has_defaults() {
        for environment in [&[][..], &[("APP_CLUSTER_DRAIN", ""), ("APP_CLUSTER_INSTANCE", "")]] {
            let settings = read(environment).unwrap();
            assert_eq!(settings.instance, None);
            assert_eq!(settings.accept, Accept::Fair);
            assert_eq!(settings.linger, Duration::from_secs(2));
            assert_eq!(settings.drain, Duration::from_secs(30));
            assert_eq!((settings.max_requests, settings.max_age, settings.max_memory), (None, None, None));
            assert!(!settings.faults);
            assert!(settings.start_fault.is_none());
            assert_eq!(settings.answer_faults, AnswerFaults::default());
        }
    }

    #[test]
    fn every_variable_is_read() {
        let settings = read(&[
            ("APP_CLUSTER_INSTANCE", "3"),
            ("APP_CLUSTER_ACCEPT", "plain"),
            ("APP_CLUSTER_THREADS", "4"),
            ("APP_CLUSTER_LINGER", "500ms"),
            ("APP_CLUSTER_DRAIN", "1min 30s"),
            ("APP_CLUSTER_MAX_REQUESTS", "100000"),
            ("APP_CLUSTER_MAX_AGE", "1day"),
            ("APP_CLUSTER_MAX_MEMORY", "268435456"),
            ("APP_CLUSTER_FAULTS", "1"),
            ("APP_CLUSTER_FAULT_START", "crash-after=50ms"),
            ("APP_CLUSTER_FAULT_ERRORS", "0.2"),
            ("APP_CLUSTER_FAULT_SLOW", "90ms"),
        ])
        .unwrap();
        assert_eq!(settings.instance, Some(3));
        assert_eq!((settings.accept, settings.threads), (Accept::Plain, 4));
        assert_eq!(settings.linger, Duration::from_millis(500));
        assert_eq!(settings.drain, Duration::from_secs(90));
        assert_eq!(settings.max_requests, Some(100_000));
        assert_eq!(settings.max_age, Some(Duration::from_secs(24 * 60 * 60)));
        assert_eq!(settings.max_memory, Some(256 << 20));
        assert!(settings.faults);
        assert_eq!(settings.start_fault, Some(StartFault::CrashAfter(Duration::from_millis(50))));
        let answer_faults = AnswerFaults { errors: "0.2".parse().unwrap(), pause: Duration::from_millis(90) };
        assert_eq!(settings.answer_faults, answer_faults);
    }

    #[test]
    fn garbage_is_named() {
        for (name, value) in [
            ("APP_CLUSTER_INSTANCE", "three"),
            ("APP_CLUSTER_LINGER", "2 parsecs"),
            ("APP_CLUSTER_LINGER", "31s"),
            ("APP_CLUSTER_DRAIN", "-1s"),
            ("APP_CLUSTER_ACCEPT", "unfair"),
            ("APP_CLUSTER_THREADS", "0"),
            ("APP_CLUSTER_MAX_REQUESTS", "-1"),
            ("APP_CLUSTER_MAX_AGE", "old"),
            ("APP_CLUSTER_MAX_MEMORY", "256M"),
            ("APP_CLUSTER_FAULTS", "yes"),
            ("APP_CLUSTER_FAULT_START", "explode"),
            ("APP_CLUSTER_FAULT_ERRORS", "20 %"),
            ("APP_CLUSTER_FAULT_ERRORS", "1.2"),
            ("APP_CLUSTER_FAULT_SLOW", "very"),
        ] {
            let message = read(&[(name, value)]).unwrap_err();
            assert!(message.starts_with(&format!("{name}=\"{value}\" cannot be used: ")), "{message}");
        }
    }
}
