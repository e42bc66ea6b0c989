//! The answer for workers that count, that do not, or that report impossible figures.

use api::{Latency, Responses};

use super::*;
use crate::status::table::render;
use crate::status::table::tests::{four_workers, look};

#[test]
fn a_cluster_that_does_not_count_has_no_table_of_it() {
    let mut look = look(four_workers());
    look.processes.values_mut().for_each(|process| process.counters = None);
    let text = render(&look, None, &Style { width: None, colour: false });
    assert!(text.ends_with("killed by SIGKILL\n"), "{text}");
}

#[test]
fn speeds_are_those_since_the_look_before_if_it_saw_the_same_process() {
    let (mut before, mut now) = (look(four_workers()), look(four_workers()));
    now.at += Duration::from_secs(2);
    let process = now.processes.get_mut(&1).unwrap();
    process.counters.as_mut().unwrap().requests += 100;
    process.usage.cpu.as_mut().unwrap().used += Duration::from_secs(1);
    let style = Style { width: None, colour: false };
    let text = render(&now, Some(&before), &style);
    assert!(text.contains("50.0%  12.3M") && text.contains("1203541   50     "), "{text}");

    // The rate is since the process began, because the earlier process was another one.
    before.processes.get_mut(&1).unwrap().pid = 3999;
    let text = render(&now, Some(&before), &style);
    assert!(text.contains("0.03%  12.3M") && text.contains("1203541   6.7    "), "{text}");
}

#[test]
fn what_has_answered_nothing_has_no_latency() {
    let mut look = look(four_workers());
    let counters = look.processes.get_mut(&1).unwrap().counters.as_mut().unwrap();
    (counters.requests, counters.responses, counters.latency) = (0, Responses::default(), Latency::default());
    let text = render(&look, None, &Style { width: None, colour: false });
    assert!(text.contains("worker@1  12     3          0         0      -    -    -\n"), "{text}");
}

#[test]
fn a_damaged_slot_breaks_nothing() {
    let mut look = look(four_workers());
    let most = u64::MAX;
    let responses = Responses { successful: most, server_error: most, ..Responses::default() };
    let counters = look.processes.get_mut(&1).unwrap().counters.as_mut().unwrap();
    *counters =
        Counters { requests: most, connections: most, since_usec: most, responses, ..counters.clone() };
    let text = render(&look, None, &Style { width: Some(80), colour: false });
    assert!(text.contains("\nworker@1  18446744073709551615  3 "), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
}
