//! Booted Debian machines: a real systemd as PID 1, a private network, and nothing left afterwards.
//!
//! A test reads like its claim, and its failure prints a full report:
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
//! A machine is a `systemd-nspawn` container without `systemd-machined`, so it also boots on a host whose PID
//! 1 is not systemd. Its tree is made once, by `mmdebstrap` or from that by a
//! [preparation](Boot::start_prepared), and never written to. Every machine runs on an overlay in memory, so
//! it boots within a second and loses all changes at its end. Any number of machines may run at the same
//! time. Machines need root.
//!
//! A method panics if the machine itself fails, and names the caller's line. The result of a command *inside*
//! is an [`Output`] for assertions. Dropping a machine ends it. If the test has panicked, the machine's
//! journal is printed first.

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

/// Declares promises that hold in every [`Suite`] and depend on what differs between them, such as systemd.
/// For each suite and each named function there is one `#[test]`, which calls the function with the suite.
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

/// Declares promises that hold in every [`Suite`] and do not depend on what differs between them. The tests
/// for the other suite are in a module `only_in_full`, so that a short run can leave them out.
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
