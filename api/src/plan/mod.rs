//! Plans: changes that are made together or not at all, and what would come of them.
//!
//! Here is what a plan's object says in its fields; the server that serves the kind carries it out.

mod outcome;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use outcome::{BlastRadius, ChangeAction, Eviction, ObjectChange, Placement};

use crate::{FieldError, FieldPath, MAX_MANAGER_BYTES, check_words};

/// The field of a stored plan that is never served: what the server needs to carry the plan out.
pub const PLAN_RECORD: &str = "record";
/// What stands in the place of values that are not shown.
pub const HIDDEN: &str = "(hidden)";
/// How many of a plan's changes may drain nodes or undo others, each of which looks at much before it is known whose it is.
const MAX_WIDE: usize = 100;

/// One change of a plan. Exactly one of the fields is given.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PlannedChange {
    /// Applies a manifest, as `orchctl apply` does: the object is made, or becomes what its managers say together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub apply: Option<PlannedApply>,
    /// Changes an object by a patch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patch: Option<PlannedPatch>,
    /// Deletes an object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delete: Option<PlannedDelete>,
    /// Keeps new pods off a node, and evicts those that are there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain: Option<PlannedDrain>,
    /// Takes a change, or a whole plan, back: what was made is deleted, what was deleted is made again, and fields become what
    /// they were. Refused for what has been changed since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undo: Option<PlannedUndo>,
    /// Brings an object back to what it was at a revision, whatever has become of it since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback: Option<PlannedRollback>,
}

/// A manifest to apply.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PlannedApply {
    /// The manifest, with its `apiVersion`, `kind`, name and, if its kind has namespaces, namespace.
    pub manifest: Free,
    /// The name under which the fields of the manifest are owned; the program that makes the plan unless given.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub field_manager: String,
    /// Whether fields of other managers are taken over.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub force: bool,
}

/// A patch of an object.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PlannedPatch {
    /// The object, or a subresource of it.
    pub target: PlanTarget,
    /// `merge`, `json` or `strategic`; `merge` unless given.
    #[serde(default, rename = "type", skip_serializing_if = "String::is_empty")]
    pub patch_type: String,
    /// The patch: an object, or a list of operations for the type `json`.
    pub patch: Free,
    /// The name under which the fields of the patch are owned; the program that makes the plan unless given.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub field_manager: String,
}

/// An object to delete.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PlannedDelete {
    /// The object.
    pub target: PlanTarget,
    /// What becomes of what the object owns: `Background`, `Foreground` or `Orphan`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub propagation: String,
    /// The object is deleted only if it is the one with this uid.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub uid: String,
}

/// A node to drain.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PlannedDrain {
    /// The name of the node.
    pub node: String,
}

/// Something to take back. Exactly one of the fields is given.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PlannedUndo {
    /// The name of the change.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub change: String,
    /// The name of the plan.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub plan: String,
}

/// An object to bring back.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PlannedRollback {
    /// The object.
    pub target: PlanTarget,
    /// The revision at which it was as it is to be.
    pub revision: i64,
}

/// The object that a change is about.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PlanTarget {
    /// `v1` or `group/version`.
    pub api_version: String,
    /// The object's kind.
    pub kind: String,
    /// Its namespace, if its kind has namespaces.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// A part of it, such as `status` or `scale`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub subresource: String,
}

/// JSON whose shape is somebody else's business.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Free(pub Value);

impl JsonSchema for Free {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Free".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"x-kubernetes-preserve-unknown-fields": true})
    }
}

