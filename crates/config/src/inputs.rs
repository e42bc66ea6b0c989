//! Inputs: all fragments merged key by key. A later fragment overrides an earlier one.

use crate::fragment::Fragment;
use crate::keys::{KEYS, Key};
use crate::problem::{Position, Problem};
use crate::settings::{Count, Deadline, Origin, Settings, Workers};
use crate::timespan;

#[derive(Debug, Default)]
pub(crate) struct Inputs(Settings);

impl Inputs {
    pub(crate) fn merge(&mut self, Fragment(mut later): Fragment) {
        for key in &KEYS {
            if let Some(origin) = later.origins.remove(key.path) {
                (key.copy)(&later, &mut self.0);
                self.0.origins.insert(key.path, origin);
            }
        }
    }

    /// # Errors
    ///
    /// Fails if values contradict each other, although each of them is valid.
    pub(crate) fn into_settings(self) -> Result<Settings, Vec<Problem>> {
        let Self(mut settings) = self;
        if settings.rollout.surge == 0 && !settings.origins.contains_key("rollout.max_unavailable") {
            settings.rollout.max_unavailable = 1;
        }
        let conflicts = [
            no_replacement(&settings),
            no_room_for_the_surge(&settings),
            no_time_to_compare(&settings),
            no_time_to_settle(&settings, "rollout.worker_deadline", settings.rollout.worker_deadline),
            no_time_to_settle(&settings, "rollout.deadline", settings.rollout.deadline),
            shrinking_pauses(&settings),
        ];
        let problems: Vec<_> =
            conflicts.into_iter().flatten().filter_map(|conflict| conflict.problem(&settings)).collect();
        if problems.is_empty() { Ok(settings) } else { Err(problems) }
    }
}

/// Values that contradict each other, reported for one key.
struct Conflict {
    /// The key that the user should change.
    key: &'static str,
    message: String,
    help: String,
}

impl Conflict {
    /// The problem, or `None` if no file sets the key: the defaults do not contradict each other.
    fn problem(self, settings: &Settings) -> Option<Problem> {
        let origin = settings.origins.get(self.key)?;
        let problem = Problem::of_file(&origin.file, self.message).at(origin.position);
        Some(problem.with_key(self.key).with_help(self.help))
    }
}

fn no_replacement(settings: &Settings) -> Option<Conflict> {
    let rollout = &settings.rollout;
    (rollout.surge == 0 && rollout.max_unavailable == 0).then(|| Conflict {
        key: "rollout.max_unavailable",
        message: format!("with {} a rollout could replace no worker", value(settings, "rollout.surge")),
        help: "write max_unavailable = 1, or surge = 1".to_owned(),
    })
}

fn no_room_for_the_surge(settings: &Settings) -> Option<Conflict> {
    let Workers::Count(workers) = settings.workers else { return None };
    let (workers, surge, room) = (workers.get(), settings.rollout.surge, Count::MAX);
    if workers + surge <= room {
        return None;
    }
    let (key, other, help) = if settings.origins.contains_key("rollout.surge") {
        ("rollout.surge", "workers", format!("write surge = {}, or fewer workers", room - workers))
    } else {
        let help = format!("write workers = {}, or surge = {} below [rollout]", room - surge, room - workers);
        ("workers", "rollout.surge", help)
    };
    let message = format!(
        "with {} a rollout runs up to {} workers, but the system bus lets the orchestrator watch only {room}",
        value(settings, other),
        workers + surge,
    );
    Some(Conflict { key, message, help })
}

fn no_time_to_compare(settings: &Settings) -> Option<Conflict> {
    let rollout = &settings.rollout;
    let key = match (rollout.max_error_ratio, rollout.max_latency_ratio) {
        (Some(_), _) => "rollout.max_error_ratio",
        (None, Some(_)) => "rollout.max_latency_ratio",
        (None, None) => return None,
    };
    rollout.settle.is_zero().then(|| Conflict {
        key,
        message: format!("with {} a rollout cannot compare workers", value(settings, "rollout.settle")),
        help: "write settle = \"10s\", or set this key to \"off\"".to_owned(),
    })
}

fn no_time_to_settle(settings: &Settings, key: &'static str, deadline: Deadline) -> Option<Conflict> {
    let Deadline::After(limit) = deadline else { return None };
    (limit <= settings.rollout.settle).then(|| Conflict {
        key,
        message: format!("with {} no worker can settle in that time", value(settings, "rollout.settle")),
        help: "write \"auto\", or a time longer than the settle time".to_owned(),
    })
}

fn shrinking_pauses(settings: &Settings) -> Option<Conflict> {
    let (first, max) = (settings.backoff.first, settings.backoff.max);
    if first <= max {
        return None;
    }
    Some(if settings.origins.contains_key("backoff.max") {
        Conflict {
            key: "backoff.max",
            message: format!("the longest pause is shorter than {}", value(settings, "backoff.first")),
            help: format!("write max = {:?} or more", timespan::format(first)),
        }
    } else {
        Conflict {
            key: "backoff.first",
            message: format!("the first pause is longer than {}", value(settings, "backoff.max")),
            help: format!("write first = {:?} or less, or a longer max", timespan::format(max)),
        }
    })
}

/// `rollout.surge = 1 (the default)`.
fn value(settings: &Settings, path: &str) -> String {
    let shown = Key::find(path).map(|key| (key.show)(settings)).unwrap_or_default();
    match settings.origins.get(path) {
        Some(Origin { file, position: Position { line, column } }) => {
            format!("{path} = {shown} ({}:{line}:{column})", file.display())
        }
        None => format!("{path} = {shown} (the default)"),
    }
}
