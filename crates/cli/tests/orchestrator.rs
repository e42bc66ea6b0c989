//! The real command against an orchestrator on a real bus: what it prints, how it ends, what it calls.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod fake;

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::net::UnixDatagram;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use api::{Failure, Rollout, RolloutState as State, StepState as Step};
use fake::{Bus, ID, Orchestrator, Script, rollout};
use rustix::process::{Pid, Signal, kill_process};

/// Whoever waits longer waits for ever.
const DEADLINE: Duration = Duration::from_secs(60);

/// A command that runs.
struct Running {
    child: Child,
    lines: Receiver<String>,
    errors: thread::JoinHandle<String>,
}

/// How it ended.
struct Ended {
    exit: i32,
    lines: Vec<String>,
    errors: String,
}

fn command(bus: &Bus, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_app-cluster"));
    command.args(args).env("DBUS_SYSTEM_BUS_ADDRESS", &bus.address).env_remove("NOTIFY_SOCKET");
    command
}

fn start(mut command: Command) -> Running {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (sender, lines) = channel();
    let stdout = BufReader::new(child.stdout.take().unwrap());
    thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
    let mut stderr = child.stderr.take().unwrap();
    let errors = thread::spawn(move || {
        let mut text = String::new();
        let _ = stderr.read_to_string(&mut text);
        text
    });
    Running { child, lines, errors }
}

