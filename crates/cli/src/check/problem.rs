//! What the check reports.

use std::fmt;

/// The label of problems in the configuration.
pub(super) const CONFIGURATION: &str = "configuration";
/// The label of problems that systemd reports.
pub(super) const VERIFY: &str = "verify";

/// A problem. Shown as `place: what is wrong (what happens); what to write`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    /// The check that found it, for tests.
    pub(super) label: &'static str,
    /// Where it is: a file with its line and key, or a unit.
    place: String,
    text: String,
}

impl Problem {
    pub(super) fn new(label: &'static str, place: impl Into<String>, text: impl Into<String>) -> Self {
        Self { label, place: place.into(), text: text.into() }
    }

    pub(super) fn of_configuration(problem: &config::Problem) -> Self {
        let text = problem.to_string();
        let (place, text) = text.split_once(": ").unwrap_or((&text, ""));
        Self::new(CONFIGURATION, place, text)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.text)
    }
}

/// All that was found.
#[derive(Debug, Default)]
pub(super) struct Findings {
    /// What is wrong.
    pub(super) problems: Vec<Problem>,
    /// What is doubtful.
    pub(super) warnings: Vec<String>,
    /// What could not be checked, each with the reason. Without it, `no problems` would be wrong.
    pub(super) unseen: Vec<String>,
}

impl Findings {
    /// Adds a problem once: the check finds a problem of a template again for each of its instances. If systemd has
    /// reported a line, that is enough.
    pub(super) fn add(&mut self, problem: Problem) {
        let is_said = |known: &Problem| {
            known.place == problem.place
                && (known.text == problem.text || known.label == VERIFY && problem.label != VERIFY)
        };
        if !self.problems.iter().any(is_said) {
            self.problems.push(problem);
        }
    }

    /// Whether something is wrong at this place.
    pub(super) fn has(&self, place: &str) -> bool {
        self.problems.iter().any(|problem| problem.place == place)
    }

    /// Notes that something could not be checked.
    pub(super) fn not_seen(&mut self, what: impl Into<String>) {
        let what = what.into();
        if !self.unseen.contains(&what) {
            self.unseen.push(what);
        }
    }

    pub(super) fn extend(&mut self, problems: impl IntoIterator<Item = Problem>) {
        problems.into_iter().for_each(|problem| self.add(problem));
    }
}