impl PlannedChange {
    /// The names of the fields that are given.
    pub fn given(&self) -> Vec<&'static str> {
        let all = [
            ("apply", self.apply.is_some()),
            ("patch", self.patch.is_some()),
            ("delete", self.delete.is_some()),
            ("drain", self.drain.is_some()),
            ("undo", self.undo.is_some()),
            ("rollback", self.rollback.is_some()),
        ];
        all.into_iter().filter(|(_, given)| *given).map(|(name, _)| name).collect()
    }

    /// Everything that is wrong with changes as they are written, of which there may be so many.
    pub fn validate_all(changes: &[Self], path: &FieldPath, most: usize) -> Vec<FieldError> {
        if changes.len() > most {
            return vec![FieldError::too_many(path, changes.len(), most)];
        }
        let each = changes.iter().enumerate();
        let mut errors: Vec<FieldError> =
            each.flat_map(|(index, change)| change.validate(&path.index(index))).collect();
        if changes.iter().filter(|change| change.drain.is_some() || change.undo.is_some()).count() > MAX_WIDE
        {
            let why = format!("no more than {MAX_WIDE} changes may drain nodes or undo what was done");
            errors.push(FieldError::forbidden(path, why));
        }
        errors
    }

    /// Everything that is wrong with the change as it is written, whatever there is to be changed.
    pub fn validate(&self, path: &FieldPath) -> Vec<FieldError> {
        let given = self.given();
        if given.len() != 1 {
            let why = "exactly one of apply, patch, delete, drain, undo and rollback must be given";
            return vec![FieldError::invalid(path, given.join(", "), why)];
        }
        let path = path.child(given[0]);
        let targets = [
            self.patch.as_ref().map(|patch| &patch.target),
            self.delete.as_ref().map(|delete| &delete.target),
            self.rollback.as_ref().map(|rollback| &rollback.target),
        ];
        let mut errors: Vec<FieldError> =
            targets.into_iter().flatten().flat_map(|target| target.validate(&path.child("target"))).collect();
        if let Some(apply) = self.apply.as_ref().filter(|apply| !apply.manifest.0.is_object()) {
            let why = "must be an object";
            errors.push(FieldError::invalid(path.child("manifest"), apply.manifest.0.clone(), why));
        }
        let managers = [
            self.apply.as_ref().map(|apply| &apply.field_manager),
            self.patch.as_ref().map(|patch| &patch.field_manager),
        ];
        for manager in managers.into_iter().flatten() {
            errors.extend(check_words(&path.child("fieldManager"), manager, MAX_MANAGER_BYTES));
        }
        if let Some(patch) = &self.patch {
            let known = ["", "merge", "json", "strategic"];
            if !known.contains(&patch.patch_type.as_str()) {
                errors.push(FieldError::not_supported(path.child("type"), &*patch.patch_type, &known[1..]));
            }
        }
        if let Some(delete) = &self.delete {
            let known = ["", "Background", "Foreground", "Orphan"];
            if !known.contains(&delete.propagation.as_str()) {
                let path = path.child("propagation");
                errors.push(FieldError::not_supported(path, &*delete.propagation, &known[1..]));
            }
        }
        if let Some(undo) = self.undo.as_ref().filter(|undo| undo.change.is_empty() == undo.plan.is_empty()) {
            let why = "exactly one of change and plan must be given";
            errors.push(FieldError::invalid(&path, undo.change.as_str(), why));
        }
        if let Some(rollback) = &self.rollback {
            errors.extend(rollback.validate(&path));
        }
        if self.drain.as_ref().is_some_and(|drain| drain.node.is_empty()) {
            errors.push(FieldError::required(path.child("node"), ""));
        }
        errors
    }
}

impl PlannedRollback {
    fn validate(&self, path: &FieldPath) -> Vec<FieldError> {
        let mut errors = Vec::new();
        if self.revision < 1 {
            errors.push(FieldError::invalid(path.child("revision"), self.revision, "must be at least 1"));
        }
        if !self.target.subresource.is_empty() {
            let path = path.child("target").child("subresource");
            errors.push(FieldError::forbidden(path, "only the whole object can be brought back"));
        }
        errors
    }
}

impl PlanTarget {
    fn validate(&self, path: &FieldPath) -> Vec<FieldError> {
        let required = [("apiVersion", &self.api_version), ("kind", &self.kind), ("name", &self.name)];
        let empty = required.into_iter().filter(|(_, value)| value.is_empty());
        empty.map(|(field, _)| FieldError::required(path.child(field), "")).collect()
    }
}
