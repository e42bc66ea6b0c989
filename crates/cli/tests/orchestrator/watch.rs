//! `app-cluster status --watch`: on terminals of all kinds, and without one.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use api::WorkerState as State;
use rustix::process::Signal;

use crate::bus::Bus;
use crate::fake::{Orchestrator, Script, counters, worker};
use crate::process::command;
use crate::pty::Pty;
use crate::scripted;

/// Thirty workers that count, all ready.
fn thirty() -> (Bus, Orchestrator) {
    let workers = (1..=30).map(|i| worker(i, State::Ready)).collect();
    let counters = (1..=30).map(|i| api::Counters { instance: i, ..counters(0) }).collect();
    scripted(Script { workers, counters, ..Script::default() })
}

fn watch(bus: &Bus, rows: u16, columns: u16) -> Pty {
    Pty::start(&command(bus, &["status", "--watch"]), rows, columns)
}

fn fits(drawn: &[String], rows: usize, columns: usize) -> bool {
    drawn.len() < rows && drawn.iter().all(|line| line.chars().count() <= columns)
}

#[test]
fn it_fits_the_screen_whatever_its_size() {
    let (bus, _orchestrator) = thirty();
    let mut pty = watch(&bus, 24, 80);
    let drawn = pty.until_drawn(|drawn| drawn.last().is_some_and(|last| last == "… and 11 more ready"));
    assert!(fits(&drawn, 24, 80) && drawn[0].starts_with("app-cluster: 1 of 4 ready"), "{drawn:#?}");
    pty.resize(70, 120);
    let drawn =
        pty.until_drawn(|drawn| drawn.iter().filter(|line| line.starts_with("worker@30 ")).count() == 2);
    assert!(fits(&drawn, 70, 120), "{drawn:#?}");
    pty.resize(9, 30);
    let drawn = pty.until_drawn(|drawn| drawn.len() == 8);
    assert!(fits(&drawn, 9, 30), "{drawn:#?}");
    assert_eq!(drawn[7], "… and 26 more ready");
    pty.types("q");
    assert_eq!(pty.ends(), Some(0));
}

#[test]
fn it_leaves_the_terminal_as_it_was() {
    let (bus, _orchestrator) = thirty();
    for end in ["q", "\x03", "\x1c", "TERM", "HUP"] {
        let mut pty = watch(&bus, 24, 80);
        pty.until_drawn(|drawn| !drawn.is_empty());
        assert!(pty.is_quiet());
        match end {
            "TERM" => pty.signal(Signal::TERM),
            "HUP" => pty.signal(Signal::HUP),
            keys => pty.types(keys),
        }
        assert_eq!(pty.ends(), Some(0), "{end}");
        assert!(!pty.is_quiet(), "after {end}");
        // No alternate screen, no hidden cursor.
        assert!(!pty.written().contains("\x1b[?"), "{:?}", pty.written());
    }
}

#[test]
fn ctrl_z_gives_the_terminal_back_for_as_long_as_it_takes() {
    let (bus, _orchestrator) = thirty();
    let mut pty = watch(&bus, 24, 80);
    pty.until_drawn(|drawn| !drawn.is_empty());
    pty.types("\x1a");
    pty.until(|| pty.is_stopped().then_some(()));
    assert!(!pty.is_quiet());
    pty.signal(Signal::CONT);
    pty.until(|| pty.is_quiet().then_some(()));
    let drawn = pty.written().matches("\x1b[0J").count();
    pty.until(|| (pty.written().matches("\x1b[0J").count() > drawn).then_some(()));
    pty.types("q");
    assert_eq!(pty.ends(), Some(0));
    assert!(!pty.is_quiet());
}

#[test]
fn an_orchestrator_that_is_away_is_waited_for() {
    let (bus, orchestrator) = thirty();
    let mut pty = watch(&bus, 24, 80);
    pty.until_drawn(|drawn| drawn.len() > 10);
    drop(orchestrator);
    pty.until_drawn(|drawn| matches!(drawn, [only] if only.starts_with("the orchestrator does not run")));
    let _successor = Orchestrator::start(&bus, Script::default());
    pty.until_drawn(|drawn| drawn.len() > 3);
    pty.types("Q");
    assert_eq!(pty.ends(), Some(0));
}

#[test]
fn colours_and_a_dumb_terminal() {
    let (bus, _orchestrator) = thirty();
    let mut plain = command(&bus, &["status", "--watch"]);
    plain.env("NO_COLOR", "1");
    let mut pty = Pty::start(&plain, 24, 80);
    pty.until_drawn(|drawn| !drawn.is_empty());
    assert!(!pty.written().contains("\x1b[32m") && pty.written().contains("ready"), "{:?}", pty.written());
    pty.types("q");
    assert_eq!(pty.ends(), Some(0));

    let mut dumb = command(&bus, &["status", "--watch"]);
    dumb.env("TERM", "dumb");
    let mut pty = Pty::start(&dumb, 24, 80);
    // The answer appears twice, one below the other.
    pty.until(|| (pty.written().matches("app-cluster: 1 of 4 ready").count() > 1).then_some(()));
    assert!(!pty.written().contains('\x1b'), "{:?}", pty.written());
    pty.types("\x03");
    assert_eq!(pty.ends(), None, "it dies of the signal");
}

#[test]
fn a_reader_that_has_seen_enough_ends_it() {
    let (bus, _orchestrator) = thirty();
    let mut child = command(&bus, &["status", "--watch"]).stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let seen: Vec<_> = lines.take(2).map(Result::unwrap).collect();
    assert!(seen[0].starts_with("app-cluster: ") && !seen.concat().contains('\x1b'), "{seen:?}");
    // The reader has gone away.
    assert!(child.wait().unwrap().success());
}
