//! Every key with its effective value and where that was set.

use crate::keys::KEYS;
use crate::settings::{Origin, Settings};

/// One key with its effective value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effective<'a> {
    /// The key, with its table: `rollout.settle`.
    pub key: &'static str,
    /// The value in TOML.
    pub value: String,
    /// Where the value was set. Absent for a default.
    pub origin: Option<&'a Origin>,
}

impl Settings {
    /// Every key with its effective value and where that was set, in the order of the manual.
    pub fn effective(&self) -> [Effective<'_>; KEYS.len()] {
        KEYS.map(|key| Effective {
            key: key.path,
            value: (key.show)(self),
            origin: self.origins.get(key.path),
        })
    }
}
