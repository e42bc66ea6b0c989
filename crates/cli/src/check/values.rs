//! Values that systemd accepts, but that are a mistake or name something that does not exist.

use std::path::{Path, PathBuf};

use super::demand;
use super::problem::{Findings, Problem};
use super::unit::Unit;
use super::unit_file::Assignment;
use super::units::Units;
use super::users;

/// No process can run in less memory, so the number lacks a unit.
const LEAST_MEMORY: u64 = 1 << 20;
const MEMORY: [&str; 6] =
    ["MemoryMin", "MemoryLow", "MemoryHigh", "MemoryMax", "MemorySwapMax", "MemoryZSwapMax"];

/// Lists of paths that have to exist when systemd sets up the namespace; systemd.exec(5).
const PATHS_OF_NAMESPACE: [&str; 7] = [
    "ReadWritePaths",
    "ReadOnlyPaths",
    "InaccessiblePaths",
    "ExecPaths",
    "NoExecPaths",
    "BindPaths",
    "BindReadOnlyPaths",
];

/// Adds what is wrong with the values of all units below `root`.
pub(super) fn check(root: &Path, units: &Units, findings: &mut Findings) {
    for unit in units.loaded.iter().map(|loaded| &loaded.unit) {
        findings.extend(memory(unit));
        findings.extend(unit.list("Service", "Environment").into_iter().filter_map(percent));
        findings.extend(accounts(root, unit));
        // With another root directory, the files are elsewhere.
        if unit.last("Service", "RootDirectory").is_none() && unit.last("Service", "RootImage").is_none() {
            findings.extend(missing_files(root, unit));
        }
    }
}

fn problem(label: &'static str, at: &Assignment, what: &str, reason: &str, advice: &str) -> Problem {
    Problem::new(label, at.place(), format!("{what} ({reason}); {advice}"))
}

fn memory(unit: &Unit) -> Vec<Problem> {
    let set = ["Service", "Slice"].into_iter().flat_map(|section| MEMORY.map(|key| (section, key)));
    let set = set.filter_map(|(section, key)| unit.last(section, key));
    let too_little =
        |at: &&Assignment| at.value.parse().is_ok_and(|bytes: u64| 0 < bytes && bytes < LEAST_MEMORY);
    set.filter(too_little)
        .map(|at| {
            let (key, value) = (&at.key, &at.value);
            let advice = format!("write {key}={value}M");
            problem(
                "memory",
                at,
                &format!("is {value} bytes"),
                "no process can run in so little memory",
                &advice,
            )
        })
        .collect()
}

/// A literal `%` that systemd takes for a specifier. It stands before two hexadecimal digits, as in a URL, or in the
/// middle of a word, as in a password. If the letter after it is not a specifier, systemd reports that itself. systemd
/// leaves any other `%` as it is.
fn percent(at: &Assignment) -> Option<Problem> {
    let word = unescaped(&at.value)?;
    let reason = "systemd replaces it, systemd.unit(5), SPECIFIERS";
    Some(problem("percent", at, &format!("has {word}"), reason, "write %% for each %"))
}

/// The first such `%`, with the letter after it.
fn unescaped(value: &str) -> Option<String> {
    const SPECIFIERS: &str = "aAbBCdDEfgGhHiIjJlLmMnNopPqsStTuUvVwWyY";
    const OF_INSTANCE: &str = "iIjJnNpP";
    let letters: Vec<char> = value.chars().collect();
    let mut at = 0;
    while at < letters.len() {
        let next = letters.get(at + 1).copied();
        if letters[at] != '%' {
            at += 1;
            continue;
        }
        let is_hexadecimal = |c: Option<&char>| c.is_some_and(char::is_ascii_hexdigit);
        let is_encoded = is_hexadecimal(letters.get(at + 1)) && is_hexadecimal(letters.get(at + 2));
        let is_inside = |c: Option<&char>| c.is_some_and(char::is_ascii_alphanumeric);
        let is_in_word = at > 0 && is_inside(letters.get(at - 1)) && is_inside(letters.get(at + 2));
        match next {
            Some(c) if SPECIFIERS.contains(c) && (is_encoded || is_in_word && !OF_INSTANCE.contains(c)) => {
                return Some(format!("%{c}"));
            }
            _ => {}
        }
        at += 2;
    }
    None
}

