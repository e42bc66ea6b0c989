//! The program `client`: its report and its exit status.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::io::{Read, Write};
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

/// Answers one request after another, each as a process with another pid.
fn answer_as(listener: &TcpListener, pids: impl IntoIterator<Item = u32>) {
    let mut stream = listener.accept().unwrap().0;
    for pid in pids {
        let mut request = [0; 4096];
        assert!(stream.read(&mut request).unwrap() > 0);
        let body = format!(r#"{{"pid":{pid},"release":"r"}}"#);
        write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).unwrap();
    }
}

#[test]
fn progress_names_each_new_process_once() {
    let (listener, address) = listener();
    let arguments = ["--addr", &address, "--requests", "40", "--gap", "2", "--progress", "1", "--json"];
    let mut command = client(&arguments);
    let program = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    answer_as(&listener, (0..40).map(|turn| if turn < 20 { 812 } else { 813 }));
    let output = program.wait_with_output().unwrap();
    let progress = String::from_utf8(output.stderr).unwrap();
    for pid in ["812", "813"] {
        let named = progress.lines().filter(|line| line.ends_with(&format!("new: {pid}")));
        assert_eq!(named.count(), 1, "{progress}");
    }
    let report: Report = serde_json::from_slice(&output.stdout).unwrap();
    let [first, second] = report.answers.as_slice() else { panic!("{report}") };
    assert!(first.first_us < second.first_us && second.first_us <= (report.took_ms + 1) * 1000, "{report}");
}

#[test]
fn a_wrong_gap_is_refused() {
    for gap in ["20-0", "soon", "1-2-3"] {
        let output = client(&["--gap", gap, "--requests", "1"]).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{gap}");
    }
}

#[test]
fn a_rate_that_never_comes_is_refused() {
    for rate in ["0", "-1", "NaN", "inf", "1e-320", "many"] {
        let output = client(&["--rate", rate, "--requests", "1"]).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{rate}");
    }
}
