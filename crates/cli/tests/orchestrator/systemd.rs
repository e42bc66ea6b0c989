//! Behind `ExecReload=`, the command asks for time, prints nothing, and never makes systemd wait.

use std::os::unix::net::UnixDatagram;

use api::{RolloutState as State, StepState as Step};
use rustix::process::Signal;

use crate::bus::Bus;
use crate::fake::{Orchestrator, Script, rollout};
use crate::process::{DEADLINE, Running, command, start};
use crate::{failed, scripted, staying};

/// A reload that systemd started, and systemd's end of its notification socket.
struct Reload {
    running: Running,
    socket: UnixDatagram,
}

impl Reload {
    fn start(bus: &Bus) -> Self {
        let path = bus.dir.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        let mut reload = command(bus, &["reload"]);
        reload.env("NOTIFY_SOCKET", &path).env("MAINPID", "1");
        Self { running: start(reload), socket }
    }

    /// Waits until the reload asks for the time of one step.
    fn asks_for_time(&self) {
        let mut buffer = [0; 256];
        let length = self.socket.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"EXTEND_TIMEOUT_USEC=75000000\n");
    }
}

fn asked_by_systemd(orchestrator: &Orchestrator) {
    assert_eq!(orchestrator.calls(), ["Reload by systemctl reload"]);
}

/// As in a CI agent that is a service of `Type=notify`, and in `systemd-run --pipe -p NotifyAccess=all`.
#[test]
fn a_reload_inside_another_service_prints_its_progress() {
    let story = [rollout(State::Running, &[Step::Restarting]), rollout(State::Done, &[Step::Done])];
    let (bus, _orchestrator) = scripted(Script { story: story.to_vec(), ..Script::default() });
    let mut reload = command(&bus, &["reload"]);
    reload.env("NOTIFY_SOCKET", bus.dir.path().join("none")).env_remove("MAINPID");
    let ended = start(reload).ends();
    assert_eq!((ended.exit, ended.lines.is_empty()), (0, false), "{}", ended.errors);
}

#[test]
fn every_step_is_worth_more_time() {
    let story = [rollout(State::Running, &[Step::Restarting]), rollout(State::Done, &[Step::Done])];
    let (bus, orchestrator) = scripted(Script { story: story.to_vec(), ..Script::default() });
    let reload = Reload::start(&bus);
    reload.asks_for_time();
    reload.asks_for_time();
    let ended = reload.running.ends();
    assert_eq!((ended.exit, ended.lines.len(), ended.errors.as_str()), (0, 0, ""));
    asked_by_systemd(&orchestrator);
}

#[test]
fn a_pause_is_worth_more_time_as_long_as_it_lasts() {
    let (bus, orchestrator) = scripted(staying(State::Paused, &[Step::Done, Step::Waiting]));
    let reload = Reload::start(&bus);
    // Nothing changes meanwhile.
    for _ in 0..3 {
        reload.asks_for_time();
    }
    orchestrator.announce(rollout(State::Done, &[Step::Done, Step::Done]));
    assert_eq!(reload.running.ends().exit, 0);
}

#[test]
fn the_exit_status_is_all_that_is_said_of_the_end() {
    let end = failed(State::Restored, &[Step::Restored]);
    let (bus, _orchestrator) = scripted(Script { story: vec![end], ..Script::default() });
    let ended = Reload::start(&bus).running.ends();
    assert_eq!((ended.exit, ended.lines.len(), ended.errors.as_str()), (2, 0, ""));
}

#[test]
fn sigterm_is_no_failure_and_asks_for_nothing() {
    let (bus, orchestrator) = scripted(staying(State::Running, &[Step::Restarting]));
    let reload = Reload::start(&bus);
    reload.asks_for_time();
    reload.running.signal(Signal::TERM);
    assert_eq!(reload.running.ends().exit, 0);
    asked_by_systemd(&orchestrator);
}

#[test]
fn an_orchestrator_that_went_away_is_not_waited_for() {
    let (bus, orchestrator) = scripted(staying(State::Running, &[Step::Restarting]));
    let reload = Reload::start(&bus);
    reload.asks_for_time();
    drop(orchestrator);
    let begun = std::time::Instant::now();
    assert_eq!(reload.running.ends().exit, 75);
    // A command that waits for the orchestrator's return waits for 30 seconds.
    assert!(begun.elapsed().as_secs() < 20, "it waited for {:?}", begun.elapsed());
}
