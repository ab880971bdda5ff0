//! How long something has been so, as people read it: `45s`, `3m12s`, `5d4h`.

use std::time::Duration;

use jiff::Timestamp;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
const YEAR: u64 = 365 * DAY;

/// The time from `since` to `now`, as [`human_duration`] writes it. A moment in the future by more than a second prints
/// as `<invalid>`, as in Kubernetes: the clocks disagree.
pub fn age(since: Timestamp, now: Timestamp) -> String {
    let seconds = now.duration_since(since).as_secs();
    match u64::try_from(seconds) {
        Ok(seconds) => human_duration(Duration::from_secs(seconds)),
        Err(_) if seconds == -1 => "0s".to_owned(),
        Err(_) => "<invalid>".to_owned(),
    }
}

/// A duration with two or three digits of precision, in the steps that Kubernetes takes.
pub fn human_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..120 => format!("{seconds}s"),
        120..600 => two(seconds, MINUTE, "m", 1, "s"),
        600..10_800 => format!("{}m", seconds / MINUTE),
        10_800..28_800 => two(seconds, HOUR, "h", MINUTE, "m"),
        28_800..172_800 => format!("{}h", seconds / HOUR),
        172_800..691_200 => two(seconds, DAY, "d", HOUR, "h"),
        _ if seconds < 2 * YEAR => format!("{}d", seconds / DAY),
        _ if seconds < 8 * YEAR => two(seconds, YEAR, "y", DAY, "d"),
        _ => format!("{}y", seconds / YEAR),
    }
}

/// The whole units, then what remains in the lesser unit unless that is nothing.
fn two(seconds: u64, unit: u64, name: &str, lesser: u64, lesser_name: &str) -> String {
    match seconds % unit / lesser {
        0 => format!("{}{name}", seconds / unit),
        rest => format!("{}{name}{rest}{lesser_name}", seconds / unit),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_as_kubernetes_writes_them() {
        let cases = [
            (1, "1s"),
            (119, "119s"),
            (120, "2m"),
            (192, "3m12s"),
            (600, "10m"),
            (10_799, "179m"),
            (10_800, "3h"),
            (10_860, "3h1m"),
            (28_800, "8h"),
            (172_799, "47h"),
            (172_800, "2d"),
            (176_400, "2d1h"),
            (691_200, "8d"),
            (2 * YEAR - 1, "729d"),
            (2 * YEAR + DAY, "2y1d"),
            (8 * YEAR + DAY, "8y"),
        ];
        for (seconds, expected) in cases {
            assert_eq!(human_duration(Duration::from_secs(seconds)), expected, "{seconds}");
        }
    }

    #[test]
    fn a_moment_in_the_future_is_not_an_age() {
        let now: Timestamp = "2026-01-31T12:00:00Z".parse().unwrap();
        assert_eq!(age("2026-01-31T12:00:01Z".parse().unwrap(), now), "0s");
        assert_eq!(age("2026-01-31T12:00:10Z".parse().unwrap(), now), "<invalid>");
        assert_eq!(age("2026-01-31T11:59:50Z".parse().unwrap(), now), "10s");
    }
}
