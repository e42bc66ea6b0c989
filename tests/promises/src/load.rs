//! Load on a cluster, from the strict client.

use std::{thread, time::Duration};

use client::Report;
use machine::{Output, Running, wait_for};

use crate::{Cluster, DEADLINE, artifacts};

/// How the clients of a load behave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// 50 connections that are kept alive, each with one request right after the other.
    KeepAlive,
    /// 50 connections that are kept alive, each idle for up to 20 ms between two requests.
    WithGaps,
    /// The same, idle for up to 200 ms.
    WithLongGaps,
    /// 50 clients that open a new connection for each request.
    OneRequest,
    /// 20 connections on which eight requests are sent before the first response is read.
    Pipelined,
    /// 20 connections that POST bodies of up to 4 KB, idle for up to 20 ms.
    Bodies,
    /// 50 connections whose bodies arrive in four pieces with pauses of up to 50 ms.
    SlowUploads,
    /// 20 kept-alive connections of HTTP/1.0, idle for up to 20 ms.
    Old,
    /// Eight clients that open a new connection for each request and end their half once the request is sent.
    HalfClosed,
    /// 20 connections that POST up to 64 KB to a path that does not exist. So the response arrives before the
    /// body is sent.
    Astray,
    /// Four HTTP/2 connections with 32 requests at once on each.
    Http2,
    /// 20 streams of server-sent events.
    Events,
    /// 20 WebSockets, each idle for up to 20 ms between two messages.
    WebSockets,
    /// 20 connections, each idle for up to 20 ms: enough to notice a loss, and most of the CPU stays free.
    Calm,
    /// Eight clients that open a new connection for each request, a hundred per second in total.
    Newcomers,
    /// Eight clients that open a new connection for each request, a hundred per second in total. They wait
    /// for minutes if they have to.
    Patient,
    /// This many connections at once, each with one request. All stay open until the last one is answered.
    Burst(u64),
    /// A thousand such connections, one after another, five hundred per second.
    Series,
}

impl Mode {
    /// The loads under which no request may ever be lost.
    pub const HARD: [Self; 3] = [Self::KeepAlive, Self::WithGaps, Self::OneRequest];
    /// The other loads. They may lose no request either.
    pub const OTHERS: [Self; 10] = [
        Self::WithLongGaps,
        Self::Pipelined,
        Self::Bodies,
        Self::SlowUploads,
        Self::Old,
        Self::HalfClosed,
        Self::Astray,
        Self::Http2,
        Self::Events,
        Self::WebSockets,
    ];

    /// How many connections are open at once.
    #[must_use]
    pub fn connections(self) -> u64 {
        match self {
            Self::KeepAlive | Self::WithGaps | Self::WithLongGaps | Self::OneRequest | Self::SlowUploads => {
                50
            }
            Self::Calm
            | Self::Pipelined
            | Self::Bodies
            | Self::Old
            | Self::Astray
            | Self::Events
            | Self::WebSockets => 20,
            Self::Http2 => 4,
            Self::HalfClosed | Self::Newcomers | Self::Patient => 8,
            Self::Burst(connections) => connections,
            Self::Series => 1000,
        }
    }

    fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::KeepAlive => &["--gap", "0"],
            Self::WithGaps | Self::Calm => &["--gap", "0-20"],
            Self::WithLongGaps => &["--gap", "0-200"],
            Self::OneRequest => &["--one-request"],
            Self::Pipelined => &["--speak", "pipeline"],
            Self::Bodies => &["--post", "--gap", "0-20"],
            Self::SlowUploads => &["--post-slowly"],
            Self::Old => &["--http-10", "--gap", "0-20"],
            Self::HalfClosed => &["--half-closed"],
            Self::Astray => &["--astray"],
            Self::Http2 => &["--speak", "http2"],
            Self::Events => &["--speak", "events"],
            Self::WebSockets => &["--speak", "websockets", "--gap", "0-20"],
            Self::Newcomers => &["--one-request", "--gap", "40-120"],
            Self::Patient => &["--one-request", "--gap", "40-120", "--timeout", "600"],
            Self::Burst(_) => &["--hold"],
            Self::Series => &["--hold", "--rate", "500"],
        }
    }
}

