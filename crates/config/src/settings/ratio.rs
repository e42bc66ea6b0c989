//! A ratio that can be compared and shown without loss.

use std::fmt;

/// A ratio, exact to a millionth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ratio(u32);

impl Ratio {
    /// The ratio of 0.
    pub const ZERO: Self = Self::from_millionths(0);
    /// The ratio of 1.
    pub const ONE: Self = Self::from_millionths(MILLION);

    /// A ratio of this many millionths. Every number is valid.
    pub const fn from_millionths(millionths: u32) -> Self {
        Self(millionths)
    }

    /// The ratio in millionths.
    pub const fn millionths(self) -> u32 {
        self.0
    }

    /// The nearest ratio. It is the greatest one for a number beyond it, and `None` for a negative number or
    /// NaN.
    pub(crate) fn nearest(number: f64) -> Option<Self> {
        // A cast saturates.
        (number >= 0.0).then(|| Self((number * f64::from(MILLION)).round() as u32))
    }
}

/// Formats the ratio as in TOML: `0.05`, `3.0`.
impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", f64::from(self.0) / f64::from(MILLION))
    }
}

const MILLION: u32 = 1_000_000;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_shown_is_read_back(millionths: u32) {
            let ratio = Ratio::from_millionths(millionths);
            prop_assert_eq!(Ratio::nearest(ratio.to_string().parse().unwrap()), Some(ratio));
        }
    }

    #[test]
    fn what_is_no_ratio_is_none() {
        assert_eq!(Ratio::nearest(f64::NAN), None);
        assert_eq!(Ratio::nearest(-0.1), None);
        assert_eq!(Ratio::nearest(f64::INFINITY), Some(Ratio::from_millionths(u32::MAX)));
        assert_eq!(Ratio::nearest(0.05).unwrap().to_string(), "0.05");
    }
}
