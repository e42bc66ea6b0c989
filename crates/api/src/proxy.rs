//! The members of the interface, from which zbus generates the proxy.

use crate::{Dictionary, Error, positional};

/// The members that clients call. `docs/reference/dbus.md` says what they do.
#[zbus::proxy(
    interface = "org.appcluster1",
    default_service = "org.appcluster1",
    default_path = "/org/appcluster1"
)]
pub(crate) trait Members {
    fn get_status(&self) -> Result<Dictionary, Error>;
    fn get_counters(&self) -> Result<Vec<Dictionary>, Error>;
    fn list_releases(&self) -> Result<Vec<Dictionary>, Error>;
    fn list_history(&self) -> Result<Vec<Dictionary>, Error>;
    fn begin_reload(&self, options: Dictionary) -> Result<u64, Error>;
    fn begin_deploy(&self, file: zbus::Fd<'_>, options: Dictionary) -> Result<u64, Error>;
    fn begin_deploy_directory(&self, path: &str, options: Dictionary) -> Result<u64, Error>;
    fn begin_rollback(&self, options: Dictionary) -> Result<u64, Error>;
    fn pause(&self) -> Result<(), Error>;
    fn resume(&self) -> Result<(), Error>;
    fn abort(&self, rollout: u64) -> Result<(), Error>;
    fn reconfigure(&self) -> Result<u32, Error>;

    // The members of 1.0. The status is in a tuple because the reply holds one struct. If a method returned
    // the bare struct, zbus would send each field as an argument of its own, whatever the introspection data
    // says.
    fn status(&self) -> Result<(positional::Status,), Error>;
    fn counters(&self) -> Result<Vec<positional::Counters>, Error>;
    fn releases(&self) -> Result<Vec<positional::Release>, Error>;
    fn history(&self) -> Result<Vec<positional::Entry>, Error>;
    fn reload(&self, by: &str) -> Result<u64, Error>;
    fn deploy(&self, file: zbus::Fd<'_>, id: &str, canary: u32, by: &str) -> Result<u64, Error>;
    fn deploy_directory(&self, path: &str, id: &str, canary: u32, by: &str) -> Result<u64, Error>;
    fn rollback(&self, id: &str, by: &str) -> Result<u64, Error>;
}
