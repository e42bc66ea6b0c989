//! The name of a release.

use std::fmt;
use std::time::Duration;

/// The name of a release, which is that of its directory.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ReleaseId(String);

/// The longest name. As a file name it has to leave room for a mark (NAME_MAX is 255).
const MAX_LEN: usize = 100;

impl ReleaseId {
    /// A name that is one component of a path: letters, digits and `.+~_-`, at most 100. It does not begin
    /// with a dot, nor with a dash, because options do.
    pub fn new(name: &str) -> Option<Self> {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || ".+~_-".contains(c);
        let begins_well = !name.starts_with(['.', '-']);
        let fits = (1..=MAX_LEN).contains(&name.len()) && begins_well && name.chars().all(is_plain);
        fits.then(|| Self(name.to_owned()))
    }

    /// The name for a release that comes at this time, in UTC: `20261122-114005`.
    pub fn at(since_epoch: Duration) -> Self {
        let (days, second) = (since_epoch.as_secs() / 86400, since_epoch.as_secs() % 86400);
        let (year, month, day) = civil(days);
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        Self(format!("{year:04}{month:02}{day:02}-{hour:02}{minute:02}{second:02}"))
    }

    /// The name for another release with the same name: `1.2.0.2`.
    pub fn numbered(&self, number: u64) -> Self {
        let suffix = format!(".{number}");
        let room = self.0.len().min(MAX_LEN - suffix.len());
        Self(format!("{}{suffix}", &self.0[..room]))
    }

    /// The name itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ReleaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The date this many days after 1970-01-01 in the Gregorian calendar.
///
/// It counts from 0000-03-01, so that the leap day is the last of a year. See H. Hinnant, "chrono-Compatible
/// Low-Level Date Algorithms", `civil_from_days`.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let months_since_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * months_since_march + 2) / 5 + 1;
    let month = if months_since_march < 10 { months_since_march + 3 } else { months_since_march - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use std::path::{Component, Path};

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_time_is_a_name_in_utc() {
        // The output of `date -u -d @SECONDS +%Y%m%d-%H%M%S`.
        for (seconds, name) in [
            (0, "19700101-000000"),
            (951_782_399, "20000228-235959"),
            (951_782_400, "20000229-000000"),
            (1_795_347_605, "20261122-114005"),
            (4_107_542_399, "21000228-235959"),
            (4_107_542_400, "21000301-000000"),
        ] {
            assert_eq!(ReleaseId::at(Duration::from_secs(seconds)).as_str(), name);
        }
    }

    #[test]
    fn dates_follow_one_another() {
        let mut before = civil(0);
        assert_eq!(before, (1970, 1, 1));
        for day in 1..300_000 {
            let next = civil(day);
            let (year, month, day_of_month) = before;
            let expected = [(year, month, day_of_month + 1), (year, month + 1, 1), (year + 1, 1, 1)];
            assert!(expected.contains(&next), "{next:?} after {before:?}");
            assert!((1..=12).contains(&next.1) && (1..=31).contains(&next.2), "{next:?}");
            before = next;
        }
        // The output of `date -u -d @$((299999 * 86400))`.
        assert_eq!(before, (2791, 5, 16));
    }

    #[test]
    fn a_number_never_makes_a_name_too_long() {
        let longest = ReleaseId::new(&"9".repeat(MAX_LEN)).unwrap();
        let numbered = longest.numbered(u64::MAX);
        assert_eq!(ReleaseId::new(numbered.as_str()), Some(numbered));
        assert_eq!(ReleaseId::new("1.2.0").unwrap().numbered(2).as_str(), "1.2.0.2");
    }

    proptest! {
        #[test]
        fn a_name_is_one_component_of_a_path_and_not_hidden(name in ".{0,120}|[a-z./]{0,8}") {
            if let Some(id) = ReleaseId::new(&name) {
                let components: Vec<_> = Path::new(id.as_str()).components().collect();
                prop_assert_eq!(components, [Component::Normal(name.as_ref())]);
                prop_assert!(!name.starts_with('.'));
            }
        }
    }
}
