//! A fragment: the keys that one file sets.

pub(crate) mod limit;
pub(crate) mod values;

use std::path::Path;

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use crate::keys::{KEYS, Key};
use crate::problem::{Position, Problem};
use crate::settings::{Origin, Settings};
use crate::spelling;
use values::{Rejected, show};

/// The keys of one file, as settings. Only the fields that have an origin count.
#[derive(Debug, Default)]
pub(crate) struct Fragment(pub(crate) Settings);

impl Fragment {
    /// Parses `source`, the text of `file`.
    ///
    /// Returns every problem, sorted by position. If the syntax is broken, it reports no problems of keys.
    pub(crate) fn parse(file: &Path, source: &str) -> Result<Self, Vec<Problem>> {
        let mut reader = Reader { file, source, fragment: Self::default(), problems: Vec::new() };
        let (document, errors) = DeTable::parse_recoverable(source);
        if errors.is_empty() {
            reader.table("", document.get_ref());
        }
        for error in errors {
            let span = error.span().unwrap_or_default();
            reader.problems.push(reader.problem(&span, format!("not TOML: {}", error.message())));
        }
        reader.problems.sort_by_key(|problem| problem.position);
        if reader.problems.is_empty() { Ok(reader.fragment) } else { Err(reader.problems) }
    }
}

struct Reader<'a> {
    file: &'a Path,
    source: &'a str,
    fragment: Fragment,
    problems: Vec<Problem>,
}

impl Reader<'_> {
    /// Reads the table `name`, which is empty for the document itself.
    fn table(&mut self, name: &str, table: &DeTable<'_>) {
        for (key, value) in table {
            let path =
                if name.is_empty() { key.get_ref().to_string() } else { format!("{name}.{}", key.get_ref()) };
            if let Some(key) = Key::find(&path) {
                self.value(key, value);
            } else if let Some(inner) = tables().find(|table| *table == path) {
                match value.get_ref() {
                    DeValue::Table(table) => self.table(inner, table),
                    other => {
                        let message = format!("expected a table, found {}", show(other));
                        let problem = self.problem(&value.span(), message).with_key(inner);
                        self.problems.push(problem.with_help(format!("write [{inner}] and its keys below")));
                    }
                }
            } else {
                let what = if value.get_ref().is_table() { "unknown table" } else { "unknown key" };
                let help = instead(name, key);
                self.problems.push(self.problem(&key.span(), what).with_key(path).with_help(help));
            }
        }
    }

    fn value(&mut self, key: &Key, value: &Spanned<DeValue<'_>>) {
        let Fragment(settings) = &mut self.fragment;
        match (key.read)(value.get_ref(), settings) {
            Ok(()) => {
                let position = Position::of(&value.span(), self.source);
                settings.origins.insert(key.path, Origin { file: self.file.to_owned(), position });
            }
            Err(Rejected { expected, found, write }) => {
                let problem = self.problem(&value.span(), format!("expected {expected}, found {found}"));
                let problem = problem.with_key(key.path);
                self.problems.push(match write {
                    Some(write) => problem.with_help(format!("write {} = {write}", key.name())),
                    None => problem,
                });
            }
        }
    }

    fn problem(&self, span: &std::ops::Range<usize>, message: impl Into<String>) -> Problem {
        Problem::of_file(self.file, message).at(Position::of(span, self.source))
    }
}

/// The names of all tables, each once for every key in it.
fn tables() -> impl Iterator<Item = &'static str> {
    KEYS.iter().map(Key::table).filter(|table| !table.is_empty())
}

/// Advice for a key that the table `table` does not have.
fn instead(table: &str, key: &Spanned<DeString<'_>>) -> String {
    let name = key.get_ref().as_ref();
    if let Some(elsewhere) = KEYS.iter().find(|key| key.name() == name) {
        return match elsewhere.table() {
            "" => format!("write it above [{table}]"),
            table => format!("write it below [{table}]"),
        };
    }
    let siblings = KEYS.iter().filter(|key| key.table() == table).map(Key::name);
    let known = siblings.chain(tables().filter(|_| table.is_empty()));
    match spelling::nearest(name, known) {
        Some(nearest) => format!("did you mean `{nearest}`?"),
        None => "remove it (addresses, users, limits and the sandbox are set in the units: systemctl edit)"
            .to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(
            text in ".*|(workers|rollout.(surge|deadline|on_failure|watch|max_error_ratio)) = .*|[\\[\\]a-z=\". \n0-9-]*"
        ) {
            let _ = Fragment::parse(Path::new("x.toml"), &text);
        }
    }
}
