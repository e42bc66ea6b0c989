//! The configuration: any files give either consistent settings or problems with a position.

use std::path::{Path, PathBuf};

use config::{Deadline, Problem, Settings, Workers};

/// The files one after another, separated by NUL.
pub(crate) fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let files: Vec<(PathBuf, &str)> = text
        .split('\0')
        .enumerate()
        .map(|(number, text)| (PathBuf::from(format!("{number}.toml")), text))
        .collect();
    match config::parse(files.iter().map(|(file, text)| (file.as_path(), *text))) {
        Ok(settings) => valid(&settings),
        Err(error) => {
            assert!(!error.problems.is_empty());
            for problem in &error.problems {
                findable(problem, &files);
            }
        }
    }
}

fn valid(settings: &Settings) {
    let (rollout, backoff) = (settings.rollout, settings.backoff);
    assert!(rollout.surge > 0 || rollout.max_unavailable > 0, "{rollout:?}");
    assert!(backoff.first <= backoff.max, "{backoff:?}");
    for deadline in [rollout.deadline, rollout.worker_deadline] {
        assert!(!matches!(deadline, Deadline::After(time) if time.is_zero()));
    }
    if let Workers::Count(workers) = settings.workers {
        assert!(workers.get() + rollout.surge <= config::Count::MAX);
    }

    let written = written(settings);
    let again = config::parse([(Path::new("again.toml"), written.as_str())]);
    let again = again.unwrap_or_else(|error| panic!("{error}\n{written}"));
    assert_eq!(self::written(&again), written);
}

/// All keys as one file.
fn written(settings: &Settings) -> String {
    settings.effective().map(|key| format!("{} = {}\n", key.key, key.value)).concat()
}

/// The problem is one line, and its position exists.
fn findable(problem: &Problem, files: &[(PathBuf, &str)]) {
    let line = problem.to_string();
    assert!(!line.contains(char::is_control), "{line:?}");
    let position = problem.position.expect("every problem of a text has a position");
    let file = files.iter().find(|(file, _)| *file == problem.file);
    let (_, text) = file.expect("one of the files");
    let line = text.split('\n').nth(position.line - 1).expect("the line is there");
    assert!((1..=line.chars().count() + 1).contains(&position.column), "{problem}");
}