impl Running {
    /// Waits until a line ends like this.
    fn says(&self, end: &str) {
        while !self
            .lines
            .recv_timeout(DEADLINE)
            .unwrap_or_else(|_| panic!("never said {end:?}"))
            .ends_with(end)
        {}
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    fn ends(mut self) -> Ended {
        let mut lines = Vec::new();
        // The output ends with the process.
        loop {
            match self.lines.recv_timeout(DEADLINE) {
                Ok(line) => lines.push(line),
                Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => break,
                Err(std::sync::mpsc::RecvTimeoutError::Timeout) => {
                    let _ = self.child.kill();
                    panic!("it does not end; it said {lines:?}");
                }
            }
        }
        let exit = self.child.wait().unwrap().code().expect("it died of a signal");
        Ended { exit, lines, errors: self.errors.join().unwrap() }
    }
}

fn run(bus: &Bus, args: &[&str]) -> Ended {
    start(command(bus, args)).ends()
}

fn scripted(script: Script) -> (Bus, Orchestrator) {
    let bus = Bus::start("");
    let orchestrator = Orchestrator::start(&bus, script);
    (bus, orchestrator)
}

fn failed(state: State, steps: &[Step]) -> Rollout {
    let failure = Failure {
        instance: 1,
        unit: "worker@1.service".into(),
        reason: "exited with status 1 before it was ready".into(),
        journal: vec!["cannot open the database".into()],
    };
    Rollout { failure: vec![failure], ..rollout(state, steps) }
}

#[test]
fn a_rollout_that_succeeds_is_told_line_by_line() {
    let story = [
        rollout(State::Running, &[Step::Restarting, Step::Waiting]),
        rollout(State::Running, &[Step::Settling, Step::Waiting]),
        rollout(State::Running, &[Step::Done, Step::Restarting]),
        rollout(State::Done, &[Step::Done, Step::Done]),
    ];
    let (bus, _orchestrator) = scripted(Script { reload: story.to_vec(), ..Script::default() });
    let ended = run(&bus, &["reload"]);
    assert_eq!((ended.exit, ended.errors.as_str()), (0, ""));
    let (summary, lines) = ended.lines.split_last().unwrap();
    let expected = [
        "2 workers, release 1.0 → 1.1",
        "worker@1: restarting",
        "worker@1: settling",
        "worker@1: done (1 of 2)",
        "worker@2: restarting",
        "worker@2: done (2 of 2)",
    ];
    assert_eq!(lines, expected.map(|line| format!("rollout {ID}: {line}")));
    assert!(
        summary.starts_with("2 of 2 workers replaced in ") && summary.ends_with(", release 1.0 → 1.1"),
        "{summary}"
    );
}

#[test]
fn the_exit_status_tells_how_a_rollout_failed() {
    for (end, exit) in [
        (failed(State::Restored, &[Step::Restored, Step::Waiting]), 2),
        (failed(State::Failed, &[Step::Failed, Step::Waiting]), 3),
        (rollout(State::Aborted, &[Step::Done, Step::Waiting]), 3),
        (rollout(State::Aborted, &[Step::Waiting, Step::Waiting]), 1),
        (rollout(State::Refused, &[]), 4),
    ] {
        let (bus, _orchestrator) = scripted(Script { reload: vec![end.clone()], ..Script::default() });
        let ended = run(&bus, &["reload"]);
        assert_eq!(ended.exit, exit, "{end:?}");
        for failure in end.failure {
            let words = format!(
                "{} {}\nlast lines of worker@1.service:\n  {}\n",
                failure.unit, failure.reason, failure.journal[0]
            );
            assert!(ended.errors.contains(&words), "{}", ended.errors);
        }
        assert!(ended.errors.contains("run `systemctl reload app-cluster` again"), "{}", ended.errors);
    }
}

#[test]
fn a_call_that_is_refused_says_why() {
    for (refusal, exit) in [
        (api::Error::Refused as fn(String) -> api::Error, 4),
        (api::Error::ShuttingDown, 4),
        (api::Error::Configuration, 78),
    ] {
        let (bus, _orchestrator) = scripted(Script { refusal: Some(refusal), ..Script::default() });
        let ended = run(&bus, &["reload"]);
        assert_eq!(ended.exit, exit);
        assert!(ended.errors.contains("for a reason"), "{}", ended.errors);
    }
}

#[test]
fn whoever_may_not_is_told_to_use_sudo() {
    let bus = Bus::start("<deny send_interface=\"org.appcluster1\" send_member=\"Reload\"/>");
    let _orchestrator = Orchestrator::start(&bus, Script::default());
    let ended = run(&bus, &["reload"]);
    assert_eq!(
        (ended.exit, ended.errors.as_str()),
        (4, "app-cluster: not permitted; run it as root or with sudo\n")
    );
    assert_eq!(run(&bus, &["status"]).exit, 0);
}

#[test]
fn without_an_orchestrator_there_is_advice() {
    let bus = Bus::start("");
    for verb in ["status", "reload"] {
        let ended = run(&bus, &[verb]);
        assert_eq!(ended.exit, 75);
        assert!(ended.errors.contains("`systemctl start app-cluster`"), "{}", ended.errors);
    }
    let address = bus.address.clone();
    drop(bus);
    let mut no_bus = Command::new(env!("CARGO_BIN_EXE_app-cluster"));
    no_bus.arg("status").env("DBUS_SYSTEM_BUS_ADDRESS", address);
    assert_eq!(start(no_bus).ends().exit, 75);
}

#[test]
fn an_orchestrator_that_dies_ends_the_wait() {
    let begun = vec![rollout(State::Running, &[Step::Restarting])];
    let (bus, orchestrator) = scripted(Script { reload: begun.clone(), last: begun, ..Script::default() });
    let running = start(command(&bus, &["reload"]));
    running.says("worker@1: restarting");
    drop(orchestrator);
    let ended = running.ends();
    assert_eq!(ended.exit, 75);
    assert!(ended.errors.contains("went away in the middle of the rollout"), "{}", ended.errors);
}

#[test]
fn a_bus_that_dies_ends_the_wait() {
    let begun = vec![rollout(State::Running, &[Step::Restarting])];
    let (bus, _orchestrator) = scripted(Script { reload: begun.clone(), last: begun, ..Script::default() });
    let running = start(command(&bus, &["reload"]));
    running.says("worker@1: restarting");
    drop(bus);
    assert_eq!(running.ends().exit, 75);
}

#[test]
fn an_end_whose_signal_is_lost_is_found() {
    let begun = vec![rollout(State::Running, &[Step::Restarting])];
    let last = vec![rollout(State::Done, &[Step::Done])];
    let (bus, _orchestrator) = scripted(Script { reload: begun, last, ..Script::default() });
    assert_eq!(run(&bus, &["reload"]).exit, 0);
}

#[test]
fn a_rollout_that_nobody_knows_of_is_not_waited_for() {
    let other = Rollout { id: ID + 1, ..rollout(State::Running, &[Step::Restarting]) };
    let (bus, _orchestrator) = scripted(Script { last: vec![other], ..Script::default() });
    assert_eq!(run(&bus, &["reload"]).exit, 75);
}

#[test]
fn sigterm_asks_for_the_end_and_is_no_failure() {
    let begun = vec![rollout(State::Running, &[Step::Restarting])];
    let (bus, orchestrator) = scripted(Script { reload: begun.clone(), last: begun, ..Script::default() });
    let running = start(command(&bus, &["reload"]));
    running.says("worker@1: restarting");
    running.signal(Signal::TERM);
    assert_eq!(running.ends().exit, 0);
    assert_eq!(orchestrator.aborts(), 1);
}

#[test]
fn the_first_interrupt_asks_for_the_end_and_waits_for_it() {
    let begun = vec![rollout(State::Running, &[Step::Restarting, Step::Waiting])];
    let aborted = Some(rollout(State::Aborted, &[Step::Done, Step::Waiting]));
    let (bus, orchestrator) =
        scripted(Script { reload: begun.clone(), last: begun, aborted, ..Script::default() });
    let running = start(command(&bus, &["reload"]));
    running.says("worker@1: restarting");
    running.signal(Signal::INT);
    assert_eq!(running.ends().exit, 3);
    assert_eq!(orchestrator.aborts(), 1);
}

#[test]
fn the_second_interrupt_ends_the_wait() {
    let begun = vec![rollout(State::Running, &[Step::Restarting])];
    let (bus, orchestrator) = scripted(Script { reload: begun.clone(), last: begun, ..Script::default() });
    let running = start(command(&bus, &["reload"]));
    running.says("worker@1: restarting");
    running.signal(Signal::INT);
    running.says("press Ctrl-C again to leave it to the orchestrator");
    running.signal(Signal::INT);
    assert_eq!(running.ends().exit, 130);
    assert_eq!(orchestrator.aborts(), 1);
}

#[test]
fn an_interrupt_does_not_end_the_rollout_that_ours_waits_for() {
    let queued = vec![rollout(State::Queued, &[Step::Waiting])];
    let (bus, orchestrator) = scripted(Script { reload: queued.clone(), last: queued, ..Script::default() });
    let running = start(command(&bus, &["reload"]));
    running.says("waiting for the rollout before it");
    running.signal(Signal::INT);
    assert_eq!(running.ends().exit, 130);
    assert_eq!(orchestrator.aborts(), 0);
}

#[test]
fn systemd_is_asked_for_the_time_of_a_step() {
    let story = [rollout(State::Running, &[Step::Restarting]), rollout(State::Done, &[Step::Done])];
    let (bus, _orchestrator) = scripted(Script { reload: story.to_vec(), ..Script::default() });
    let path = bus.dir.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    let mut reload = command(&bus, &["reload"]);
    reload.env("NOTIFY_SOCKET", &path);
    assert_eq!(start(reload).ends().exit, 0);
    let mut buffer = [0; 256];
    for _ in story {
        let length = socket.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"EXTEND_TIMEOUT_USEC=75000000\n");
    }
}

