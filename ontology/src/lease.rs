//! [`Lease`]: who holds something, and until when.

use orch_api::{ApiVersion, Column, FieldError, FieldPath, Kind, KindName, Metadata, MicroTime, Resource};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::syntax::non_negative;

/// Who holds something, and until when: leadership among several instances, or a node's being alive.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Lease {
    /// Always `coordination.k8s.io/v1`.
    #[serde(default)]
    pub api_version: ApiVersion<Self>,
    /// Always `Lease`.
    #[serde(default)]
    pub kind: KindName<Self>,
    /// Name, labels, annotations, owners.
    #[serde(default)]
    pub metadata: Metadata,
    /// The holder and the terms.
    #[serde(default)]
    pub spec: LeaseSpec,
}

impl Resource for Lease {
    const KIND: Kind = Kind::namespaced("coordination.k8s.io", "v1", "Lease", "leases", "lease");
    const RECORDED: bool = false;

    fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    fn metadata_mut(&mut self) -> &mut Metadata {
        &mut self.metadata
    }

    fn validate(&self, _: Option<&Self>) -> Vec<FieldError> {
        let spec = FieldPath::new("spec");
        let mut errors = Vec::new();
        if let Some(seconds) = self.spec.lease_duration_seconds.filter(|seconds| *seconds <= 0) {
            let path = spec.child("leaseDurationSeconds");
            errors.push(FieldError::invalid(path, seconds, "must be greater than 0"));
        }
        errors.extend(non_negative(&spec.child("leaseTransitions"), self.spec.lease_transitions));
        errors
    }

    fn columns() -> Vec<Column> {
        let holder = Column::at("Holder", "Who holds the lease.", "/spec/holderIdentity");
        vec![Column::object_name(), holder, Column::age()]
    }
}

/// The holder of a lease and the terms.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LeaseSpec {
    /// Who holds the lease.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holder_identity: Option<String>,
    /// Seconds after `renewTime` at which others may take the lease.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_duration_seconds: Option<i32>,
    /// When the holder took the lease.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acquire_time: Option<MicroTime>,
    /// When the holder last renewed the lease.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renew_time: Option<MicroTime>,
    /// How often the lease has changed hands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_transitions: Option<i32>,
}
