//! What each test cost, from the test runner's JUnit report.

use std::{fs, path::Path};

use anyhow::{Context, Result};
use roxmltree::Document;

/// Cheaper tests are summed up in one line.
const SMALL_SECONDS: f64 = 1.0;

/// A test and its cost.
#[derive(Debug, PartialEq)]
struct Cost {
    test: String,
    seconds: f64,
    has_failed: bool,
}

/// Prints what each test of a report cost, the most expensive first.
pub(super) fn tell(junit: &Path) -> Result<()> {
    let report =
        fs::read_to_string(junit).with_context(|| format!("there is no report in {}", junit.display()))?;
    let costs = read(&report).with_context(|| format!("failed to understand {}", junit.display()))?;
    println!("\n{}\nall of them: {}", words(&costs), junit.display());
    Ok(())
}

/// The tests of a JUnit report, the most expensive first.
fn read(report: &str) -> Result<Vec<Cost>> {
    let document = Document::parse(report)?;
    let mut costs = Vec::new();
    for case in document.descendants().filter(|node| node.has_tag_name("testcase")) {
        let [program, name, seconds] =
            ["classname", "name", "time"].map(|name| case.attribute(name).unwrap_or_default());
        let seconds = seconds.parse().with_context(|| format!("{name} took {seconds:?} s"))?;
        let has_failed =
            case.children().any(|node| node.has_tag_name("failure") || node.has_tag_name("error"));
        costs.push(Cost { test: format!("{program} {name}"), seconds, has_failed });
    }
    costs.sort_by(|a, b| b.seconds.total_cmp(&a.seconds).then_with(|| a.test.cmp(&b.test)));
    Ok(costs)
}

fn words(costs: &[Cost]) -> String {
    let (large, small) = costs.split_at(costs.partition_point(|cost| cost.seconds >= SMALL_SECONDS));
    let sum = |costs: &[Cost]| costs.iter().map(|cost| cost.seconds).sum::<f64>();
    let mut text = format!("{} tests cost {:.0} s, one by one:\n", costs.len(), sum(costs));
    for Cost { test, seconds, .. } in large {
        text += &format!("{seconds:>8.1} s  {test}\n");
    }
    text += &format!("{:>8.1} s  the other {}, each less than {SMALL_SECONDS} s", sum(small), small.len());
    // Failures come last, where they are still visible on a terminal.
    for Cost { test, .. } in costs.iter().filter(|cost| cost.has_failed) {
        text += &format!("\n  FAILED    {test}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="ci" tests="3" failures="1" errors="0" time="43.5">
    <testsuite name="cli" tests="1" disabled="0" errors="0" failures="0">
        <testcase name="args::short" classname="cli" time="0.012"></testcase>
    </testsuite>
    <testsuite name="promises::promises" tests="2" disabled="0" errors="0" failures="1">
        <testcase name="drain::trixie::short" classname="promises::promises" time="3.250"></testcase>
        <testcase name="drain::trixie::long" classname="promises::promises" time="40.100">
            <failure message="panicked at tests/promises">a &lt; b</failure>
        </testcase>
    </testsuite>
</testsuites>"#;

    #[test]
    fn the_most_expensive_is_told_first_and_what_is_cheap_in_one_line() {
        let costs = read(REPORT).unwrap();
        assert_eq!(
            words(&costs),
            "3 tests cost 43 s, one by one:\n    40.1 s  promises::promises drain::trixie::long\n     \
             3.2 s  promises::promises drain::trixie::short\n     0.0 s  the other 1, each less than 1 s\n  \
             FAILED    promises::promises drain::trixie::long"
        );
    }

    #[test]
    fn a_report_that_is_none_is_an_error() {
        read("<testsuites><testcase name=\"a\" time=\"soon\"/></testsuites>").unwrap_err();
        read("no report").unwrap_err();
    }
}
