//! Time spans as systemd writes them.

use std::time::Duration;

use config::timespan;

/// A parsed time span, displayed and parsed again, has the same value.
pub(crate) fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(span) = timespan::parse(text) else { return };
    assert_eq!(timespan::parse(&timespan::format(span)), Ok(span));
    // A number shorter than one of its units needs a fraction.
    let is_whole = text.trim().bytes().all(|byte| byte.is_ascii_digit());
    assert!(!is_whole || text.trim().parse().map(Duration::from_secs) == Ok(span), "{span:?}");
}
