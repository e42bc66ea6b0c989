//! The other process. It is this test program again, which then runs the one test that is otherwise ignored.

use std::env;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use crate::claim;

const BOARD: &str = "SCOREBOARD_TEST_BOARD";
const ROLE: &str = "SCOREBOARD_TEST_ROLE";
const INSTANCE: &str = "SCOREBOARD_TEST_INSTANCE";

/// What the other process prints after its first steps.
const DONE: &str = "the other process is there";

/// Another process. It is killed when this is dropped.
pub(crate) struct OtherProcess {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl OtherProcess {
    /// Starts it, and does not wait.
    pub(crate) fn begin(role: &str, board: &Path, number: u32) -> Self {
        // The unit of a worker may be this strict: UMask=0077.
        let script = "umask 077; exec \"$0\" \"$@\"";
        Self::run(Command::new("sh").args(["-c", script]), role, board, number)
    }

    /// Starts it with this command, which gets the program and its arguments.
    pub(crate) fn run(command: &mut Command, role: &str, board: &Path, number: u32) -> Self {
        let program = env::current_exe().expect("a program knows its path");
        let mut child = command
            .arg(program)
            .args(["--exact", "other_process::the_other_process", "--ignored", "--nocapture"])
            .env(BOARD, board)
            .env(ROLE, role)
            .env(INSTANCE, number.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the other process starts");
        let output = BufReader::new(child.stdout.take().expect("its output is a pipe"));
        Self { child, output }
    }

    /// Waits until it has done its first steps.
    pub(crate) fn wait(mut self) -> Self {
        let mut said = String::new();
        while self.output.read_line(&mut said).expect("its output can be read") > 0 {
            if said.contains(DONE) {
                return self;
            }
        }
        panic!("the other process has ended: {said}");
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends SIGKILL, and waits until the process has ended.
    pub(crate) fn kill(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.child.kill().expect("it is a child of this process");
        self.child.wait().expect("it is a child of this process");
    }
}

impl Drop for OtherProcess {
    fn drop(&mut self) {
        self.end();
    }
}

#[test]
#[ignore = "is the other process of the tests"]
fn the_other_process() {
    let [Ok(board), Ok(role), Ok(number)] = [BOARD, ROLE, INSTANCE].map(env::var) else { return };
    let (board, number) = (Path::new(&board), number.parse().unwrap());
    match role.as_str() {
        "hold" => hold(board, number),
        "churn" => churn(board, number),
        "full" => crate::full::in_a_full_file_system(board),
        _ => panic!("no role is called {role}"),
    }
}

/// Prints that the first steps are done. Then it waits until it is killed, or until its parent ends.
pub(crate) fn done() {
    println!("{DONE}");
    let _ = std::io::stdin().read(&mut [0]);
}

/// Claims a slot, counts three connections, one of them closed, and a request in flight.
fn hold(board: &Path, number: u32) {
    let slot = claim(board, number, "held").expect("the slot is free");
    slot.ready();
    let _open = [slot.accepted(), slot.accepted()];
    drop(slot.accepted());
    let _in_flight = slot.request_begun();
    slot.request_begun().answered(200);
    done();
}

/// Claims a slot again and again. Its release is its process id, and it counts only by its process id.
fn churn(board: &Path, number: u32) {
    let pid = std::process::id();
    let release = format!("{pid:0100}");
    println!("{DONE}");
    loop {
        let Ok(slot) = claim(board, number, &release) else { continue };
        for _ in 0..20 {
            slot.received(pid.into());
            slot.sent(pid.into());
        }
    }
}
