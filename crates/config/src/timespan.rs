//! Time spans in systemd's syntax, `systemd.time(7)`: `1s`, `500ms`, `1min 30s`. A number without a unit is
//! in seconds.

use std::time::Duration;

const MICROSECOND: u128 = 1;
const SECOND: u128 = 1_000_000 * MICROSECOND;
const DAY: u128 = 24 * 60 * 60 * SECOND;

/// The units as systemd spells them, in microseconds. Of several names for one size, the first is used for
/// display.
const UNITS: [(&str, u128); 28] = [
    ("y", YEAR),
    ("year", YEAR),
    ("years", YEAR),
    ("month", MONTH),
    ("months", MONTH),
    ("M", MONTH),
    ("w", 7 * DAY),
    ("week", 7 * DAY),
    ("weeks", 7 * DAY),
    ("d", DAY),
    ("day", DAY),
    ("days", DAY),
    ("h", 3600 * SECOND),
    ("hour", 3600 * SECOND),
    ("hours", 3600 * SECOND),
    ("hr", 3600 * SECOND),
    ("min", 60 * SECOND),
    ("minute", 60 * SECOND),
    ("minutes", 60 * SECOND),
    ("m", 60 * SECOND),
    ("s", SECOND),
    ("sec", SECOND),
    ("second", SECOND),
    ("seconds", SECOND),
    ("ms", SECOND / 1000),
    ("msec", SECOND / 1000),
    ("us", MICROSECOND),
    ("usec", MICROSECOND),
];
/// 30.44 days.
const MONTH: u128 = 2_629_800 * SECOND;
/// 365.25 days.
const YEAR: u128 = 31_557_600 * SECOND;

/// Why a text is not a time span.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// The text is empty.
    #[error("no time span")]
    Empty,
    /// A number is missing at this text.
    #[error("no number at {0:?}")]
    Number(String),
    /// This word is no unit.
    #[error("unknown unit {0:?}")]
    Unit(String),
    /// The span exceeds what systemd can count: 2⁶⁴ microseconds.
    #[error("too long")]
    TooLong,
}

/// Parses a time span, and cuts it off to whole microseconds.
///
/// # Errors
///
/// Fails on a text that systemd also rejects, and on `infinity`, because that has no end.
pub fn parse(text: &str) -> Result<Duration, ParseError> {
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(ParseError::Empty);
    }
    let mut total: u128 = 0;
    while !rest.is_empty() {
        let (number, after) = split(rest, |c| c.is_ascii_digit() || c == '.');
        let (unit, after) = split(after.trim_start(), |c| c.is_alphabetic());
        let size = match unit {
            "" => SECOND,
            "µs" | "μs" => MICROSECOND,
            _ => UNITS
                .iter()
                .find(|(name, _)| *name == unit)
                .map(|(_, size)| *size)
                .ok_or_else(|| ParseError::Unit(unit.to_owned()))?,
        };
        let part = scale(number, size)
            .map_err(|error| error.unwrap_or_else(|| ParseError::Number(rest.to_owned())))?;
        total = total.checked_add(part).ok_or(ParseError::TooLong)?;
        rest = after.trim_start();
    }
    u64::try_from(total).map(Duration::from_micros).map_err(|_| ParseError::TooLong)
}

fn split(text: &str, belongs: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !belongs(c)).unwrap_or(text.len()))
}

/// `number` (`2`, `1.5`, `.5`) times `size`. If `number` is not a number, the error is `None`.
fn scale(number: &str, size: u128) -> Result<u128, Option<ParseError>> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return Err(None);
    }
    let too_long = Some(ParseError::TooLong);
    let whole: u128 = if whole.is_empty() { 0 } else { whole.parse().map_err(|_| too_long.clone())? };
    let mut total = whole.checked_mul(size).ok_or(too_long.clone())?;
    let mut place = size;
    for digit in fraction.bytes() {
        place /= 10;
        total = total.checked_add(u128::from(digit - b'0') * place).ok_or(too_long.clone())?;
    }
    Ok(total)
}

/// Formats a time span as systemd does: `1min 30s`. [`parse`] returns the same span, to the microsecond.
pub fn format(span: Duration) -> String {
    let mut rest = span.as_micros();
    let mut parts = Vec::new();
    let mut last = 0;
    for (name, size) in UNITS {
        if size != last && rest >= size {
            parts.push(format!("{}{name}", rest / size));
            rest %= size;
        }
        last = size;
    }
    if parts.is_empty() { "0".to_owned() } else { parts.join(" ") }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_examples_of_the_man_page_are_understood() {
        let cases = [
            ("2 h", 7_200_000),
            ("2hours", 7_200_000),
            ("48hr", 172_800_000),
            ("1y 12month", 31_557_600_000 + 12 * 2_629_800_000),
            ("55s500ms", 55_500),
            ("300ms20s 5day", 432_020_300),
            ("50", 50_000),
            ("2min 200ms", 120_200),
            ("1.5s", 1_500),
            (".5", 500),
            ("0", 0),
        ];
        for (text, milliseconds) in cases {
            assert_eq!(parse(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        }
        assert_eq!(parse("7µs 3us"), Ok(Duration::from_micros(10)));
    }

    #[test]
    fn what_is_no_time_span_is_refused() {
        assert_eq!(parse("  "), Err(ParseError::Empty));
        assert_eq!(parse("-1s"), Err(ParseError::Number("-1s".into())));
        assert_eq!(parse("1s,2s"), Err(ParseError::Number(",2s".into())));
        assert_eq!(parse("1.2.3s"), Err(ParseError::Number("1.2.3s".into())));
        assert_eq!(parse("."), Err(ParseError::Number(".".into())));
        assert_eq!(parse("1 sek"), Err(ParseError::Unit("sek".into())));
        assert_eq!(parse("infinity"), Err(ParseError::Unit("infinity".into())));
        assert_eq!(parse("99999999999y"), Err(ParseError::TooLong));
        assert_eq!(parse(&"9".repeat(60)), Err(ParseError::TooLong));
        let almost = u128::MAX / SECOND;
        assert_eq!(parse(&format!("{almost}.9s")), Err(ParseError::TooLong), "too long by its fraction");
    }

    #[test]
    fn display_is_systemds() {
        assert_eq!(format(Duration::from_secs(90)), "1min 30s");
        assert_eq!(format(Duration::from_millis(1500)), "1s 500ms");
        assert_eq!(format(Duration::ZERO), "0");
    }

    proptest! {
        #[test]
        fn what_is_displayed_is_parsed_back(microseconds: u64) {
            let span = Duration::from_micros(microseconds);
            prop_assert_eq!(parse(&format(span)), Ok(span));
        }

        #[test]
        fn no_text_makes_the_parser_panic(text: String) {
            let _ = parse(&text);
        }
    }
}