/// A running load. If its test fails, the report is printed.
#[derive(Debug)]
#[must_use = "dropped, it ends at once"]
pub struct Load {
    running: Option<Running>,
    mode: Mode,
}

impl Load {
    /// Starts a load.
    #[track_caller]
    pub(crate) fn start(cluster: &Cluster, address: &str, mode: Mode, connections: u64) -> Self {
        let connections = connections.to_string();
        let mut arguments =
            vec!["--json", "--progress", "50", "--addr", address, "--connections", &connections];
        arguments.extend(mode.arguments());
        let running = cluster.spawn_in_network(&artifacts::client(), arguments);
        Self { running: Some(running), mode }
    }

    /// How many requests have been answered so far.
    ///
    /// # Panics
    /// If the client has ended.
    #[track_caller]
    #[must_use]
    pub fn answered(&mut self) -> u64 {
        let running = self.running.as_mut().expect("it runs until it is stopped");
        assert!(!running.has_ended(), "the client ended by itself:\n{}", running.text_so_far());
        let text = running.text_so_far();
        let last = text.lines().rev().find_map(|line| line.split_once(" ok, "));
        last.and_then(|(number, _)| number.parse().ok()).unwrap_or(0)
    }

    /// Waits until this many more requests are answered.
    ///
    /// # Panics
    /// If that takes too long.
    #[track_caller]
    pub fn until_more(&mut self, requests: u64) {
        let goal = self.answered() + requests;
        self.until(goal);
    }

    /// Waits until this many requests are answered in total.
    ///
    /// # Panics
    /// If that takes too long.
    #[track_caller]
    pub fn until(&mut self, goal: u64) {
        // A million requests at a thousand per second take long, and that is not a bug.
        let deadline = DEADLINE + Duration::from_millis(goal);
        wait_for(&format!("{goal} answers"), deadline, || match self.answered() {
            answered if answered >= goal => Ok(()),
            answered => Err(format!("{answered} answers")),
        });
    }

    /// Sends no more requests, waits for the responses to those in progress, and returns the report.
    ///
    /// # Panics
    /// If there is no report.
    #[track_caller]
    pub fn stop(mut self) -> Report {
        let running = self.running.take().expect("it runs until it is stopped");
        read(&running.stop())
    }

    /// Waits until the load ends by itself, and returns the report.
    ///
    /// # Panics
    /// If there is no report.
    #[track_caller]
    pub fn end(mut self) -> Report {
        let running = self.running.take().expect("it runs until it is stopped");
        read(&running.wait())
    }

    /// Stops the load and asserts that no request was lost.
    ///
    /// # Panics
    /// If a request was lost, with the report.
    #[track_caller]
    pub fn loses_nothing(self) -> Report {
        let mode = self.mode;
        let report = self.stop();
        assert!(report.is_clean(), "the load {mode:?} lost requests:\n{report}");
        report
    }
}

/// Asserts that only the end of this worker's process lost anything: on each of its `held` connections, the
/// request that it was answering, or the connection itself.
///
/// # Panics
/// If anything else was lost, with the report.
#[track_caller]
pub fn assert_only_cut(report: &Report, died: u32, held: u64) {
    assert_eq!(
        report.failed(),
        report.cut(),
        "requests were lost that did not end with pid {died}:\n{report}"
    );
    assert!(report.cut() <= held, "pid {died} held {held} connections, and more was lost:\n{report}");
    let elsewhere = report.examples.iter().find(|lost| lost.last_pid.is_some_and(|pid| pid != died));
    assert_eq!(elsewhere, None, "a request of another worker was lost:\n{report}");
}

impl Drop for Load {
    fn drop(&mut self) {
        if let Some(running) = self.running.take().filter(|_| thread::panicking()) {
            let output = running.stop();
            match serde_json::from_str::<Report>(output.any_stdout()) {
                Ok(report) => eprintln!("=== the load {:?} until then\n{report}===", self.mode),
                Err(_) => eprintln!("=== the load {:?} has no report\n{output}", self.mode),
            }
        }
    }
}

#[track_caller]
fn read(output: &Output) -> Report {
    match serde_json::from_str(output.any_stdout()) {
        Ok(report) => report,
        Err(error) => panic!("the client gave no report: {error}\n{output}"),
    }
}
