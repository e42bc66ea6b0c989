//! A fragment: what one file says.

use std::path::Path;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::problem::{Position, Problem};
use crate::settings::{Count, Origin, RolloutSettings, Workers};
use crate::timespan;

/// The keys of one file. A key that is not set is absent.
#[derive(Debug, Default)]
pub(crate) struct Fragment {
    pub(crate) workers: Option<Assigned<Workers>>,
    pub(crate) settle: Option<Assigned<Duration>>,
}

/// A value and where it was set.
#[derive(Debug)]
pub(crate) struct Assigned<T> {
    value: T,
    origin: Origin,
}

impl<T> Assigned<T> {
    pub(crate) fn split(assigned: Option<Self>) -> (Option<T>, Option<Origin>) {
        assigned.map(|Self { value, origin }| (value, origin)).unzip()
    }
}

impl Fragment {
    /// Parses `source`, the text of `file`.
    ///
    /// Gives every problem, by position. Where the syntax is broken nothing can be said of the keys.
    pub(crate) fn parse(file: &Path, source: &str) -> Result<Self, Vec<Problem>> {
        let mut reader = Reader { file, source, problems: Vec::new() };
        let (document, errors) = DeTable::parse_recoverable(source);
        let mut fragment = Self::default();
        if errors.is_empty() {
            fragment = reader.document(document.get_ref());
        }
        for error in errors {
            let span = error.span().unwrap_or_default();
            reader.problems.push(reader.problem(&span, format!("not TOML: {}", error.message())));
        }
        reader.problems.sort_by_key(|problem| problem.position);
        if reader.problems.is_empty() { Ok(fragment) } else { Err(reader.problems) }
    }
}

/// Why a value is not taken: what is expected, and what to write.
struct Rejected {
    expected: String,
    found: String,
    write: String,
}

type Key<'a> = Spanned<toml::de::DeString<'a>>;
type Value<'a> = Spanned<DeValue<'a>>;

struct Reader<'a> {
    file: &'a Path,
    source: &'a str,
    problems: Vec<Problem>,
}

impl Reader<'_> {
    fn document(&mut self, table: &DeTable<'_>) -> Fragment {
        let mut fragment = Fragment::default();
        for (key, value) in table {
            match key.get_ref().as_ref() {
                "workers" => fragment.workers = self.assigned("workers", value, workers),
                "rollout" => match value.get_ref() {
                    DeValue::Table(rollout) => fragment.settle = self.rollout(rollout),
                    other => {
                        let message = format!("expected a table, found {}", show(other));
                        let problem = self.problem(&value.span(), message).with_key("rollout");
                        self.problems.push(problem.with_help("write [rollout] and its keys below"));
                    }
                },
                "settle" => self.unknown(key, value, "", Some("write it below [rollout]".to_owned())),
                name => self.unknown(key, value, "", similar(name, &["workers", "rollout"])),
            }
        }
        fragment
    }

    fn rollout(&mut self, table: &DeTable<'_>) -> Option<Assigned<Duration>> {
        let mut assigned = None;
        for (key, value) in table {
            match key.get_ref().as_ref() {
                "settle" => assigned = self.assigned("rollout.settle", value, settle),
                "workers" => {
                    self.unknown(key, value, "rollout.", Some("write it above [rollout]".to_owned()))
                }
                name => self.unknown(key, value, "rollout.", similar(name, &["settle"])),
            }
        }
        assigned
    }

    fn assigned<T>(
        &mut self,
        key: &str,
        value: &Value<'_>,
        parse: fn(&DeValue<'_>) -> Result<T, Rejected>,
    ) -> Option<Assigned<T>> {
        match parse(value.get_ref()) {
            Ok(parsed) => {
                let position = Position::of(&value.span(), self.source);
                Some(Assigned { value: parsed, origin: Origin { file: self.file.to_owned(), position } })
            }
            Err(Rejected { expected, found, write }) => {
                let problem = self.problem(&value.span(), format!("expected {expected}, found {found}"));
                self.problems.push(problem.with_key(key).with_help(format!("write {write}")));
                None
            }
        }
    }

    fn unknown(&mut self, key: &Key<'_>, value: &Value<'_>, prefix: &str, help: Option<String>) {
        let what = if value.get_ref().is_table() { "unknown table" } else { "unknown key" };
        let problem = self.problem(&key.span(), what).with_key(format!("{prefix}{}", key.get_ref()));
        self.problems.push(problem.with_help(help.unwrap_or_else(|| {
            "remove it (addresses, users, limits and the sandbox are set in the units: systemctl edit)"
                .to_owned()
        })));
    }

    fn problem(&self, span: &std::ops::Range<usize>, message: impl Into<String>) -> Problem {
        Problem::of_file(self.file, message).at(Position::of(span, self.source))
    }
}

fn workers(value: &DeValue<'_>) -> Result<Workers, Rejected> {
    let rejected = |write: String| Rejected {
        expected: format!("\"auto\" or a number from 1 to {}", Count::MAX),
        found: show(value),
        write: format!("workers = {write}"),
    };
    match value {
        DeValue::String(text) if text == "auto" => Ok(Workers::Auto),
        DeValue::String(text) => Err(rejected(match text.parse() {
            Ok(Workers::Count(count)) => count.get().to_string(),
            _ => "\"auto\"".to_owned(),
        })),
        DeValue::Integer(integer) => {
            let number = i128::from_str_radix(integer.as_str(), integer.radix()).unwrap_or(i128::MAX);
            let nearest = number.unsigned_abs().clamp(1, Count::MAX.into()).to_string();
            let count = u32::try_from(number).ok().and_then(Count::new);
            count.map(Workers::Count).ok_or_else(|| rejected(nearest))
        }
        _ => Err(rejected("4".to_owned())),
    }
}

fn settle(value: &DeValue<'_>) -> Result<Duration, Rejected> {
    let max = RolloutSettings::MAX_SETTLE;
    let rejected = |found: String, write: &str| Rejected {
        expected: format!("a time span of at most {}", timespan::format(max)),
        found,
        write: format!("settle = \"{write}\""),
    };
    match value {
        DeValue::String(text) => match timespan::parse(text) {
            Ok(span) if span <= max => Ok(span),
            Ok(_) | Err(timespan::ParseError::TooLong) => Err(rejected(show(value), &timespan::format(max))),
            Err(error) => Err(rejected(format!("{} ({error})", show(value)), "1s")),
        },
        DeValue::Integer(integer) => {
            let seconds = integer.as_str().parse().map(Duration::from_secs).unwrap_or_default();
            let write = if (Duration::from_secs(1)..=max).contains(&seconds) {
                seconds
            } else {
                Duration::from_secs(1)
            };
            Err(rejected(show(value), &timespan::format(write)))
        }
        _ => Err(rejected(show(value), "1s")),
    }
}

/// A value for a message: scalars as they are written, the rest by type.
fn show(value: &DeValue<'_>) -> String {
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

/// Advice for a name that looks like one of `known`.
fn similar(name: &str, known: &[&str]) -> Option<String> {
    let distance = |candidate: &&&str| strsim::damerau_levenshtein(&name.to_lowercase(), candidate);
    let nearest = known.iter().min_by_key(distance)?;
    // A third of the letters may be wrong: enough for a slip, too little for another word.
    (distance(&nearest) * 3 <= nearest.len()).then(|| format!("did you mean `{nearest}`?"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in ".*|workers = .*|[\\[\\]a-z=\". \n0-9-]*") {
            let _ = Fragment::parse(Path::new("x.toml"), &text);
        }
    }
}
