//! [`Plan`]: changes that are made together or not at all, shown before they are made.

use jiff::{SignedDuration, Timestamp};
use orch_api::plan::{BlastRadius, Eviction, ObjectChange, Placement, PlannedChange};
use orch_api::{
    Action, ApiVersion, Column, FieldError, FieldPath, Kind, KindName, MAX_REASON_BYTES, Metadata, Resource,
    Subresource, Time, check_words,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// For how many seconds a plan can be applied, unless it says otherwise.
const EXPIRES_AFTER_SECONDS: i64 = 15 * 60;
/// The longest that a plan can be applied for.
const LONGEST_SECONDS: i64 = 24 * 60 * 60;
/// How long a plan that has been applied is kept.
const KEPT: SignedDuration = SignedDuration::from_hours(24);
/// Changes that are made together or not at all, shown before they are made. When a plan is made, the server runs its changes
/// through everything that they would pass, but keeps them to itself, and tells in the status what would come of them. Posting
/// to `apply` makes them, in one transaction, if nothing that they were made from has changed meanwhile.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Plan {
    /// Always `orch.dev/v1`.
    #[serde(default)]
    pub api_version: ApiVersion<Self>,
    /// Always `Plan`.
    #[serde(default)]
    pub kind: KindName<Self>,
    /// Name, labels, annotations, owners.
    #[serde(default)]
    pub metadata: Metadata,
    /// What is to be changed. Cannot be changed itself.
    pub spec: PlanSpec,
    /// What would come of it. Set by the server.
    #[serde(default)]
    pub status: PlanStatus,
}

impl Plan {
    /// How many changes one may have. What is to be applied must also fit into one transaction of the store.
    pub const MOST_CHANGES: usize = 5000;
}

/// What is to be changed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PlanSpec {
    /// The changes, in order: each sees those before it. What they say of kinds that hold secrets is not shown.
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub changes: Vec<PlannedChange>,
    /// Why, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// For how many seconds the plan can be applied, a day at most. 900 unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_after_seconds: Option<i64>,
}

/// What would come of a plan.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PlanStatus {
    /// Whether the plan can be applied.
    #[serde(default)]
    pub phase: PlanPhase,
    /// Why, if it cannot.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Who made the plan. Nobody else can apply it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub user: String,
    /// The revision of the objects that it was made from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<i64>,
    /// Until when it can be applied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Time>,
    /// When it was applied. The plan's own `resourceVersion` is the revision at which that was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applied_at: Option<Time>,
    /// What becomes of each object, in the order of the changes; then what follows from them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub changes: Vec<ObjectChange>,
    /// Where pods would go, those included that are yet to be made.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub placements: Vec<Placement>,
    /// The pods that would have to go.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub evictions: Vec<Eviction>,
    /// How many more objects, placements and evictions follow than are told one by one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub omitted: Option<i64>,
    /// How far it reaches, with all that follows.
    #[serde(default)]
    pub blast_radius: BlastRadius,
}

/// Whether a plan can be applied.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PlanPhase {
    /// It can, until it expires.
    #[default]
    Ready,
    /// It has been.
    Applied,
    /// Something that it was made from has changed: make it anew.
    Stale,
    /// Its time is over.
    Expired,
}

impl Resource for Plan {
    const KIND: Kind = Kind::cluster("orch.dev", "v1", "Plan", "plans", "plan").sensitive();

    const IS_PLAN: bool = true;

    const EXPIRES: Option<fn(&Value) -> Option<Timestamp>> = Some(|plan| {
        let status = PlanStatus::deserialize(plan.get("status")?).ok()?;
        match status.applied_at {
            Some(applied) => applied.timestamp().checked_add(KEPT).ok(),
            None => status.expires_at.map(Time::timestamp),
        }
    });

    fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    fn metadata_mut(&mut self) -> &mut Metadata {
        &mut self.metadata
    }

    fn prepare(&mut self, _: Option<&Self>) {
        self.spec.expires_after_seconds.get_or_insert(EXPIRES_AFTER_SECONDS);
    }

    fn validate(&self, _: Option<&Self>) -> Vec<FieldError> {
        let path = FieldPath::new("spec");
        let mut errors = Vec::new();
        let changes = path.child("changes");
        if self.spec.changes.is_empty() {
            errors.push(FieldError::required(&changes, "a plan changes something"));
        }
        errors.extend(PlannedChange::validate_all(&self.spec.changes, &changes, Self::MOST_CHANGES));
        errors.extend(check_words(&path.child("reason"), &self.spec.reason, MAX_REASON_BYTES));
        let seconds = self.spec.expires_after_seconds.unwrap_or(EXPIRES_AFTER_SECONDS);
        if !(1..=LONGEST_SECONDS).contains(&seconds) {
            let why = format!("must be between 1 and {LONGEST_SECONDS}, inclusive");
            errors.push(FieldError::invalid(path.child("expiresAfterSeconds"), seconds, why));
        }
        errors
    }

    fn columns() -> Vec<Column> {
        let number = |name: &'static str, what: &'static str, pointer: &'static str| {
            Column::at(name, what, pointer).cell_type("integer")
        };
        vec![
            Column::object_name(),
            Column::new("Phase", "Whether it can be applied.", |object, now| phase(object, now).into()),
            number("Created", "Objects that are made.", "/status/blastRadius/created"),
            number("Changed", "Objects that change.", "/status/blastRadius/changed"),
            number("Deleted", "Objects that go.", "/status/blastRadius/deleted"),
            Column::at("User", "Who made it.", "/status/user"),
            Column::age(),
            Column::at("Reason", "Why.", "/spec/reason").wide(),
        ]
    }

    fn subresources() -> Vec<Subresource> {
        vec![Subresource { name: "apply", kind: Self::KIND, action: Action::Apply }]
    }
}

/// The phase at a moment: that a plan's time is over is written down by nobody.
fn phase(plan: &Value, now: Timestamp) -> String {
    let status =
        plan.get("status").and_then(|status| PlanStatus::deserialize(status).ok()).unwrap_or_default();
    let is_over = status.expires_at.is_some_and(|at| at.timestamp() <= now);
    let phase = if status.phase == PlanPhase::Ready && is_over { PlanPhase::Expired } else { status.phase };
    format!("{phase:?}")
}
