//! [`Correlation`]: which notes are the same event, and which are one too many. Pure.
//!
//! The rules are client-go's, so that no controller can fill the store with events: an object has a budget per component; ten
//! different messages about the same matter within ten minutes become one event.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::{Note, ObjectReference, Severity};

/// A repetition within this time counts up the event instead of making another one.
pub(crate) const WINDOW: SignedDuration = SignedDuration::from_mins(10);
/// What is remembered of each sort.
pub(crate) const REMEMBERED: usize = 4096;
/// Events that one object may have at once; then one more per [`REFILL`].
const BURST: f64 = 25.0;
const REFILL: Duration = Duration::from_secs(300);
/// So many different messages about the same matter are combined.
const SIMILAR: usize = 10;
const COMBINED: &str = "(combined from similar events): ";

/// What makes two notes the same event. Combined ones have no message of their own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Topic {
    matter: Matter,
    message: Option<String>,
}

/// What makes two notes similar: who says it, about what, how bad it is, why.
type Matter = (&'static str, ObjectReference, Severity, String);

/// What has been said lately.
#[derive(Default)]
pub(crate) struct Correlation {
    matters: BTreeMap<Matter, Messages>,
    budgets: BTreeMap<(&'static str, ObjectReference), Budget>,
}

struct Messages {
    different: BTreeSet<String>,
    last: Timestamp,
}

impl Correlation {
    /// The event that a note belongs to, and the message that it is to have; none if its object has had too many.
    pub(crate) fn of(
        &mut self,
        component: &'static str,
        note: &Note,
        now: Timestamp,
    ) -> Option<(Topic, String)> {
        if !self.afford(component, &note.about, now) {
            return None;
        }
        let matter = (component, note.about.clone(), note.severity, note.reason.clone());
        let message = note.message.clone();
        Some(match self.is_one_of_many(&matter, &message, now) {
            true => (Topic { matter, message: None }, format!("{COMBINED}{message}")),
            false => (Topic { matter, message: Some(message.clone()) }, message),
        })
    }

    fn is_one_of_many(&mut self, matter: &Matter, message: &str, now: Timestamp) -> bool {
        if self.matters.len() >= REMEMBERED && !self.matters.contains_key(matter) {
            self.matters.retain(|_, messages| now.duration_since(messages.last) <= WINDOW);
            // Whoever has so much to say repeats himself elsewhere.
            if self.matters.len() >= REMEMBERED {
                self.matters.pop_first();
            }
        }
        let new = || Messages { different: BTreeSet::new(), last: now };
        let messages = self.matters.entry(matter.clone()).or_insert_with(new);
        if now.duration_since(messages.last) > WINDOW {
            messages.different.clear();
        }
        messages.last = now;
        // What has been told by itself goes on being told so.
        if messages.different.contains(message) {
            return false;
        }
        let is_one_of_many = messages.different.len() + 1 >= SIMILAR;
        if !is_one_of_many {
            messages.different.insert(message.to_owned());
        }
        is_one_of_many
    }

    /// Takes one event from the object's budget.
    fn afford(&mut self, component: &'static str, about: &ObjectReference, now: Timestamp) -> bool {
        if self.budgets.len() >= REMEMBERED {
            self.budgets.retain(|_, budget| !budget.is_full(now, REFILL, BURST));
        }
        while self.budgets.len() >= REMEMBERED {
            self.budgets.pop_first();
        }
        let key = (component, about.clone());
        let budget = self.budgets.entry(key).or_insert(Budget { left: BURST, at: now });
        budget.refill(now, REFILL, BURST);
        if budget.left < 1.0 {
            return false;
        }
        budget.left -= 1.0;
        true
    }
}

/// How much may be done at once, and how soon more.
pub(crate) struct Budget {
    pub(crate) left: f64,
    pub(crate) at: Timestamp,
}

impl Budget {
    /// Adds one for each `every` that has passed, up to `most`.
    pub(crate) fn refill(&mut self, now: Timestamp, every: Duration, most: f64) {
        (self.left, self.at) = (self.at_time(now, every, most), now.max(self.at));
    }

    fn is_full(&self, now: Timestamp, every: Duration, most: f64) -> bool {
        self.at_time(now, every, most) >= most
    }

    fn at_time(&self, now: Timestamp, every: Duration, most: f64) -> f64 {
        let passed = now.duration_since(self.at).as_secs_f64().max(0.0);
        (self.left + passed / every.as_secs_f64()).min(most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(name: &str, message: &str) -> Note {
        let about = ObjectReference { kind: "Pod".into(), name: name.into(), ..ObjectReference::default() };
        Note::warning_about(about, "Failed", message)
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    #[test]
    fn the_same_words_are_the_same_event() {
        let mut correlation = Correlation::default();
        let mut of =
            |component, name, message| correlation.of(component, &note(name, message), at(0)).unwrap().0;
        let first = of("a", "web", "no");
        assert_eq!(of("a", "web", "no"), first);
        for other in [of("a", "web", "still no"), of("a", "db", "no"), of("b", "web", "no")] {
            assert_ne!(other, first);
        }
    }

    #[test]
    fn the_tenth_way_to_say_it_is_combined_with_those_that_follow() {
        let mut correlation = Correlation::default();
        let mut of =
            |message: &str, seconds| correlation.of("a", &note("web", message), at(seconds)).unwrap();
        for number in 0..9 {
            assert_eq!(of(&format!("{number}"), 0).1, format!("{number}"));
        }
        let (tenth, message) = of("9", 0);
        assert_eq!(message, "(combined from similar events): 9");
        assert_eq!(of("10", 1).0, tenth);
        assert_eq!(of("3", 1).1, "3", "known by itself");
        assert_eq!(of("11", 602).1, "11", "after a while it is news again");
    }

    #[test]
    fn an_object_has_so_many_events_from_a_component_and_one_more_every_five_minutes() {
        let mut correlation = Correlation::default();
        let mut is_told =
            |component, seconds| correlation.of(component, &note("web", "no"), at(seconds)).is_some();
        assert!((0..25).all(|_| is_told("a", 0)));
        assert!(!is_told("a", 299));
        assert!(is_told("b", 299), "others have their own");
        assert!(is_told("a", 601) && is_told("a", 601) && !is_told("a", 601));
    }
}
