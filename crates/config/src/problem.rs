//! Problems in the configuration: what is wrong, where it is, and what to write instead.

use std::fmt::{self, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

/// All problems in the configuration, at least one. It is shown as one line per problem.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", lines(.problems))]
pub struct Error {
    /// The problems, in the order in which the files are read. Within a file they are sorted by position.
    pub problems: Vec<Problem>,
}

fn lines(problems: &[Problem]) -> String {
    problems.iter().map(Problem::to_string).collect::<Vec<_>>().join("\n")
}

/// One problem. It is shown as `file:line:column: key: message; help`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file or directory that has the problem.
    pub file: PathBuf,
    /// The position in the file. Absent if the problem concerns the whole file.
    pub position: Option<Position>,
    /// The key, with its table: `rollout.settle`. Absent if the problem concerns no single key.
    pub key: Option<String>,
    /// What is wrong.
    pub message: String,
    /// What to write or do. Absent if the message already says it.
    pub help: Option<String>,
}

impl Problem {
    /// A problem that concerns the whole file.
    pub fn of_file(file: &Path, message: impl Into<String>) -> Self {
        Self { file: file.to_owned(), position: None, key: None, message: message.into(), help: None }
    }

    /// Adds the position to the problem.
    pub fn at(self, position: Position) -> Self {
        Self { position: Some(position), ..self }
    }

    /// Adds the key to the problem.
    pub fn with_key(self, key: impl Into<String>) -> Self {
        Self { key: Some(key.into()), ..self }
    }

    /// Adds advice to the problem.
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

/// Writes control characters as Rust escapes them, because a terminal would obey them. A key may contain them
/// (`"a\nb" = 1`), and so may the name of a file.
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

/// A position in a text file. As in editors, lines and characters count from 1.
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
