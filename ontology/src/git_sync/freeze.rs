//! [`FreezeWindow`]: a time in which nothing is changed.

use jiff::civil::{Date, Time as TimeOfDay, Weekday};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use orch_api::{FieldError, FieldPath, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A time in which nothing is changed: once, or on days of every week.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FreezeWindow {
    /// When it begins, if it is once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Time>,
    /// When it is over, if it is once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Time>,
    /// When it is, if it is every week.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weekly: Option<FreezeDays>,
    /// Why, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// Hours on days of every week.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FreezeDays {
    /// `Mon`, `Tue`, `Wed`, `Thu`, `Fri`, `Sat` or `Sun`: the days on which it begins.
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub days: Vec<String>,
    /// The time of day at which it begins, such as `16:00`. `00:00` unless given.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub start: String,
    /// The time of day at which it is over; that of the next day if it is not after `start`. `00:00` unless given.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub end: String,
    /// The time zone of the two, such as `Europe/Berlin`. `UTC` unless given.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub time_zone: String,
}

const DAYS: [(&str, Weekday); 7] = [
    ("Mon", Weekday::Monday),
    ("Tue", Weekday::Tuesday),
    ("Wed", Weekday::Wednesday),
    ("Thu", Weekday::Thursday),
    ("Fri", Weekday::Friday),
    ("Sat", Weekday::Saturday),
    ("Sun", Weekday::Sunday),
];

impl FreezeWindow {
    /// When it will be over, if it is now. A window that is not valid never is.
    pub fn ends(&self, now: Timestamp) -> Option<Timestamp> {
        if let (Some(from), Some(until)) = (self.from, self.until) {
            return (from.timestamp() <= now && now < until.timestamp()).then(|| until.timestamp());
        }
        self.weekly.as_ref()?.ends(now)
    }

    pub(super) fn validate(&self, path: &FieldPath) -> Vec<FieldError> {
        match (self.from, self.until, &self.weekly) {
            (Some(from), Some(until), None) if from.timestamp() < until.timestamp() => Vec::new(),
            (Some(_), Some(_), None) => {
                vec![FieldError::invalid(path.child("until"), "", "must be after `from`")]
            }
            (None, None, Some(weekly)) => weekly.validate(&path.child("weekly")),
            _ => {
                let why = "either `from` and `until` or `weekly` must be given";
                vec![FieldError::invalid(path, "", why)]
            }
        }
    }
}

impl FreezeDays {
    fn ends(&self, now: Timestamp) -> Option<Timestamp> {
        let (start, end, zone) = (time(&self.start)?, time(&self.end)?, zone(&self.time_zone)?);
        let today = now.to_zoned(zone.clone()).date();
        // One that began yesterday may go on.
        [today.yesterday().ok()?, today].into_iter().find_map(|day| {
            if !self.days.iter().any(|name| weekday(name) == Some(day.weekday())) {
                return None;
            }
            let last = if end > start { day } else { day.checked_add(1.day()).ok()? };
            let (from, until) = (at(day, start, &zone)?, at(last, end, &zone)?);
            (from <= now && now < until).then_some(until)
        })
    }

    fn validate(&self, path: &FieldPath) -> Vec<FieldError> {
        let mut errors = Vec::new();
        if self.days.is_empty() {
            errors.push(FieldError::required(path.child("days"), "on which days?"));
        }
        for (index, day) in self.days.iter().enumerate().filter(|(_, day)| weekday(day).is_none()) {
            let place = path.child("days").index(index);
            errors.push(FieldError::not_supported(place, day.as_str(), &DAYS.map(|(name, _)| name)));
        }
        for (field, text) in [("start", &self.start), ("end", &self.end)] {
            if time(text).is_none() {
                let why = "must be a time of day such as 16:00";
                errors.push(FieldError::invalid(path.child(field), text.as_str(), why));
            }
        }
        if zone(&self.time_zone).is_none() {
            let why = "must be the name of a time zone such as Europe/Berlin";
            errors.push(FieldError::invalid(path.child("timeZone"), self.time_zone.as_str(), why));
        }
        errors
    }
}

fn weekday(name: &str) -> Option<Weekday> {
    DAYS.iter().find(|(known, _)| *known == name).map(|(_, day)| *day)
}

fn time(text: &str) -> Option<TimeOfDay> {
    if text.is_empty() {
        return Some(TimeOfDay::midnight());
    }
    let (hours, minutes) = text.split_once(':').filter(|_| text.len() == 5)?;
    TimeOfDay::new(hours.parse().ok()?, minutes.parse().ok()?, 0, 0).ok()
}

fn zone(name: &str) -> Option<TimeZone> {
    if name.is_empty() { Some(TimeZone::UTC) } else { TimeZone::get(name).ok() }
}

/// A time of day; in a zone that skips it, the first one after.
fn at(day: Date, time: TimeOfDay, zone: &TimeZone) -> Option<Timestamp> {
    day.to_datetime(time).to_zoned(zone.clone()).ok().map(|zoned| zoned.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weekly(days: &[&str], start: &str, end: &str, time_zone: &str) -> FreezeWindow {
        let days = days.iter().map(|day| (*day).to_owned()).collect();
        let weekly = FreezeDays { days, start: start.into(), end: end.into(), time_zone: time_zone.into() };
        FreezeWindow { weekly: Some(weekly), ..FreezeWindow::default() }
    }

    fn ends(window: &FreezeWindow, now: &str) -> Option<String> {
        window.ends(now.parse().unwrap()).map(|until| until.to_string())
    }

    #[test]
    fn a_weekly_window_is_on_its_days_in_its_own_time_zone() {
        // 2026-11-27 is a Friday.
        let window = weekly(&["Fri"], "16:00", "20:00", "Europe/Berlin");
        assert_eq!(ends(&window, "2026-11-27T14:59:59Z"), None);
        assert_eq!(ends(&window, "2026-11-27T15:00:00Z").as_deref(), Some("2026-11-27T19:00:00Z"));
        assert_eq!(ends(&window, "2026-11-27T19:00:00Z"), None);
        assert_eq!(ends(&window, "2026-11-28T15:00:00Z"), None);
    }

    #[test]
    fn a_window_that_ends_before_it_starts_goes_on_the_next_day() {
        let window = weekly(&["Fri"], "22:00", "06:00", "");
        assert_eq!(ends(&window, "2026-11-28T05:59:00Z").as_deref(), Some("2026-11-28T06:00:00Z"));
        assert_eq!(ends(&window, "2026-11-27T05:59:00Z"), None);
        let whole = weekly(&["Sat", "Sun"], "", "", "");
        assert_eq!(ends(&whole, "2026-11-28T23:59:00Z").as_deref(), Some("2026-11-29T00:00:00Z"));
    }

    #[test]
    fn one_that_is_once_ends_when_it_says() {
        let time = |text: &str| Some(serde_json::from_value(text.into()).unwrap());
        let window = FreezeWindow {
            from: time("2026-12-20T00:00:00Z"),
            until: time("2027-01-07T00:00:00Z"),
            ..FreezeWindow::default()
        };
        assert_eq!(ends(&window, "2026-12-19T23:59:59Z"), None);
        assert_eq!(ends(&window, "2026-12-24T12:00:00Z").as_deref(), Some("2027-01-07T00:00:00Z"));
    }
}
