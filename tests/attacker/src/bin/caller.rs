//! Calls the orchestrator's methods for unprivileged users, as fast as the bus takes the calls, without
//! waiting for replies.

use std::fs::File;
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Parser;
use zbus::message::{Flags, Message};

/// Floods an orchestrator of your own with calls, for a time.
#[derive(Debug, Parser)]
struct Arguments {
    /// For how many seconds
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// The number of descriptors in each call
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(..=16))]
    descriptors: u32,
}

const NAME: &str = "org.appcluster1";
const PATH: &str = "/org/appcluster1";
const MEMBERS: [&str; 4] = ["Status", "Counters", "Releases", "History"];

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let Arguments { seconds, descriptors } = Arguments::parse();
    let null = File::open("/dev/null").context("failed to open /dev/null")?;
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut calls = 0_u64;
    while Instant::now() < end {
        let bus = zbus::Connection::system().await.context("failed to connect to the bus")?;
        // The bus closes a connection that sends too much.
        while Instant::now() < end && bus.send(&call(calls, &null, descriptors)?).await.is_ok() {
            calls += 1;
        }
    }
    println!("{calls}");
    Ok(())
}

fn call(number: u64, null: &File, descriptors: u32) -> anyhow::Result<Message> {
    // Lossless: there are four members.
    let member = MEMBERS[(number % MEMBERS.len() as u64) as usize];
    let call = Message::method_call(PATH, member);
    let call = call.destination(NAME).interface(NAME).with_flags(Flags::NO_REPLY_EXPECTED);
    // No member takes an argument, so the call is refused. But the descriptors have arrived by then.
    let carried: Vec<_> = (0..descriptors).map(|_| zbus::Fd::from(null.as_fd())).collect();
    Ok(if carried.is_empty() { call.build(&())? } else { call.build(&carried)? })
}
