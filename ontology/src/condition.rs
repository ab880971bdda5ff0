//! Reading and writing lists of conditions, whatever their kind.

use orch_api::{Condition, ConditionStatus, Time};

use crate::{NamespaceCondition, NodeCondition, PodCondition};

/// A fact about an object: what all sorts of conditions have in common.
pub trait TypedCondition {
    /// What the fact is about.
    fn condition_type(&self) -> &str;
    /// Whether it is so.
    fn status(&self) -> ConditionStatus;
    /// When the status last changed.
    fn last_transition_time(&mut self) -> &mut Option<Time>;
}

/// A list of conditions, of which there is at most one of a type.
pub trait Conditions<C> {
    /// The condition of a type.
    fn of_type(&self, condition_type: &str) -> Option<&C>;

    /// Whether the condition of a type is there and true.
    fn is_true(&self, condition_type: &str) -> bool;

    /// Puts the condition in the place of the one of its type. The time of the last transition is kept where the status
    /// has not changed.
    fn put(&mut self, condition: C);
}

impl<C: TypedCondition> Conditions<C> for Vec<C> {
    fn of_type(&self, condition_type: &str) -> Option<&C> {
        self.iter().find(|condition| condition.condition_type() == condition_type)
    }

    fn is_true(&self, condition_type: &str) -> bool {
        self.of_type(condition_type).is_some_and(|condition| condition.status() == ConditionStatus::True)
    }

    fn put(&mut self, mut condition: C) {
        match self.iter_mut().find(|existing| existing.condition_type() == condition.condition_type()) {
            Some(existing) => {
                if existing.status() == condition.status() && existing.last_transition_time().is_some() {
                    *condition.last_transition_time() = *existing.last_transition_time();
                }
                *existing = condition;
            }
            None => self.push(condition),
        }
    }
}

macro_rules! typed_condition {
    ($($type:ident),*) => {$(
        impl TypedCondition for $type {
            fn condition_type(&self) -> &str {
                &self.condition_type
            }

            fn status(&self) -> ConditionStatus {
                self.status
            }

            fn last_transition_time(&mut self) -> &mut Option<Time> {
                &mut self.last_transition_time
            }
        }
    )*};
}

macro_rules! found_now {
    ($($type:ident),*) => {$(
        impl $type {
            /// A condition, found now.
            pub fn new(
                condition_type: impl Into<String>,
                status: impl Into<ConditionStatus>,
                reason: impl Into<String>,
                message: impl Into<String>,
                now: Time,
            ) -> Self {
                Self {
                    condition_type: condition_type.into(),
                    status: status.into(),
                    last_transition_time: Some(now),
                    reason: reason.into(),
                    message: message.into(),
                    ..Self::default()
                }
            }
        }
    )*};
}

typed_condition!(Condition, PodCondition, NodeCondition, NamespaceCondition);
found_now!(PodCondition, NodeCondition);

impl NamespaceCondition {
    /// A condition, found now.
    pub fn new(
        condition_type: impl Into<String>,
        status: impl Into<ConditionStatus>,
        reason: impl Into<String>,
        message: impl Into<String>,
        now: Time,
    ) -> Self {
        Self {
            condition_type: condition_type.into(),
            status: status.into(),
            last_transition_time: Some(now),
            reason: reason.into(),
            message: message.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Time {
        Time::new(text.parse().unwrap())
    }

    #[test]
    fn a_condition_keeps_its_transition_time_until_its_status_changes() {
        let (first, later) = (at("2026-01-31T12:00:00Z"), at("2026-01-31T13:00:00Z"));
        let mut conditions = Vec::new();
        conditions.put(PodCondition::new("Ready", false, "", "", first));
        conditions.put(PodCondition::new("Ready", false, "Waiting", "", later));
        let ready = conditions.of_type("Ready").unwrap();
        assert_eq!((ready.last_transition_time, ready.reason.as_str()), (Some(first), "Waiting"));
        conditions.put(PodCondition::new("Ready", true, "", "", later));
        assert_eq!(conditions.of_type("Ready").unwrap().last_transition_time, Some(later));
        assert!(conditions.is_true("Ready") && !conditions.is_true("Initialized"));
        assert_eq!(conditions.len(), 1);
    }
}
