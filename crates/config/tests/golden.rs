//! Every directory in `tests/cases` is a root. Its `expected.txt` is the result of loading its configuration.
//! `UPDATE_EXPECTED=1 cargo test -p config` rewrites these files, so that you can review the change in the
//! diff.

use std::path::Path;
use std::{env, fs};

/// What `check` would print: the effective keys, or the problems.
fn outcome(root: &Path) -> String {
    let text = match config::load(root) {
        Ok(settings) => {
            let lines = settings.effective().map(|key| match key.origin {
                Some(origin) => format!("{} = {}  # {}", key.key, key.value, origin.file.display()),
                None => format!("{} = {}  # default", key.key, key.value),
            });
            lines.join("\n")
        }
        Err(error) => error.to_string(),
    };
    text.replace(&root.display().to_string(), "") + "\n"
}

#[test]
fn every_case_says_what_is_expected() {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let mut roots: Vec<_> = fs::read_dir(&cases).unwrap().map(|entry| entry.unwrap().path()).collect();
    roots.sort();
    assert!(roots.len() >= 8, "cases are missing");
    for root in roots {
        let said = outcome(&root);
        let expected = root.join("expected.txt");
        if env::var_os("UPDATE_EXPECTED").is_some() {
            fs::write(&expected, &said).unwrap();
        }
        assert_eq!(said, fs::read_to_string(&expected).unwrap(), "{}", root.display());
    }
}
