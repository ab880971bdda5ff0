//! [`Condition`]: one observed fact about an object, in the form that all of Kubernetes' newer kinds share.

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

impl Condition {
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
            observed_generation: None,
            last_transition_time: Some(now),
            reason: reason.into(),
            message: message.into(),
        }
    }

    /// Puts the condition into the list in place of the one of its type. The time of the last transition is kept where
    /// the status has not changed.
    pub fn put(self, conditions: &mut Vec<Self>) {
        match conditions.iter_mut().find(|existing| existing.condition_type == self.condition_type) {
            Some(existing) if existing.status == self.status => {
                let last_transition_time = existing.last_transition_time.or(self.last_transition_time);
                *existing = Self { last_transition_time, ..self };
            }
            Some(existing) => *existing = self,
            None => conditions.push(self),
        }
    }
}
