//! Fits the answer to a screen that may be too small. The most important parts come first, and a line counts what is
//! left out.

use api::{Worker, WorkerState};

use super::look::Look;
use super::{table, traffic};
use crate::table::Style;

/// As much of the answer as fits in `rows` lines: the summary, the states, the counters, the rollout.
pub(super) fn fit(look: &Look, earlier: Option<&Look>, style: &Style, rows: usize) -> Vec<String> {
    let mut page = lines(&table::summary(look));
    let rollout = lines(&table::rollout(look));
    // A failure may have many lines of a log, but users watch the workers.
    let rollout = first(rollout, (rows / 3).max(1), |more| format!("… and {more} more lines"));
    let reserved = if rollout.is_empty() { 0 } else { rollout.len() + 1 };
    let room = |page: &Vec<String>| rows.saturating_sub(page.len() + reserved + 1);

    let states = states(&look.status.workers, lines(&table::workers(look, earlier, style)), room(&page));
    append(&mut page, states);
    let counters = lines(&traffic::render(look, earlier, style));
    let counters = first(counters, room(&page), |more| format!("… and {more} more"));
    // Titles and a count alone are useless.
    append(&mut page, if counters.len() > 2 { counters } else { Vec::new() });
    append(&mut page, rollout);
    page.truncate(rows);
    page
}

fn lines(text: &str) -> Vec<String> {
    text.lines().map(str::to_owned).collect()
}

/// Adds a part below an empty line. An empty part adds nothing.
fn append(page: &mut Vec<String>, part: Vec<String>) {
    if !part.is_empty() {
        page.push(String::new());
        page.extend(part);
    }
}

/// The first lines, and one that counts the others if there is no room for them.
fn first(mut lines: Vec<String>, room: usize, counted: impl FnOnce(usize) -> String) -> Vec<String> {
    if lines.len() > room {
        let more = lines.split_off(room.saturating_sub(1)).len();
        lines.push(counted(more));
    }
    lines
}

/// The titles and as many workers as there is room for, in their order. Workers that are not ready take precedence.
fn states(workers: &[Worker], table: Vec<String>, room: usize) -> Vec<String> {
    if table.len() <= room {
        return table;
    }
    // The titles and the line that counts need room too.
    let shown = room.saturating_sub(2);
    let mut order: Vec<_> = (0..workers.len()).collect();
    order.sort_by_key(|&i| workers[i].state == WorkerState::Ready);
    let left_out = order.split_off(shown.min(order.len()));
    let mut lines: Vec<_> = (0..table.len()).zip(table).collect();
    lines.retain(|(i, _)| *i == 0 || !left_out.contains(&(i - 1)));
    let left_out = counted(left_out.iter().map(|&i| workers[i].state));
    lines.into_iter().map(|(_, line)| line).chain([left_out]).collect()
}

/// `… and 12 more ready, 1 more failed`
fn counted(states: impl Iterator<Item = WorkerState>) -> String {
    let mut words: Vec<(&str, usize)> = Vec::new();
    for word in states.map(table::word) {
        match words.iter_mut().find(|(known, _)| *known == word) {
            Some((_, count)) => *count += 1,
            None => words.push((word, 1)),
        }
    }
    let words: Vec<_> = words.iter().map(|(word, count)| format!("{count} more {word}")).collect();
    format!("… and {}", words.join(", "))
}

#[cfg(test)]
mod tests {
    use api::Status;

    use super::super::look::Process;
    use super::super::table::tests::{counters, four_workers, look};
    use super::*;

    /// This many workers that count; these of them are not ready.
    fn busy(count: u32, failed: &[u32]) -> Look {
        let four = four_workers();
        let state = |i| if failed.contains(&i) { WorkerState::Failed } else { WorkerState::Ready };
        let worker = |i| Worker {
            instance: i,
            unit: format!("worker@{i}.service"),
            state: state(i),
            ..four.workers[0].clone()
        };
        let workers = (1..=count).map(worker).collect();
        let mut look = look(Status { desired: count, workers, ..four });
        let process = |i| Process { pid: 4000 + i, counters: Some(counters(i)), ..Process::default() };
        look.processes = (1..=count).map(|i| (i, process(i))).collect();
        look
    }

    fn page(look: &Look, rows: usize) -> Vec<String> {
        fit(look, None, &Style { width: Some(80), colour: false }, rows)
    }

    #[test]
    fn what_fits_is_what_is_printed() {
        let look = busy(4, &[]);
        let whole = table::render(&look, None, &Style { width: Some(80), colour: false });
        assert_eq!(page(&look, 23), lines(&whole));
    }

    #[test]
    fn states_come_before_counters_and_the_rest_is_counted() {
        let look = busy(30, &[28, 30]);
        let page = page(&look, 23);
        assert_eq!(page.len(), 23, "{page:#?}");
        assert_eq!(page[22], "… and 11 more ready");
        let shown: Vec<_> = page[3..22].iter().map(|line| line.split_whitespace().next().unwrap()).collect();
        assert_eq!((shown[0], shown[16]), ("worker@1", "worker@17"));
        assert_eq!(shown[17..], ["worker@28", "worker@30"], "those that are not ready are shown");
    }

    #[test]
    fn counters_take_what_is_left() {
        let page = page(&busy(12, &[]), 23);
        assert_eq!(page.len(), 23, "{page:#?}");
        assert!(page[2].starts_with("WORKER") && page[14].starts_with("worker@12 "), "{page:#?}");
        assert!(page[16].starts_with("WORKER    ") && page[16].contains("CONNS"), "{page:#?}");
        assert!(page[21].starts_with("worker@5 "), "{page:#?}");
        assert_eq!(page[22], "… and 7 more");
    }

    #[test]
    fn a_rollout_keeps_its_place() {
        use crate::rollout::words::tests::with_surge;
        use api::{RolloutState, StepState};
        let mut look = busy(30, &[]);
        look.status.rollout = vec![with_surge(RolloutState::Running, &[StepState::Done, StepState::Waiting])];
        look.status.rollout[0].message = "one\ntwo\nthree\nfour\nfive\nsix\nseven\neight\nnine".into();
        let page = page(&look, 23);
        assert_eq!(page.len(), 23, "{page:#?}");
        assert!(page[16].starts_with("rollout 7: running"), "{page:#?}");
        assert!(page[22].starts_with("… and "), "{page:#?}");
        assert_eq!(page[14], "… and 19 more ready");
    }

    #[test]
    fn no_room_is_too_small() {
        let look = busy(30, &[3]);
        for rows in 0..60 {
            let page = page(&look, rows);
            assert!(page.len() <= rows, "{rows}: {page:#?}");
        }
        assert_eq!(
            counted([WorkerState::Ready, WorkerState::Failed, WorkerState::Ready].into_iter()),
            "… and 2 more ready, 1 more failed"
        );
    }
}
