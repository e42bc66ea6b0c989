//! The table of all keys, one line for each: its path and the values that it accepts. The path also names the
//! field in [`Settings`].

use std::time::Duration;

use toml::de::DeValue;

use crate::fragment::limit::Limit;
use crate::fragment::values::{Auto, Failure, Kind, Number, Rejected, Span};
use crate::settings::{Count, Ratio, Settings};

/// One key.
#[derive(Clone, Copy)]
pub(crate) struct Key {
    /// The key, with its table: `rollout.settle`.
    pub(crate) path: &'static str,
    /// Sets the field to the value in a file. Before the call, the field holds the default.
    pub(crate) read: fn(&DeValue<'_>, &mut Settings) -> Result<(), Rejected>,
    /// Copies the field.
    pub(crate) copy: fn(from: &Settings, to: &mut Settings),
    /// Shows the field in TOML.
    pub(crate) show: fn(&Settings) -> String,
}

impl Key {
    /// The key with this path.
    pub(crate) fn find(path: &str) -> Option<&'static Self> {
        KEYS.iter().find(|key| key.path == path)
    }

    /// The name of the table that the key belongs to. Empty for the top level.
    pub(crate) fn table(&self) -> &'static str {
        self.path.split_once('.').map_or("", |(table, _)| table)
    }

    /// The name of the key within its table.
    pub(crate) fn name(&self) -> &'static str {
        self.path.split_once('.').map_or(self.path, |(_, name)| name)
    }
}

/// Defines the keys. The path of a key is also the path of its field, so the two cannot differ.
macro_rules! keys {
    ($($first:ident $(. $rest:ident)? = $kind:expr;)*) => {
        [$(Key {
            path: concat!(stringify!($first) $(, ".", stringify!($rest))?),
            read: |value, settings| {
                let field = &mut settings.$first $(.$rest)?;
                let parsed = $kind.parse(value);
                *field = parsed.map_err(|rejected| rejected.or_write($kind.show(*field)))?;
                Ok(())
            },
            copy: |from, to| to.$first $(.$rest)? = from.$first $(.$rest)?,
            show: |settings| $kind.show(settings.$first $(.$rest)?),
        }),*]
    };
}

const MS: Duration = Duration::from_millis(1);
const S: Duration = Duration::from_secs(1);
const MIN: Duration = Duration::from_secs(60);
const H: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// In the order of the manual.
pub(crate) static KEYS: [Key; 17] = keys! {
    workers = Auto(Number(1..=Count::MAX));
    rollout.surge = Number(0..=100);
    rollout.max_unavailable = Number(0..=Count::MAX);
    rollout.settle = Span(Duration::ZERO..=10 * MIN);
    rollout.max_error_ratio = Limit(Ratio::ZERO..=Ratio::ONE);
    rollout.max_latency_ratio = Limit(Ratio::ONE..=Ratio::from_millionths(1_000_000_000));
    rollout.min_requests = Number(1..=1_000_000);
    rollout.worker_deadline = Auto(Span(S..=DAY));
    rollout.deadline = Auto(Span(S..=7 * DAY));
    rollout.on_failure = Failure;
    rollout.watch = Span(Duration::ZERO..=H);
    releases.keep = Number(2..=100);
    backoff.burst = Number(2..=100);
    backoff.window = Span(S..=10 * MIN);
    backoff.first = Span(100 * MS..=10 * MIN);
    backoff.max = Span(100 * MS..=H);
    backoff.stable = Span(S..=DAY);
};
