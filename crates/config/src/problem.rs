//! What is wrong with the configuration, where, and what to write instead.

use std::fmt::{self, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Everything that is wrong with the configuration; never empty. Shown as one line per problem.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", lines(.problems))]
pub struct Error {
    /// In the order in which the files are read, and by position within each.
    pub problems: Vec<Problem>,
}

fn lines(problems: &[Problem]) -> String {
    problems.iter().map(Problem::to_string).collect::<Vec<_>>().join("\n")
}

/// One thing that is wrong. Shown as `file:line:column: key: message; help`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file or directory it is about.
    pub file: PathBuf,
    /// Where in the file; absent if it concerns the file as a whole.
    pub position: Option<Position>,
    /// The key, with its table: `rollout.settle`; absent if it concerns no single key.
    pub key: Option<String>,
    /// What is wrong.
    pub message: String,
    /// What to write or do; absent if the message says it.
    pub help: Option<String>,
}

impl Problem {
    /// A problem of the file as a whole.
    pub fn of_file(file: &Path, message: impl Into<String>) -> Self {
        Self { file: file.to_owned(), position: None, key: None, message: message.into(), help: None }
    }

    /// The same problem at a position.
    pub fn at(self, position: Position) -> Self {
        Self { position: Some(position), ..self }
    }

    /// The same problem of a key.
    pub fn with_key(self, key: impl Into<String>) -> Self {
        Self { key: Some(key.into()), ..self }
    }

    /// The same problem with advice.
    pub fn with_help(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let f = &mut OneLine(f);
        write!(f, "{}:", self.file.display())?;
        if let Some(Position { line, column }) = self.position {
            write!(f, "{line}:{column}:")?;
        }
        if let Some(key) = &self.key {
            write!(f, " {key}:")?;
        }
        write!(f, " {}", self.message)?;
        match &self.help {
            Some(help) => write!(f, "; {help}"),
            None => Ok(()),
        }
    }
}

/// Writes control characters as Rust does. A key may have them (`"a\nb" = 1`), and so may the name of a file; a terminal
/// would obey them.
struct OneLine<'a, 'b>(&'a mut fmt::Formatter<'b>);

impl fmt::Write for OneLine<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for part in text.split_inclusive(char::is_control) {
            let plain = part.trim_end_matches(char::is_control);
            write!(self.0, "{plain}{}", part[plain.len()..].escape_default())?;
        }
        Ok(())
    }
}

/// A place in a text file, as editors count: lines and characters, both from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The character within the line.
    pub column: usize,
}

impl Position {
    /// The position that follows `text`.
    pub fn after(text: &str) -> Self {
        let line_start = text.rfind('\n').map_or(0, |newline| newline + 1);
        Self { line: text.matches('\n').count() + 1, column: text[line_start..].chars().count() + 1 }
    }

    /// The position at which `span` begins in `source`.
    pub(crate) fn of(span: &Range<usize>, source: &str) -> Self {
        Self::after(source.get(..span.start).unwrap_or(source))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_lines_and_characters_from_one() {
        assert_eq!(Position::after(""), Position { line: 1, column: 1 });
        assert_eq!(Position::after("ab\nü"), Position { line: 2, column: 2 });
        assert_eq!(Position::after("ab\n"), Position { line: 2, column: 1 });
    }

    #[test]
    fn a_problem_is_one_line() {
        let problem = Problem::of_file(Path::new("/etc/x.toml"), "is a directory");
        assert_eq!(problem.to_string(), "/etc/x.toml: is a directory");
        let problem =
            problem.at(Position { line: 3, column: 1 }).with_key("workers").with_help("write workers = 4");
        assert_eq!(problem.to_string(), "/etc/x.toml:3:1: workers: is a directory; write workers = 4");
        let problem = Problem::of_file(Path::new("ü\n.toml"), "unknown key").with_key("a\u{1b}\r\nb");
        assert_eq!(problem.to_string(), r"ü\n.toml: a\u{1b}\r\nb: unknown key");
    }
}
