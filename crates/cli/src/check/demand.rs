//! What a rule demands of a setting, and whether the unit meets the demand.

use config::timespan;

use super::unit::{Unit, since_reset};
use super::unit_file::Assignment;

/// A demand on the value of one setting.
#[derive(Debug, Clone, Copy)]
pub(super) enum Demand {
    /// The time span has to be zero.
    Zero,
    /// The time span has to be at least this many seconds, or infinite. systemd's default is long enough.
    AtLeast(u64),
    /// The boolean has to be this.
    Is(bool),
    /// The word has to be one of these. If the setting is absent, systemd's default counts.
    OneOf { words: &'static [&'static str], default: &'static str },
    /// The list has to contain this unit.
    Contains(&'static str),
    /// The list, since it was last emptied, has to contain one of these words.
    Names(&'static [&'static str]),
    /// The list must not contain a unit that begins like this.
    Lacks(&'static str),
    /// No value may be there twice.
    NoneTwice,
    /// The command has to wait for the rollout, and its exit status has to count.
    WaitsForRollout,
}

/// A value that does not meet a demand.
#[derive(Debug)]
pub(super) struct Unmet<'a> {
    /// The wrong assignment; absent if one is missing.
    pub(super) at: Option<&'a Assignment>,
    /// What is wrong.
    pub(super) what: String,
    /// What to do about it.
    pub(super) remedy: Remedy,
}

/// What the operator has to do to meet the demand.
#[derive(Debug)]
pub(super) enum Remedy {
    /// Write this value.
    Write(String),
    /// Remove the line.
    Remove,
    /// Remove this word from the line.
    RemoveWord(String),
}

impl Demand {
    /// Every way in which `unit` does not meet the demand with the setting that has these `names`.
    pub(super) fn unmet<'a>(
        self,
        unit: &'a Unit,
        names: &'a [(&'static str, &'static str)],
    ) -> Vec<Unmet<'a>> {
        let all: Vec<&Assignment> = unit.assignments(names).collect();
        // If a value of these is empty, systemd warns and keeps the previous one.
        let last = all.iter().rev().find(|a| !a.value.is_empty()).copied();
        match self {
            Self::Zero => scalar(last, "0", |value| timespan::parse(value).is_ok_and(|span| span.is_zero())),
            Self::AtLeast(seconds) => {
                let write = format!("{seconds}s");
                last.map_or_else(Vec::new, |last| {
                    scalar(Some(last), &write, |value| is_at_least(value, seconds))
                })
            }
            Self::Is(wanted) => {
                let write = if wanted { "yes" } else { "no" };
                // All booleans here are off by default.
                if last.is_none() && !wanted {
                    Vec::new()
                } else {
                    scalar(last, write, |v| boolean(v) == Some(wanted))
                }
            }
            Self::OneOf { words, default } => match last {
                None if words.contains(&default) => Vec::new(),
                _ => scalar(last, words[0], |value| words.contains(&value)),
            },
            Self::Contains(unit) => {
                let found = all.iter().any(|a| a.value.split_whitespace().any(|word| word == unit));
                let what = || format!("does not name {unit}");
                if found { Vec::new() } else { vec![unmet(last, what(), Remedy::Write(unit.to_owned()))] }
            }
            Self::Names(words) => {
                let (list, word) = (since_reset(&all), words[0]);
                let is_one = |named: &str| words.contains(&named.trim_matches(['"', '\'']));
                let found = list.iter().any(|a| a.value.split_whitespace().any(is_one));
                let what = || format!("does not name {word}");
                if found {
                    Vec::new()
                } else {
                    vec![unmet(all.last().copied(), what(), Remedy::Write(word.to_owned()))]
                }
            }
            Self::Lacks(prefix) => all.iter().filter_map(|assignment| named(assignment, prefix)).collect(),
            Self::NoneTwice => twice(&since_reset(&all)),
            Self::WaitsForRollout => waits(&all),
        }
    }
}

fn unmet(at: Option<&Assignment>, what: String, remedy: Remedy) -> Unmet<'_> {
    Unmet { at, what, remedy }
}

fn scalar<'a>(last: Option<&'a Assignment>, write: &str, is_met: impl Fn(&str) -> bool) -> Vec<Unmet<'a>> {
    let what = match last {
        Some(assignment) if is_met(&assignment.value) => return Vec::new(),
        Some(assignment) => format!("is {}", assignment.value),
        None => "is not set".to_owned(),
    };
    vec![unmet(last, what, Remedy::Write(write.to_owned()))]
}

/// A list that names a unit which begins with `prefix`.
fn named<'a>(assignment: &'a Assignment, prefix: &str) -> Option<Unmet<'a>> {
    let mut words = assignment.value.split_whitespace();
    let word = words.clone().find(|word| word.starts_with(prefix))?.to_owned();
    let remedy = if words.nth(1).is_some() { Remedy::RemoveWord(word.clone()) } else { Remedy::Remove };
    Some(unmet(Some(assignment), format!("names {word}"), remedy))
}

fn twice<'a>(list: &[&'a Assignment]) -> Vec<Unmet<'a>> {
    let earlier = |at: usize| list[..at].iter().any(|a| a.value == list[at].value);
    let again = (0..list.len()).filter(|at| earlier(*at)).map(|at| list[at]);
    again.map(|a| unmet(Some(a), format!("has {} twice", a.value), Remedy::Remove)).collect()
}

fn waits<'a>(all: &[&'a Assignment]) -> Vec<Unmet<'a>> {
    const COMMAND: &str = "/usr/bin/app-cluster reload";
    let commands = since_reset(all);
    let is_ours = |a: &&&Assignment| a.value.contains("app-cluster") && a.value.contains("reload");
    let Some(ours) = commands.iter().find(is_ours) else {
        let what = match commands.last() {
            Some(other) => format!("is {}, which does not wait for the rollout", other.value),
            None => "is not set".to_owned(),
        };
        return vec![unmet(all.last().copied(), what, Remedy::Write(COMMAND.to_owned()))];
    };
    if ours.value.split('/').next().is_some_and(|prefix| prefix.contains('-')) {
        return vec![unmet(
            Some(ours),
            "ignores the exit status (-)".to_owned(),
            Remedy::Write(COMMAND.to_owned()),
        )];
    }
    // systemd runs them one after another, and a reload fails with any of them.
    let others = commands.iter().filter(|a| !is_ours(a));
    let what = |other: &Assignment| format!("is {} beside `app-cluster reload`", other.value);
    others.map(|other| unmet(Some(other), what(other), Remedy::Remove)).collect()
}

/// Zero means infinite, as in `systemd.service(5)`.
fn is_at_least(value: &str, seconds: u64) -> bool {
    match timespan::parse(value) {
        Ok(span) => span.is_zero() || span.as_secs() >= seconds,
        Err(_) => value == "infinity",
    }
}

/// A boolean, as `systemd.syntax(7)` defines it.
pub(super) fn boolean(value: &str) -> Option<bool> {
    match value.to_ascii_lowercase().as_str() {
        "1" | "yes" | "y" | "true" | "t" | "on" => Some(true),
        "0" | "no" | "n" | "false" | "f" | "off" => Some(false),
        _ => None,
    }
}