#[test]
fn status_shows_the_cluster_to_people_and_programs() {
    let last = vec![rollout(State::Running, &[Step::Done, Step::Restarting])];
    let (bus, _orchestrator) = scripted(Script { last, ..Script::default() });
    let ended = run(&bus, &["status"]);
    assert_eq!(ended.exit, 0);
    assert_eq!(
        ended.lines,
        [
            "app-cluster: 1 of 4 ready, release 1.0",
            "",
            "WORKER    STATE  PID  RELEASE  UPTIME  RESTARTS  MEM  LAST EXIT",
            "worker@1  ready  -    1.0      -       0         -    -",
            "",
            "rollout 1700000000000: running, 1 of 2 replaced, release 1.0 → 1.1",
            "  how it is",
        ]
    );
    let json = run(&bus, &["status", "--json"]).lines.concat();
    let value: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(value["rollout"][0]["steps"][1]["state"], "restarting");
}

#[test]
fn scale_writes_a_drop_in_and_takes_it_back_when_it_is_refused() {
    let (bus, _orchestrator) = scripted(Script::default());
    let root = bus.dir.path().join("root");
    let scale = |bus: &Bus, n: &str| run(bus, &["scale", n, "--root", root.to_str().unwrap()]);
    if !rustix::process::geteuid().is_root() {
        assert_eq!(scale(&bus, "6").exit, 4);
        return;
    }
    let ended = scale(&bus, "6");
    assert_eq!((ended.exit, ended.lines), (0, vec!["4 → 6 workers".to_owned()]), "{}", ended.errors);
    let file = root.join("etc/app-cluster/conf.d/90-scale.toml");
    let written = fs::read_to_string(&file).unwrap();
    assert!(written.ends_with("workers = 6\n"));

    let refusal: fn(String) -> api::Error = api::Error::Refused;
    let (other_bus, _refusing) = scripted(Script { refusal: Some(refusal), ..Script::default() });
    assert_eq!(scale(&other_bus, "8").exit, 4);
    assert_eq!(fs::read_to_string(&file).unwrap(), written);
}

#[test]
fn a_wrong_command_line_is_64() {
    let bus = Bus::start("");
    for args in [&["relaod"] as &[&str], &[], &["scale", "0"], &["status", "--json", "--watch"]] {
        assert_eq!(run(&bus, args).exit, 64, "{args:?}");
    }
    for args in [["--help"], ["--version"]] {
        assert_eq!(run(&bus, &args).exit, 0);
    }
}
