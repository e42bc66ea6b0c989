//! Attacking clients, as any public server meets them.
//!
//! An [`Attack`] is a number of clients that misbehave in the same way. It ends after the given time, and
//! keeps to the given number of connections. At its end it resets all connections, so that the kernel keeps
//! nothing of it.
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
