//! Limits that are off by default.

use std::ops::RangeInclusive;

use toml::de::DeValue;

use super::values::{Kind, Rejected, show, whole};
use crate::settings::Ratio;

/// `"off"`, or a ratio.
pub(crate) struct Limit(pub(crate) RangeInclusive<Ratio>);

impl Kind for Limit {
    type Value = Option<Ratio>;

    fn parse(&self, value: &DeValue<'_>) -> Result<Option<Ratio>, Rejected> {
        let (from, to) = (*self.0.start(), *self.0.end());
        let (number, is_number) = match value {
            DeValue::String(text) if text == "off" => return Ok(None),
            DeValue::Integer(integer) => (Some(whole(integer) as f64), true),
            DeValue::Float(float) => (float.as_str().parse().ok(), true),
            DeValue::String(text) => (written(text), false),
            _ => (None, false),
        };
        match number.and_then(Ratio::nearest) {
            Some(ratio) if is_number && self.0.contains(&ratio) => Ok(Some(ratio)),
            _ => Err(Rejected {
                expected: format!("\"off\" or a number from {from} to {to}"),
                found: show(value),
                write: number.and_then(|number| self.meant(number)).map(|ratio| ratio.to_string()),
            }),
        }
    }

    fn show(&self, value: Option<Ratio>) -> String {
        value.map_or_else(|| "\"off\"".to_owned(), |ratio| ratio.to_string())
    }
}

impl Limit {
    /// The ratio that the user probably meant by an invalid number.
    fn meant(&self, number: f64) -> Option<Ratio> {
        // A minus sign is more likely a typing error than a negative number.
        let number = number.abs();
        // A user who writes 5 for a share means five percent.
        let is_percentage = *self.0.end() == Ratio::ONE && number > 1.0;
        let ratio = Ratio::nearest(if is_percentage { number / 100.0 } else { number })?;
        Some(ratio.clamp(*self.0.start(), *self.0.end()))
    }
}

/// The number in a quoted text, which may be a percentage.
fn written(text: &str) -> Option<f64> {
    match text.strip_suffix('%') {
        Some(percentage) => percentage.trim().parse().ok().map(|number: f64| number / 100.0),
        None => text.trim().parse().ok(),
    }
}
