//! Whether a figure grows.

/// The slope of the line that fits these points best (least squares), or 0 if there is no line.
pub(super) fn slope(points: &[(f64, f64)]) -> f64 {
    let count = points.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
    let (x_mean, y_mean) = (mean(|point| point.0), mean(|point| point.1));
    let (mut covariance, mut variance) = (0.0, 0.0);
    for (x, y) in points {
        covariance += (x - x_mean) * (y - y_mean);
        variance += (x - x_mean) * (x - x_mean);
    }
    if variance > 0.0 { covariance / variance } else { 0.0 }
}

/// The quantile `part`, from 0 to 1, of these values. They need no order.
pub(super) fn quantile<T: Copy + PartialOrd>(values: &[T], part: f64) -> Option<T> {
    let mut values = values.to_vec();
    values.sort_by(|a, b| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal));
    let rank = (part * values.len() as f64).ceil() as usize;
    values.get(rank.saturating_sub(1)).copied()
}

/// The median of these values.
pub(super) fn median<T: Copy + PartialOrd>(values: &[T]) -> Option<T> {
    quantile(values, 0.5)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_its_slope() {
        assert_eq!(slope(&[(0.0, 5.0), (1.0, 7.0), (2.0, 9.0)]), 2.0);
        assert_eq!(slope(&[(0.0, 5.0), (1.0, 5.0)]), 0.0);
        assert_eq!(slope(&[(3.0, 5.0)]), 0.0);
        assert_eq!(slope(&[]), 0.0);
    }

    #[test]
    fn a_quantile_is_one_of_the_values() {
        let values = [40, 10, 30, 20];
        assert_eq!(
            [0.0, 0.25, 0.5, 0.95, 1.0].map(|part| quantile(&values, part)),
            [10, 10, 20, 40, 40].map(Some)
        );
        assert_eq!(median::<u32>(&[]), None);
    }
}
