//! Time spans as systemd writes them.

use std::time::Duration;

use config::timespan;

/// What is understood is understood again as it is shown.
pub(crate) fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(span) = timespan::parse(text) else { return };
    assert_eq!(timespan::parse(&timespan::format(span)), Ok(span));
    // It takes a tenth of a number to be shorter than one of its unit.
    let is_whole = text.trim().bytes().all(|byte| byte.is_ascii_digit());
    assert!(!is_whole || text.trim().parse().map(Duration::from_secs) == Ok(span), "{span:?}");
}
