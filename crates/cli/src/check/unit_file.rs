//! One unit file: the syntax of `systemd.syntax(7)`, with the line of every assignment.

use std::path::{Path, PathBuf};

/// `key=value` in a section of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Assignment {
    /// The section, without brackets.
    pub(super) section: String,
    /// What is assigned to.
    pub(super) key: String,
    /// The value, its lines joined by spaces, without white space around it.
    pub(super) value: String,
    /// The file.
    pub(super) file: PathBuf,
    /// The line it begins on, from 1.
    pub(super) line: usize,
}

/// A line that systemd warns about and passes over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ignored {
    /// The line, from 1.
    pub(super) line: usize,
    /// What is wrong with it, and what to write.
    pub(super) message: &'static str,
}

/// Parses `text`, the content of `file`.
pub(super) fn parse(file: &Path, text: &str) -> (Vec<Assignment>, Vec<Ignored>) {
    let mut assignments = Vec::new();
    let mut ignored = Vec::new();
    let mut section: Option<String> = None;
    for (line, content) in logical_lines(text) {
        if let Some(rest) = content.strip_prefix('[') {
            section = rest.strip_suffix(']').map(str::to_owned);
            if section.is_none() {
                ignored.push(Ignored { line, message: "section without an end; write ] after its name" });
            }
            continue;
        }
        match (&section, content.split_once('=')) {
            (None, _) => {
                ignored.push(Ignored { line, message: "outside of a section; write [Unit] above it" })
            }
            (Some(_), None) => ignored.push(Ignored { line, message: "no assignment; write Key=value" }),
            (Some(section), Some((key, value))) => assignments.push(Assignment {
                section: section.clone(),
                key: key.trim().to_owned(),
                value: value.trim().to_owned(),
                file: file.to_owned(),
                line,
            }),
        }
    }
    (assignments, ignored)
}

/// Lines with content: comments and empty ones left out, continuations joined, each with its first line's number.
fn logical_lines(text: &str) -> Vec<(usize, String)> {
    let mut lines: Vec<(usize, String)> = Vec::new();
    let mut continues = false;
    for (number, line) in (1..).zip(text.trim_start_matches('\u{feff}').lines()) {
        let line = line.trim();
        // A comment between continued lines does not end them.
        if line.starts_with(['#', ';']) {
            continue;
        }
        let (content, more) = match line.strip_suffix('\\') {
            Some(content) => (content, true),
            None => (line, false),
        };
        match lines.last_mut().filter(|_| continues) {
            Some((_, begun)) => {
                begun.push(' ');
                begun.push_str(content);
            }
            None => lines.push((number, content.to_owned())),
        }
        continues = more;
    }
    lines.retain_mut(|(_, line)| {
        line.truncate(line.trim_end().len());
        !line.is_empty()
    });
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Vec<(usize, String)> {
        let (assignments, ignored) = parse(Path::new("x.service"), text);
        assert_eq!(ignored, []);
        assignments.iter().map(|a| (a.line, format!("[{}]{}={}", a.section, a.key, a.value))).collect()
    }

    #[test]
    fn the_examples_of_the_man_page() {
        let text = "\
[Section A]
KeyOne=value 1
KeyTwo=value 2

# a comment

[Section B]
Setting=\"something\" \"some thing\" \"...\"
KeyTwo=value 2 \\
       value 2 continued

[Section C]
KeyThree=value 3\\
# this line is ignored
; this line is ignored too
       value 3 continued
";
        let expected = [
            (2, "[Section A]KeyOne=value 1"),
            (3, "[Section A]KeyTwo=value 2"),
            (8, "[Section B]Setting=\"something\" \"some thing\" \"...\""),
            (9, "[Section B]KeyTwo=value 2  value 2 continued"),
            (13, "[Section C]KeyThree=value 3 value 3 continued"),
        ];
        assert_eq!(parsed(text), expected.map(|(line, text)| (line, text.to_owned())));
    }

    #[test]
    fn white_space_and_empty_values_are_understood() {
        assert_eq!(
            parsed("  [Unit]\r\n\tAfter = a b \r\nExecStart=\n"),
            [(2, "[Unit]After=a b".to_owned()), (3, "[Unit]ExecStart=".to_owned()),]
        );
        assert_eq!(parsed("[Unit]\nA=b\\"), [(2, "[Unit]A=b".to_owned())]);
    }

    #[test]
    fn what_systemd_passes_over_is_reported() {
        let (assignments, ignored) = parse(Path::new("x"), "A=1\n[Unit\nB=2\n[Unit]\nnonsense\nC=3\n");
        assert_eq!(assignments.iter().map(|a| a.key.as_str()).collect::<Vec<_>>(), ["C"]);
        assert_eq!(ignored.iter().map(|i| i.line).collect::<Vec<_>>(), [1, 2, 3, 5]);
    }
}
