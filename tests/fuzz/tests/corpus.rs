//! Runs each target with every file of its corpus. This needs no fuzzer.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn here(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// The contents of a directory, sorted by name.
fn list(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    paths
}

fn stems(directory: &Path) -> BTreeSet<String> {
    let paths = list(directory);
    paths.iter().filter_map(|path| path.file_stem()).map(|stem| stem.to_string_lossy().into_owned()).collect()
}

#[test]
fn every_target_has_a_corpus_and_a_program() {
    let targets = fuzz::TARGETS.map(|(name, _)| name.to_owned()).into();
    assert_eq!(stems(&here("corpus")), targets);
    assert_eq!(stems(&here("src/bin")), targets);
    assert!(stems(&here("dictionaries")).is_subset(&targets));
}

#[test]
fn what_was_found_once_does_not_come_back() {
    for (name, run) in fuzz::TARGETS {
        let corpus = list(&here("corpus").join(name));
        assert!(!corpus.is_empty(), "the corpus of {name} is empty");
        for path in corpus {
            eprintln!("{}", path.display());
            run(&fs::read(&path).unwrap());
        }
    }
}
