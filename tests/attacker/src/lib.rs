//! Clients that mean harm: what a server has to live with that strangers speak to.
//!
//! An [`Attack`] is a number of clients that misbehave in the same way. It ends after the time it is given, holds no more
//! connections at once than it is told to, and resets all of them at its end, so that nothing of it stays in the kernel.
//!
//! ```no_run
//! # async fn run() {
//! use std::time::Duration;
//! use attacker::{Attack, Attackers};
//!
//! let address = ([127, 0, 0, 1], 8080).into();
//! let attackers = Attackers { address, attack: Attack::SlowLoris, clients: 2000, seed: 1 };
//! println!("{}", attackers.run_for(Duration::from_secs(60)).await);
//! # }
//! ```

mod attack;
mod flood;
mod garbage;
mod ground;
mod head;
mod report;

pub use attack::{Attack, Attackers};
pub use report::Report;
