//! The strict client as a program: makes load until it is stopped, then prints what was lost.

use std::io::Write;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use client::{Load, Report};
use tokio::signal::unix::{SignalKind, signal};

/// Makes HTTP/1.1 load, never retries, and counts every lost request.
///
/// Ends after --seconds or --requests, or at SIGTERM or SIGINT, once the requests in progress have been
/// answered. Exit status: 0 if no request was lost, 1 if one was or there were none.
#[derive(Debug, Parser)]
struct Arguments {
    /// Address and port of the server
    #[arg(long, default_value = "127.0.0.1:8080")]
    addr: SocketAddr,
    /// Connections at once
    #[arg(long, default_value_t = 1)]
    connections: usize,
    /// Pause before a connection is used again, in milliseconds: 5, or 0-20 for a random one
    #[arg(long, default_value = "0", value_parser = parse_gap)]
    gap: RangeInclusive<Duration>,
    /// Open a new connection for every request
    #[arg(long)]
    one_request: bool,
    /// A single request on each connection; none is closed before the last request is answered
    #[arg(long, conflicts_with = "one_request")]
    hold: bool,
    /// A new connection for every request; the client ends its half once it is sent
    #[arg(long, conflicts_with_all = ["one_request", "hold"])]
    half_closed: bool,
    /// HTTP/1.0 with Connection: keep-alive
    #[arg(long, conflicts_with_all = ["one_request", "half_closed"])]
    http_10: bool,
    /// GET this path
    #[arg(long, default_value = "/", conflicts_with = "post")]
    path: String,
    /// POST unique bodies to /echo and compare
    #[arg(long)]
    post: bool,
    /// POST such bodies in pieces, with pauses between them
    #[arg(long, conflicts_with = "post")]
    post_slowly: bool,
    /// POST bodies in pieces to /nowhere and expect 404
    #[arg(long, conflicts_with_all = ["post", "post_slowly"])]
    astray: bool,
    /// What to speak instead of one HTTP/1.1 request after another
    #[arg(long, value_enum, conflicts_with_all = ["path", "post", "post_slowly", "astray", "one_request", "half_closed", "http_10"])]
    speak: Option<Speak>,
    /// End after this many seconds
    #[arg(long)]
    seconds: Option<f64>,
    /// End after this many requests
    #[arg(long)]
    requests: Option<u64>,
    /// Requests per second, evenly spread; latency counts from when one is due
    #[arg(long, value_parser = parse_rate)]
    rate: Option<f64>,
    /// Seconds until a request without a response counts as lost
    #[arg(long, default_value_t = 10.0)]
    timeout: f64,
    /// Print the progress on stderr at this interval in milliseconds, with the processes that are new
    #[arg(long)]
    progress: Option<u64>,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Speak {
    /// Eight HTTP/1.1 requests before the first response is read
    Pipeline,
    /// HTTP/2, 32 simultaneous requests on each connection
    Http2,
    /// Server-sent events
    Events,
    /// WebSockets
    Websockets,
}

fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("failed to set up the runtime")?;
    let report = runtime.block_on(run(&arguments))?;
    print(&report, arguments.json).context("failed to print the report")?;
    Ok(if report.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn run(arguments: &Arguments) -> anyhow::Result<Report> {
    let mut terminate = signal(SignalKind::terminate()).context("failed to handle SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("failed to handle SIGINT")?;
    let mut turn = tokio::time::interval(Duration::from_millis(arguments.progress.unwrap_or(1000).max(1)));
    let end = tokio::time::sleep(Duration::from_secs_f64(arguments.seconds.unwrap_or(1e9)));
    let mut end = std::pin::pin!(end);

    let mut running = load(arguments).start();
    let mut known = 0;
    loop {
        tokio::select! {
            () = running.done() => break,
            () = &mut end => break,
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = turn.tick(), if arguments.progress.is_some() => {
                let report = running.report();
                eprintln!("{}", progress(&report, known));
                known = report.answers.len();
            }
        }
    }
    Ok(running.stop().await)
}

fn load(arguments: &Arguments) -> Load {
    let mut load = Load::new(arguments.addr)
        .connections(arguments.connections)
        .gap(arguments.gap.clone())
        .timeout(Duration::from_secs_f64(arguments.timeout));
    load = if arguments.post { load.echo() } else { load.get(&arguments.path) };
    if arguments.post_slowly {
        load = load.echo_slowly();
    }
    if arguments.astray {
        load = load.astray();
    }
    if arguments.one_request {
        load = load.one_request();
    }
    if arguments.half_closed {
        load = load.half_closed();
    }
    if arguments.http_10 {
        load = load.http_10();
    }
    if arguments.hold {
        load = load.hold();
    }
    load = match arguments.speak {
        None => load,
        Some(Speak::Pipeline) => load.pipeline(8),
        Some(Speak::Http2) => load.http2(32),
        Some(Speak::Events) => load.events(),
        Some(Speak::Websockets) => load.websockets(),
    };
    if let Some(requests) = arguments.requests {
        load = load.requests(requests);
    }
    if let Some(rate) = arguments.rate {
        load = load.rate(rate);
    }
    load
}

/// `4711 ok, 0 lost, new: 812 813`, where the first `known` processes are not new.
fn progress(report: &Report, known: usize) -> String {
    let mut line = format!("{} ok, {} lost", report.ok, report.failed());
    let newcomers = report.answers.iter().skip(known);
    for (index, newcomer) in newcomers.enumerate() {
        line += if index == 0 { ", new: " } else { " " };
        line += &newcomer.pid.to_string();
    }
    line
}

fn print(report: &Report, json: bool) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    if json {
        serde_json::to_writer(&mut out, report)?;
        writeln!(out)?;
    } else {
        write!(out, "{report}")?;
    }
    Ok(())
}

fn parse_rate(text: &str) -> Result<f64, String> {
    let rate = text.parse().ok().filter(|rate: &f64| rate.is_normal() && *rate >= 0.001);
    rate.ok_or_else(|| "expected requests per second, like 500 or 0.5".to_owned())
}

fn parse_gap(text: &str) -> Result<RangeInclusive<Duration>, String> {
    let milliseconds = |text: &str| {
        text.parse().map(Duration::from_millis).map_err(|_| "expected milliseconds, like 5 or 0-20")
    };
    let (least, most) = text.split_once('-').unwrap_or((text, text));
    let gap = milliseconds(least)?..=milliseconds(most)?;
    if gap.is_empty() { Err("the first is larger than the second".to_owned()) } else { Ok(gap) }
}
