//! The number of a worker.

use std::fmt;
use std::num::NonZeroU32;

/// The number of a worker: 3 for `worker@3.service`. Instances count from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instance(NonZeroU32);

impl Instance {
    /// The instance with this number, or `None` for 0.
    pub fn new(number: u32) -> Option<Self> {
        NonZeroU32::new(number).map(Self)
    }

    /// The number, from 1.
    pub fn number(self) -> u32 {
        self.0.get()
    }

    /// The instances 1 to `count`.
    pub fn first(count: u32) -> impl Iterator<Item = Self> {
        (1..=count).filter_map(Self::new)
    }
}

impl fmt::Display for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "worker@{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instances_count_from_one() {
        assert_eq!(Instance::new(0), None);
        assert_eq!(Instance::new(3).unwrap().to_string(), "worker@3");
        assert_eq!(Instance::first(2).map(Instance::number).collect::<Vec<_>>(), [1, 2]);
    }
}