fn accounts(root: &Path, unit: &Unit) -> Vec<Problem> {
    let dynamic =
        unit.last("Service", "DynamicUser").is_some_and(|a| demand::boolean(&a.value) == Some(true));
    // In an image without users, systemd-sysusers(8) has not run yet.
    if dynamic || !root.join("etc/passwd").exists() {
        return Vec::new();
    }
    let named = ["Service", "Socket"].into_iter().flat_map(|section| {
        [
            (section, "User", "passwd"),
            (section, "Group", "group"),
            (section, "SocketUser", "passwd"),
            (section, "SocketGroup", "group"),
        ]
    });
    let mut problems = Vec::new();
    for (section, key, database) in named {
        let Some(at) = unit.last(section, key) else { continue };
        // A number needs no entry. The value of a specifier is not known here.
        let is_known = at.value.contains('%')
            || at.value.parse::<u32>().is_ok()
            || users::entry(root, database, &at.value).is_some();
        if !is_known {
            let kind = if database == "passwd" { "user" } else { "group" };
            let what = format!("there is no {kind} {}", at.value);
            let reason = format!(
                "the unit could not start, {}",
                if kind == "user" { "217/USER" } else { "216/GROUP" }
            );
            let advice = format!("create the {kind}, or write the name of one that is there");
            problems.push(problem("account", at, &what, &reason, &advice));
        }
    }
    problems
}

fn missing_files(root: &Path, unit: &Unit) -> Vec<Problem> {
    let mut problems = Vec::new();
    for at in unit.list("Service", "EnvironmentFile") {
        if let Some(path) = missing(root, &at.value) {
            let advice = format!("write EnvironmentFile=-{path} if it may be missing, or create it");
            problems.push(absent(
                at,
                &path,
                "the unit could not start, systemd says only \"resources\"",
                &advice,
            ));
        }
    }
    if let Some(at) = unit.last("Service", "WorkingDirectory")
        && let Some(path) = missing(root, &at.value)
    {
        let advice = format!("create it, or write WorkingDirectory=-{path} if it may be missing");
        problems.push(absent(at, &path, "the unit could not start, 200/CHDIR", &advice));
    }
    for key in PATHS_OF_NAMESPACE {
        for at in unit.list("Service", key) {
            let words = at.value.split_whitespace();
            for path in words.filter_map(|word| missing(root, word.split(':').next().unwrap_or(word))) {
                let advice = format!("create it, or write -{path} if it may be missing");
                problems.push(absent(at, &path, "the unit could not start, 226/NAMESPACE", &advice));
            }
        }
    }
    problems
}

fn absent(at: &Assignment, path: &str, reason: &str, advice: &str) -> Problem {
    problem("missing-file", at, &format!("{path} does not exist"), reason, advice)
}

/// The path if it is absolute and has to exist, but does not. A path with a pattern or a specifier cannot be checked
/// here.
fn missing(root: &Path, path: &str) -> Option<String> {
    let path = path.trim_matches('"').trim_start_matches('+');
    let is_plain = path.starts_with('/') && !path.contains(['%', '*', '?', '[']);
    let below: PathBuf = root.join(path.trim_start_matches('/'));
    (is_plain && matches!(below.try_exists(), Ok(false))).then(|| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percent_that_is_meant_as_one_is_told_from_a_specifier() {
        for (value, found) in [
            ("APP_CLUSTER_INSTANCE=%i", None),
            ("DATA=%t/shop/%i.sock", None),
            ("NAME=worker%i", None),
            ("NAME=a%ib", None),
            ("RATE=100%%", None),
            ("RATE=100%", None),
            ("URL=http://x/?q=%", None),
            ("URL=http://x/%C3%A4", Some("%C")),
            ("PASSWORD=un%safe", Some("%s")),
            ("PASSWORD=a%bc%%", Some("%b")),
        ] {
            assert_eq!(unescaped(value).as_deref(), found, "{value}");
        }
    }
}
