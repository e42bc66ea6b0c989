//! Figures that are measured in turns and compared.

use anyhow::{Context, Result};

use crate::bench::trend::{median, quantile};

/// Pairs of figures. The first of each pair is compared with the second.
#[derive(Default)]
pub(super) struct Pairs(Vec<[f64; 2]>);

impl Pairs {
    pub(super) fn push(&mut self, pair: [f64; 2]) {
        self.0.push(pair);
    }

    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    pub(super) fn medians(&self) -> Result<[f64; 2]> {
        let median_of = |place: usize| median(&self.0.iter().map(|pair| pair[place]).collect::<Vec<_>>());
        median_of(0).zip(median_of(1)).map(<[f64; 2]>::from).context("there was no turn")
    }

    /// The median of all ratios, and the bounds of the middle half.
    pub(super) fn ratio(&self) -> Result<[f64; 3]> {
        let ratios: Vec<f64> = self.0.iter().map(|[one, other]| one / other).collect();
        let parts = [0.5, 0.25, 0.75].map(|part| quantile(&ratios, part));
        let [Some(median), Some(lower), Some(upper)] = parts else { anyhow::bail!("there was no turn") };
        Ok([median, lower, upper])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_is_that_of_the_pairs() {
        let pairs = Pairs(vec![[1.0, 2.0], [30.0, 10.0], [5.0, 5.0]]);
        assert_eq!(pairs.medians().unwrap(), [5.0, 5.0]);
        assert_eq!(pairs.ratio().unwrap(), [1.0, 0.5, 3.0]);
        assert!(Pairs::default().ratio().is_err());
    }
}
