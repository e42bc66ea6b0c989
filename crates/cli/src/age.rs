//! Moments and spans as people read them: `2d 3h`, `3h 2min ago`, `27 s`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use config::timespan;

/// The time since `usec` microseconds after the epoch; none if that is 0 or in the future.
pub(crate) fn since(usec: u64, now: SystemTime) -> Option<Duration> {
    now.duration_since(moment(usec)?).ok()
}

/// `3h 2min ago` for a moment in microseconds after the epoch; a dash if it is 0.
pub(crate) fn ago(usec: u64, now: SystemTime) -> String {
    match since(usec, now) {
        Some(age) => format!("{} ago", span(age)),
        None if usec > 0 => "now".to_owned(),
        None => "-".to_owned(),
    }
}

/// How long it is until `usec` microseconds after the epoch, `27 s`; none if that is 0.
pub(crate) fn left(usec: u64, now: SystemTime) -> Option<String> {
    let left = moment(usec)?.duration_since(now).unwrap_or_default();
    // The rest of a second counts as a second.
    let seconds = left.as_secs() + u64::from(left.subsec_nanos() > 0);
    Some(match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds.div_ceil(60)),
        _ => format!("{} h", seconds.div_ceil(3600)),
    })
}

/// The two largest units of a time span, without fractions of a second: `2d 3h`.
pub(crate) fn span(span: Duration) -> String {
    let seconds = timespan::format(Duration::from_secs(span.as_secs()));
    if seconds == "0" { "0s".to_owned() } else { seconds.split(' ').take(2).collect::<Vec<_>>().join(" ") }
}

fn moment(usec: u64) -> Option<SystemTime> {
    UNIX_EPOCH.checked_add(Duration::from_micros(usec)).filter(|_| usec > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn a_moment_to_come_is_no_age() {
        assert_eq!(since(0, SystemTime::now()), None);
        assert_eq!(since(u64::MAX, SystemTime::now()), None);
        assert_eq!(since(SECOND, at(3)), Some(Duration::from_secs(2)));
    }

    #[test]
    fn ages_have_two_units() {
        assert_eq!(span(Duration::from_millis(900)), "0s");
        assert_eq!(span(Duration::from_secs(3_723)), "1h 2min");
        assert_eq!(ago(SECOND, at(3_601)), "1h ago");
        assert_eq!(ago(2 * SECOND, at(1)), "now");
        assert_eq!(ago(0, at(1)), "-");
    }

    #[test]
    fn what_is_left_is_never_less_than_it_is() {
        assert_eq!(left(0, at(1)), None);
        assert_eq!(left(SECOND, at(5)).as_deref(), Some("0 s"));
        assert_eq!(left(3 * SECOND / 2, at(1)).as_deref(), Some("1 s"));
        assert_eq!(left(28 * SECOND, at(1)).as_deref(), Some("27 s"));
        assert_eq!(left(122 * SECOND, at(1)).as_deref(), Some("3 min"));
        assert_eq!(left(7201 * SECOND, at(1)).as_deref(), Some("2 h"));
    }
}
