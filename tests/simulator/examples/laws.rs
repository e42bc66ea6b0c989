//! `laws SEED SCHEDULES`: how many of so many schedules break each law. `cargo xtask faults` reads it.

use std::env;
use std::thread;

fn main() -> Result<(), String> {
    let arguments: Vec<u64> = env::args().skip(1).filter_map(|argument| argument.parse().ok()).collect();
    let [seed, schedules] = arguments[..] else { return Err("usage: laws SEED SCHEDULES".to_owned()) };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    for (law, (count, _)) in simulator::simulate(seed, schedules, threads as u64).failures {
        println!("{count} {law}");
    }
    Ok(())
}
