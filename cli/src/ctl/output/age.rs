//! How long ago something was, as kubectl says it: `45s`, `5m30s`, `3h`, `2d4h`.

use jiff::Timestamp;

/// The time since an RFC 3339 timestamp, in at most two units; `<unknown>` if it is not one.
pub(in crate::ctl) fn since(timestamp: &str, now: Timestamp) -> String {
    match timestamp.parse::<Timestamp>() {
        Ok(at) => seconds(now.as_second() - at.as_second()),
        Err(_) => "<unknown>".into(),
    }
}

/// A duration. A clock that runs ahead a little is not worth a word.
pub(in crate::ctl) fn seconds(seconds: i64) -> String {
    const MINUTE: i64 = 60;
    const HOUR: i64 = 60 * MINUTE;
    const DAY: i64 = 24 * HOUR;
    const YEAR: i64 = 365 * DAY;
    let two = |value: i64, big: i64, big_unit: &str, small: i64, small_unit: &str| match value % big / small {
        0 => format!("{}{big_unit}", value / big),
        rest => format!("{}{big_unit}{rest}{small_unit}", value / big),
    };
    match seconds.max(0) {
        s if s < 2 * MINUTE => format!("{s}s"),
        s if s < 10 * MINUTE => two(s, MINUTE, "m", 1, "s"),
        s if s < 3 * HOUR => format!("{}m", s / MINUTE),
        s if s < 8 * HOUR => two(s, HOUR, "h", MINUTE, "m"),
        s if s < 2 * DAY => format!("{}h", s / HOUR),
        s if s < 8 * DAY => two(s, DAY, "d", HOUR, "h"),
        s if s < 2 * YEAR => format!("{}d", s / DAY),
        s if s < 8 * YEAR => two(s, YEAR, "y", DAY, "d"),
        s => format!("{}y", s / YEAR),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_said_as_kubectl_says_them() {
        for (age, expected) in [
            (-5, "0s"),
            (119, "119s"),
            (120, "2m"),
            (330, "5m30s"),
            (601, "10m"),
            (3 * 3600 + 120, "3h2m"),
            (9 * 3600, "9h"),
            (49 * 3600, "2d1h"),
            (9 * 86400, "9d"),
            (800 * 86400, "2y70d"),
        ] {
            assert_eq!(seconds(age), expected, "{age}");
        }
        assert_eq!(since("2026-01-01T00:00:00Z", "2026-01-01T00:01:00Z".parse().unwrap()), "60s");
        assert_eq!(since("", Timestamp::UNIX_EPOCH), "<unknown>");
    }
}
