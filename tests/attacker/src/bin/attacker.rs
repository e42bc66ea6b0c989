//! The attackers as a program: it attacks for a time, then prints the figures as JSON.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use attacker::{Attack, Attackers};
use clap::Parser;

/// Attacks a server of your own, for a time.
#[derive(Debug, Parser)]
struct Arguments {
    /// The kind of attack
    #[arg(value_enum)]
    attack: Attack,
    /// Address and port of the server
    #[arg(long, default_value = "127.0.0.1:8080", value_parser = parse_loopback)]
    addr: SocketAddr,
    /// Connections at once
    #[arg(long, default_value_t = 50)]
    clients: usize,
    /// For how many seconds
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// The seed for random choices
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

fn main() -> anyhow::Result<()> {
    let Arguments { attack, addr: address, clients, seconds, seed } = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("failed to set up the runtime")?;
    let attackers = Attackers { address, attack, clients, seed };
    let report = runtime.block_on(attackers.run_for(Duration::from_secs(seconds)));
    println!("{}", serde_json::to_string(&report).context("failed to write the report")?);
    Ok(())
}

/// Only your own server may be attacked.
fn parse_loopback(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr = text.parse().map_err(|_| "expected an address and port".to_owned())?;
    if address.ip().is_loopback() { Ok(address) } else { Err("only this machine's own loopback".to_owned()) }
}
