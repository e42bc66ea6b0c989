//! The program `client`: its report and its exit status.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::net::TcpListener;
use std::process::{Command, Stdio};

use client::{Failure, Report};
use rustix::process::{Pid, Signal};

fn client(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_client"));
    command.args(arguments);
    command
}

fn listener() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    (listener, address)
}

#[test]
fn losses_are_reported_and_fail() {
    let (listener, address) = listener();
    drop(listener);
    let output = client(&["--addr", &address, "--requests", "3", "--json"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let report: Report = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report.count(Failure::ConnectRefused), 3, "{report}");
}

#[test]
fn sigterm_ends_it_with_a_report() {
    let (listener, address) = listener();
    let mut command = client(&["--addr", &address, "--timeout", "0.2", "--json"]);
    let program = command.stdout(Stdio::piped()).spawn().unwrap();
    let connection = listener.accept().unwrap();
    rustix::process::kill_process(Pid::from_child(&program), Signal::TERM).unwrap();
    let output = program.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let report: Report = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((report.sent, report.count(Failure::Timeout)), (1, 1), "{report}");
    drop(connection);
}

#[test]
fn a_wrong_gap_is_refused() {
    for gap in ["20-0", "soon", "1-2-3"] {
        let output = client(&["--gap", gap, "--requests", "1"]).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{gap}");
    }
}
