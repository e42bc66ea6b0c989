//! Converts TOML values to types that allow only valid values. If that fails, says why, and what to write
//! instead.

use std::ops::RangeInclusive;
use std::time::Duration;

use toml::de::{DeInteger, DeValue};

use crate::settings::{Count, Deadline, OnFailure, Workers};
use crate::{spelling, timespan};

/// Why a value is invalid: what is expected, what was found, and what to write.
#[derive(Debug)]
pub(crate) struct Rejected {
    pub(crate) expected: String,
    pub(crate) found: String,
    /// The valid value closest to what was found, in TOML. Absent if no value is close.
    pub(crate) write: Option<String>,
}

impl Rejected {
    /// Suggests `example` if there is no closest value.
    pub(crate) fn or_write(self, example: String) -> Self {
        Self { write: self.write.or(Some(example)), ..self }
    }
}

/// The kind of value that a key accepts.
pub(crate) trait Kind {
    type Value;

    fn parse(&self, value: &DeValue<'_>) -> Result<Self::Value, Rejected>;

    /// The value in TOML.
    fn show(&self, value: Self::Value) -> String;
}

/// A whole number.
pub(crate) struct Number(pub(crate) RangeInclusive<u32>);

impl Kind for Number {
    type Value = u32;

    fn parse(&self, value: &DeValue<'_>) -> Result<u32, Rejected> {
        let (from, to) = (*self.0.start(), *self.0.end());
        let (number, is_one) = match value {
            DeValue::Integer(integer) => (Some(whole(integer)), true),
            DeValue::Float(float) => (float.as_str().split('.').next().and_then(|n| n.parse().ok()), false),
            DeValue::String(text) => (text.parse().ok(), false),
            _ => (None, false),
        };
        match number.and_then(|number| u32::try_from(number).ok()).filter(|n| self.0.contains(n)) {
            Some(number) if is_one => Ok(number),
            _ => Err(Rejected {
                expected: format!("a number from {from} to {to}"),
                found: show(value),
                // A minus sign is more likely a typing error than a negative number.
                write: number.map(|n| n.unsigned_abs().clamp(from.into(), to.into()).to_string()),
            }),
        }
    }

    fn show(&self, value: u32) -> String {
        value.to_string()
    }
}

/// A time span.
pub(crate) struct Span(pub(crate) RangeInclusive<Duration>);

impl Kind for Span {
    type Value = Duration;

    fn parse(&self, value: &DeValue<'_>) -> Result<Duration, Rejected> {
        let (parsed, is_text) = match value {
            DeValue::String(text) => (timespan::parse(text), true),
            // A number without quotes means seconds, as everywhere in systemd.
            DeValue::Integer(integer) => (timespan::parse(&whole(integer).to_string()), false),
            DeValue::Float(float) => (timespan::parse(float.as_str()), false),
            _ => (Err(timespan::ParseError::Empty), false),
        };
        let (from, to) = (*self.0.start(), *self.0.end());
        let nearest = match parsed {
            Ok(span) if is_text && self.0.contains(&span) => return Ok(span),
            Ok(span) => Some(span.clamp(from, to)),
            Err(timespan::ParseError::TooLong) => Some(to),
            Err(_) => None,
        };
        Err(Rejected {
            expected: match timespan::format(to) {
                to if from.is_zero() => format!("a time span of at most {to}"),
                to => format!("a time span from {} to {to}", timespan::format(from)),
            },
            found: match parsed {
                Err(error) if is_text && nearest.is_none() => format!("{} ({error})", show(value)),
                _ => show(value),
            },
            write: nearest.map(|span| self.show(span)),
        })
    }

    fn show(&self, value: Duration) -> String {
        format!("{:?}", timespan::format(value))
    }
}

/// `"auto"`, or what the inner kind allows.
pub(crate) struct Auto<K>(pub(crate) K);

impl<K: Kind> Auto<K> {
    fn parse_inner(&self, value: &DeValue<'_>) -> Result<Option<K::Value>, Rejected> {
        if value.as_str() == Some("auto") {
            return Ok(None);
        }
        let rejected =
            |inner: Rejected| Rejected { expected: format!("\"auto\" or {}", inner.expected), ..inner };
        self.0.parse(value).map(Some).map_err(rejected)
    }

    fn show_inner(&self, value: Option<K::Value>) -> String {
        value.map_or_else(|| "\"auto\"".to_owned(), |value| self.0.show(value))
    }
}

impl Kind for Auto<Number> {
    type Value = Workers;

    fn parse(&self, value: &DeValue<'_>) -> Result<Workers, Rejected> {
        let number = self.parse_inner(value)?;
        Ok(number.and_then(Count::new).map_or(Workers::Auto, Workers::Count))
    }

    fn show(&self, value: Workers) -> String {
        self.show_inner(match value {
            Workers::Auto => None,
            Workers::Count(count) => Some(count.get()),
        })
    }
}

impl Kind for Auto<Span> {
    type Value = Deadline;

    fn parse(&self, value: &DeValue<'_>) -> Result<Deadline, Rejected> {
        Ok(self.parse_inner(value)?.map_or(Deadline::Auto, Deadline::After))
    }

    fn show(&self, value: Deadline) -> String {
        self.show_inner(match value {
            Deadline::Auto => None,
            Deadline::After(span) => Some(span),
        })
    }
}

/// What to do when a rollout fails.
pub(crate) struct Failure;

impl Kind for Failure {
    type Value = OnFailure;

    fn parse(&self, value: &DeValue<'_>) -> Result<OnFailure, Rejected> {
        match value.as_str() {
            Some("rollback") => Ok(OnFailure::Rollback),
            Some("halt") => Ok(OnFailure::Halt),
            text => Err(Rejected {
                expected: "\"rollback\" or \"halt\"".to_owned(),
                found: show(value),
                write: text
                    .and_then(|text| spelling::nearest(text, ["rollback", "halt"]))
                    .map(|word| format!("{word:?}")),
            }),
        }
    }

    fn show(&self, value: OnFailure) -> String {
        match value {
            OnFailure::Rollback => "\"rollback\"".to_owned(),
            OnFailure::Halt => "\"halt\"".to_owned(),
        }
    }
}

/// The number, or `i128::MAX` if it is greater.
pub(super) fn whole(integer: &DeInteger<'_>) -> i128 {
    i128::from_str_radix(integer.as_str(), integer.radix()).unwrap_or(i128::MAX)
}

/// Shows a value in a message: a scalar as it is written, any other value by its type.
pub(super) fn show(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("{text:?}"),
        DeValue::Integer(integer) => integer.to_string(),
        DeValue::Float(float) => float.to_string(),
        DeValue::Boolean(boolean) => boolean.to_string(),
        DeValue::Datetime(datetime) => datetime.to_string(),
        DeValue::Array(_) => "an array".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}
