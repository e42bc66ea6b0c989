//! One unit file: the syntax of `systemd.syntax(7)`, with the line of every assignment.

use std::path::{Path, PathBuf};

/// `key=value` in a section of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Assignment {
    /// The section, without brackets.
    pub(super) section: String,
    /// What is assigned to.
    pub(super) key: String,
    /// The value, without surrounding white space. Its lines are joined by spaces.
    pub(super) value: String,
    /// The file.
    pub(super) file: PathBuf,
    /// The line on which it begins, from 1.
    pub(super) line: usize,
}

impl Assignment {
    /// Where it is, as problems name it: `file:line: [Section] Key`.
    pub(super) fn place(&self) -> String {
        format!("{}:{}: [{}] {}", self.file.display(), self.line, self.section, self.key)
    }
}

/// Parses `text`, the content of `file`. It ignores what systemd ignores: `systemd-analyze verify` reports that.
pub(super) fn parse(file: &Path, text: &str) -> Vec<Assignment> {
    let mut assignments = Vec::new();
    let mut section: Option<String> = None;
    for (line, content) in logical_lines(text) {
        if let Some(rest) = content.strip_prefix('[') {
            section = rest.strip_suffix(']').map(str::to_owned);
            continue;
        }
        if let (Some(section), Some((key, value))) = (&section, content.split_once('=')) {
            assignments.push(Assignment {
                section: section.clone(),
                key: key.trim().to_owned(),
                value: value.trim().to_owned(),
                file: file.to_owned(),
                line,
            });
        }
    }
    assignments
}

/// Lines with content, each with the number of its first line. Comments and empty lines are left out, continuations
/// are joined.
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
        let assignments = parse(Path::new("x.service"), text);
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
    fn what_systemd_passes_over_is_passed_over() {
        assert_eq!(parsed("A=1\n[Unit\nB=2\n[Unit]\nnonsense\nC=3\n"), [(6, "[Unit]C=3".to_owned())]);
    }
}
