//! The package installs a configuration file and a manual. Both name every key, and the file shows the
//! defaults.

use std::path::Path;
use std::{fs, io};

fn packaged(path: &str) -> io::Result<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packaging/root");
    fs::read_to_string(root.join(path))
}

/// Loads `text` as the only file.
fn load(text: &str) -> Result<config::Settings, config::Error> {
    config::parse([(Path::new("app-cluster.toml"), text)])
}

#[test]
fn the_packaged_file_shows_every_key_with_its_default() {
    let text = packaged("etc/app-cluster/app-cluster.toml").unwrap();
    // `#key = value` is a key that is commented out, `# text` is a comment.
    let is_key = |line: &&str| line.starts_with('#') && !line.starts_with("# ") && line.len() > 1;
    let uncommented: Vec<_> =
        text.lines().map(|line| if is_key(&line) { &line[1..] } else { line }).collect();

    let (shown, defaults) = (load(&uncommented.join("\n")).unwrap(), config::Settings::default());
    for (shown, default) in shown.effective().iter().zip(defaults.effective()) {
        assert!(shown.origin.is_some(), "{} is not in the file", shown.key);
        assert_eq!(shown.value, default.value, "{}", shown.key);
    }

    assert_eq!(load(&text), Ok(defaults));
}

#[test]
fn the_manual_has_every_key_in_order() {
    let manual = packaged("usr/share/man/man5/app-cluster.toml.5").unwrap();
    let mut table = "";
    let mut documented = Vec::new();
    let mut lines = manual.lines();
    while let Some(line) = lines.next() {
        if let Some(name) = line.strip_prefix(".SS \"Table [").and_then(|rest| rest.strip_suffix("]\"")) {
            table = name;
        } else if line == ".TP" {
            let name = lines.next().and_then(|tag| tag.strip_prefix(".B ")).unwrap();
            documented.push(if table.is_empty() { name.to_owned() } else { format!("{table}.{name}") });
        }
    }
    assert_eq!(documented, config::Settings::default().effective().map(|key| key.key));
}

#[test]
fn the_examples_of_the_manual_are_valid() {
    let manual = packaged("usr/share/man/man5/app-cluster.toml.5").unwrap();
    let (_, examples) = manual.split_once(".SH EXAMPLES").unwrap();
    let examples: Vec<_> =
        examples.split(".nf\n").skip(1).filter_map(|text| text.split_once(".fi")).collect();
    assert!(!examples.is_empty());
    for (example, _) in examples {
        let settings = load(&example.replace('\\', "")).unwrap_or_else(|error| panic!("{error}"));
        assert!(settings.effective().iter().any(|key| key.origin.is_some()), "{example}");
    }
}
