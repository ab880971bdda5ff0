//! [`Condition`]: one observed fact about an object, in the form that all of Kubernetes' newer kinds share; and
//! [`Conditions`]: reading and writing lists of them, whatever their type.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Time;

/// One observed fact about an object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Condition {
    /// What the fact is about, such as `Ready`. One condition of a type is kept.
    #[serde(rename = "type")]
    pub condition_type: String,
    /// Whether it is so.
    pub status: ConditionStatus,
    /// The `metadata.generation` that was seen when this was found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// When the status last changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_transition_time: Option<Time>,
    /// Why, as a word for programs.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Why, as a sentence for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
}

/// Whether something is so.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum ConditionStatus {
    /// It is so.
    True,
    /// It is not so.
    False,
    /// Nobody knows.
    #[default]
    Unknown,
}

impl From<bool> for ConditionStatus {
    fn from(so: bool) -> Self {
        if so { Self::True } else { Self::False }
    }
}

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

/// Makes conditions of types that have the fields of [`Condition`]: what a type has besides is given in braces.
#[macro_export]
macro_rules! typed_conditions {
    ($($type:ident { $($besides:tt)* }),* $(,)?) => {$(
        impl $type {
            /// A condition, found now.
            pub fn new(
                condition_type: impl Into<String>,
                status: impl Into<$crate::ConditionStatus>,
                reason: impl Into<String>,
                message: impl Into<String>,
                now: $crate::Time,
            ) -> Self {
                Self {
                    condition_type: condition_type.into(),
                    status: status.into(),
                    last_transition_time: Some(now),
                    reason: reason.into(),
                    message: message.into(),
                    $($besides)*
                }
            }
        }

        impl $crate::TypedCondition for $type {
            fn condition_type(&self) -> &str {
                &self.condition_type
            }

            fn status(&self) -> $crate::ConditionStatus {
                self.status
            }

            fn last_transition_time(&mut self) -> &mut Option<$crate::Time> {
                &mut self.last_transition_time
            }
        }
    )*};
}

typed_conditions!(Condition { observed_generation: None });

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
        conditions.put(Condition::new("Ready", false, "", "", first));
        conditions.put(Condition::new("Ready", false, "Waiting", "", later));
        let ready = conditions.of_type("Ready").unwrap();
        assert_eq!((ready.last_transition_time, ready.reason.as_str()), (Some(first), "Waiting"));
        conditions.put(Condition::new("Ready", true, "", "", later));
        assert_eq!(conditions.of_type("Ready").unwrap().last_transition_time, Some(later));
        assert!(conditions.is_true("Ready") && !conditions.is_true("Initialized"));
        assert_eq!(conditions.len(), 1);
    }
}
