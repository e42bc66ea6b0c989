//! Quantities in a short form for people.

use std::time::Duration;

/// Bytes as systemd shows them, with binary units: `12.3M`.
pub(super) fn bytes(bytes: u64) -> String {
    const UNITS: [(&str, u32); 3] = [("G", 30), ("M", 20), ("K", 10)];
    for (unit, shift) in UNITS {
        if bytes >> shift > 0 {
            let tenths = ((bytes >> (shift - 10)) * 10) >> 10;
            return format!("{}.{}{unit}", tenths / 10, tenths % 10);
        }
    }
    format!("{bytes}B")
}

/// A share: 1 is one whole, and there may be several. A share above zero never looks like zero.
pub(super) fn share(share: f64) -> String {
    match share * 100.0 {
        0.0 => "0%".to_owned(),
        percent if percent < 0.01 => "<0.01%".to_owned(),
        percent if percent < 1.0 => format!("{percent:.2}%"),
        percent => format!("{percent:.1}%"),
    }
}

/// How often something happens in a second.
pub(super) fn rate(per_second: f64) -> String {
    match per_second {
        0.0 => "0".to_owned(),
        rate if rate < 0.1 => "<0.1".to_owned(),
        rate if rate < 10.0 => format!("{rate:.1}"),
        rate => format!("{rate:.0}"),
    }
}

/// How long a request took, with at least two digits: `850us`, `1.2ms`, `12ms`.
pub(super) fn latency(latency: Duration) -> String {
    let microseconds = latency.as_micros();
    for (unit, size) in [("s", 1_000_000), ("ms", 1000)] {
        match microseconds / size {
            0 => {}
            whole @ 1..10 => return format!("{whole}.{}{unit}", microseconds * 10 / size % 10),
            whole => return format!("{whole}{unit}"),
        }
    }
    format!("{microseconds}us")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_shown_as_systemd_does() {
        assert_eq!(bytes(1023), "1023B");
        assert_eq!(bytes(1536), "1.5K");
        assert_eq!(bytes(u64::MAX), "17179869183.9G");
    }

    #[test]
    fn little_is_not_nothing() {
        assert_eq!(
            [0.0, 1e-9, 0.0012, 0.5, 0.996, 1.0, 1.5].map(share),
            ["0%", "<0.01%", "0.12%", "50.0%", "99.6%", "100.0%", "150.0%"]
        );
        assert_eq!([0.0, 0.001, 8.34, 1234.5].map(rate), ["0", "<0.1", "8.3", "1234"]);
    }

    #[test]
    fn latencies_have_the_unit_that_fits() {
        let told = [0, 850, 1000, 1_299, 12_999, 999_999, 1_050_000, 301_989_888];
        let told = told.map(|microseconds| latency(Duration::from_micros(microseconds)));
        assert_eq!(told, ["0us", "850us", "1.0ms", "1.2ms", "12ms", "999ms", "1.0s", "301s"]);
    }
}
