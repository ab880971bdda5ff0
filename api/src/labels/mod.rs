//! Choosing objects by their labels: [`LabelSelector`] in objects, [`LabelQuery`] in requests.

mod query;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::field_error::{FieldError, FieldPath};
use crate::names;

pub use query::{LabelQuery, LabelQueryError, Operator, Requirement};

/// Labels as objects carry them.
pub type Labels = BTreeMap<String, String>;

/// A query over labels, as objects hold it. The labels and the expressions must all match; an empty
/// selector matches every object.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-map-type" = "atomic"))]
pub struct LabelSelector {
    /// Labels that must be there with exactly these values.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub match_labels: Labels,
    /// Expressions that must hold, all of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub match_expressions: Vec<LabelSelectorRequirement>,
}

/// A condition on one label.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LabelSelectorRequirement {
    /// The label's key.
    pub key: String,
    /// How the key relates to the values.
    pub operator: SelectorOperator,
    /// The values: at least one for `In` and `NotIn`, none for `Exists` and `DoesNotExist`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub values: Vec<String>,
}

/// How a label relates to the values of a requirement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum SelectorOperator {
    /// The label is there and has one of the values.
    In,
    /// The label is absent or has none of the values.
    NotIn,
    /// The label is there.
    Exists,
    /// The label is absent.
    DoesNotExist,
}

impl LabelSelector {
    /// Selects objects that carry all these labels.
    pub fn match_labels<K: Into<String>, V: Into<String>>(labels: impl IntoIterator<Item = (K, V)>) -> Self {
        let match_labels = labels.into_iter().map(|(k, v)| (k.into(), v.into())).collect();
        Self { match_labels, match_expressions: Vec::new() }
    }

    /// The selector that stands in an object: in this form, or as a plain map of labels. None if it is neither.
    pub fn read(value: &serde_json::Value) -> Option<Self> {
        let labels = || Labels::deserialize(value).ok().map(Self::match_labels);
        Self::deserialize(value).ok().or_else(labels)
    }

    /// Whether everything is selected.
    pub fn is_empty(&self) -> bool {
        self.match_labels.is_empty() && self.match_expressions.is_empty()
    }

    /// Whether an object with these labels is selected.
    pub fn matches(&self, labels: &Labels) -> bool {
        self.match_labels.iter().all(|(key, value)| labels.get(key) == Some(value))
            && self.match_expressions.iter().all(|e| e.matches(labels))
    }

    /// What is wrong with the selector, in Kubernetes' words; `path` is where the selector is.
    pub fn validate(&self, path: &FieldPath) -> Vec<FieldError> {
        let mut errors = validate_labels(&self.match_labels, &path.child("matchLabels"));
        let expressions = path.child("matchExpressions");
        for (index, expression) in self.match_expressions.iter().enumerate() {
            errors.extend(expression.validate(&expressions.index(index)));
        }
        errors
    }
}

impl LabelSelectorRequirement {
    /// Whether an object with these labels meets the requirement.
    pub fn matches(&self, labels: &Labels) -> bool {
        let value = labels.get(&self.key);
        match self.operator {
            SelectorOperator::In => value.is_some_and(|v| self.values.contains(v)),
            SelectorOperator::NotIn => value.is_none_or(|v| !self.values.contains(v)),
            SelectorOperator::Exists => value.is_some(),
            SelectorOperator::DoesNotExist => value.is_none(),
        }
    }

    fn validate(&self, path: &FieldPath) -> Vec<FieldError> {
        let values = path.child("values");
        let mut errors = Vec::new();
        match self.operator {
            SelectorOperator::In | SelectorOperator::NotIn if self.values.is_empty() => errors
                .push(FieldError::required(&values, "must be specified when `operator` is 'In' or 'NotIn'")),
            SelectorOperator::Exists | SelectorOperator::DoesNotExist if !self.values.is_empty() => errors
                .push(FieldError::forbidden(
                    &values,
                    "may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
                )),
            _ => {}
        }
        let key = path.child("key");
        errors.extend(
            names::qualified_name(&self.key)
                .into_iter()
                .map(|p| FieldError::invalid(&key, self.key.as_str(), p)),
        );
        for (index, value) in self.values.iter().enumerate() {
            let problems = names::label_value(value);
            errors.extend(
                problems.into_iter().map(|p| FieldError::invalid(values.index(index), value.as_str(), p)),
            );
        }
        errors
    }
}

/// What is wrong with the keys and values of an object's labels, in Kubernetes' words.
pub fn validate_labels(labels: &Labels, path: &FieldPath) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (key, value) in labels {
        let keys = names::qualified_name(key).into_iter();
        errors.extend(keys.map(|p| FieldError::invalid(path, key.as_str(), p)));
        let values = names::label_value(value).into_iter();
        errors.extend(values.map(|p| FieldError::invalid(path, value.as_str(), p)));
    }
    errors
}

#[cfg(test)]
mod tests;
