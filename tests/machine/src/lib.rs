//! Booted Debian machines: a real systemd as PID 1, a network of their own, nothing left behind.
//!
//! A test reads like the sentence it proves and, when it fails, prints like a report:
//!
//! ```no_run
//! # use std::path::Path;
//! # let (deb, client) = (Path::new("app-cluster.deb"), Path::new("client"));
//! use machine::{Machine, Suite};
//!
//! let machine = Machine::boot(Suite::Bookworm);
//! machine.install(deb).assert_success();
//!
//! let load = machine.spawn_in_network(client, ["--connections", "50"]);
//! machine.systemctl(["reload", "app-cluster"]).assert_success();
//! load.wait().assert_success();
//! ```
//!
//! A machine is a `systemd-nspawn` container without `systemd-machined`, so it also boots where the
//! host's own PID 1 is something else. Its tree is made once, by `mmdebstrap` or from that by a
//! [preparation](Boot::start_prepared), and never written to: every machine runs on an overlay in memory, so it boots within a second and forgets everything.
//! Any number of machines may run at the same time. All of it needs root.
//!
//! Methods panic when the machine itself cannot do its part, naming the caller's line; what a command
//! *inside* says is an [`Output`], to be asserted on. A dropped machine is gone, and when its test
//! panicked, its journal has been printed first.

mod boot;
mod cgroup;
mod machine;
mod output;
mod running;
mod suite;
mod supervisor;
mod tree;
mod wait;

pub use crate::{
    boot::{Boot, Network},
    machine::{Machine, enter},
    output::Output,
    running::Running,
    suite::Suite,
    tree::{Tree, target_directory},
    wait::{poll, wait_for},
};

/// Declares promises that hold in every [`Suite`] and depend on what differs between them, such as systemd: one `#[test]`
/// for each suite and each function named, which is called with the suite.
///
/// ```text
/// machine::in_every_suite!(a_reload_loses_nothing);
///
/// fn a_reload_loses_nothing(suite: Suite) {
///     let machine = Machine::boot(suite);
///     …
/// }
/// ```
#[macro_export]
macro_rules! in_every_suite {
    ($($promise:ident),+ $(,)?) => {
        mod bookworm {
            $(#[test] fn $promise() { super::$promise($crate::Suite::Bookworm) })+
        }
        mod trixie {
            $(#[test] fn $promise() { super::$promise($crate::Suite::Trixie) })+
        }
    };
}

/// Declares promises that hold in every [`Suite`] and do not depend on what differs between them. The tests in the other
/// suite than the one named are in a module `only_in_full`, by which a short run leaves them out.
///
/// ```text
/// machine::in_one_suite!(trixie: a_drain_keeps_its_word);
/// ```
#[macro_export]
macro_rules! in_one_suite {
    (bookworm: $($promise:ident),+ $(,)?) => {
        mod bookworm {
            $(#[test] fn $promise() { super::$promise($crate::Suite::Bookworm) })+
        }
        mod only_in_full {
            mod trixie {
                $(#[test] fn $promise() { super::super::$promise($crate::Suite::Trixie) })+
            }
        }
    };
    (trixie: $($promise:ident),+ $(,)?) => {
        mod trixie {
            $(#[test] fn $promise() { super::$promise($crate::Suite::Trixie) })+
        }
        mod only_in_full {
            mod bookworm {
                $(#[test] fn $promise() { super::super::$promise($crate::Suite::Bookworm) })+
            }
        }
    };
}
