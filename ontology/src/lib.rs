//! The vocabulary of the API: every built-in kind as a Rust type, and [`KINDS`], the table of them.
//!
//! Field names, shapes, defaults and validation are Kubernetes' own where Kubernetes has the kind; a field that Orch does not
//! implement is absent, so that it is refused rather than ignored. Field docs are written for users: they are what `explain`,
//! OpenAPI and agents show. JSON Schemas, the relation graph and `kinds.md` are derived from the types ([`generated()`]) and
//! committed under `generated/`.
//!
//! Everything here is data and pure functions. It deliberately does no I/O and knows nothing of how kinds are served.
//!
//! Start reading at [`Workload`], then [`Pod`].
#![deny(missing_docs)]

mod admission_policy;
mod binding;
mod byte_string;
mod certificate;
mod change;
mod condition;
mod config_map;
mod custom_resource;
mod endpoint_slice;
mod event;
mod examples;
mod generated;
mod git_sync;
mod int_or_string;
mod lease;
mod namespace;
mod node;
mod object_reference;
mod order;
mod plan;
mod pod;
mod rbac;
mod secret;
mod service;
mod service_account;
mod syntax;
mod workload;

pub mod labels;

use std::sync::LazyLock;

use orch_api::{KindEntry, SchemaError};

pub use admission_policy::*;
pub use binding::Binding;
pub use byte_string::ByteString;
pub use certificate::*;
pub use change::{Change, ChangedObject};
pub use config_map::ConfigMap;
pub use custom_resource::*;
pub use endpoint_slice::*;
pub use event::{Event, EventSeries, EventSource, ReportedEvent};
pub use examples::{Example, examples};
pub use generated::generated;
pub use git_sync::*;
pub use int_or_string::IntOrString;
pub use lease::{Lease, LeaseSpec};
pub use namespace::{Namespace, NamespaceCondition, NamespacePhase, NamespaceSpec, NamespaceStatus};
pub use node::*;
pub use object_reference::ObjectReference;
pub use order::rank;
pub use plan::{Plan, PlanPhase, PlanSpec, PlanStatus};
pub use pod::*;
pub use rbac::*;
pub use secret::Secret;
pub use service::*;
pub use service_account::ServiceAccount;
pub use workload::{Workload, WorkloadSpec, WorkloadStatus, WorkloadUpdate};

/// Every built-in kind.
pub static KINDS: LazyLock<Vec<KindEntry>> = LazyLock::new(|| {
    #[expect(
        clippy::expect_used,
        reason = "the types are fixed at compile time; a test compiles all schemas"
    )]
    kinds().expect("the schemas of the built-in kinds are structural")
});

fn kinds() -> Result<Vec<KindEntry>, SchemaError> {
    Ok(vec![
        KindEntry::of::<Namespace>()?,
        KindEntry::of::<Node>()?,
        KindEntry::of::<Pod>()?,
        KindEntry::of::<ConfigMap>()?,
        KindEntry::of::<Secret>()?,
        KindEntry::of::<ServiceAccount>()?,
        KindEntry::of::<Service>()?.owns::<Service, EndpointSlice>(),
        KindEntry::of::<EndpointSlice>()?,
        KindEntry::of::<Event>()?,
        KindEntry::of::<ReportedEvent>()?,
        KindEntry::of::<Lease>()?,
        KindEntry::of::<Role>()?,
        KindEntry::of::<ClusterRole>()?,
        KindEntry::of::<RoleBinding>()?,
        KindEntry::of::<ClusterRoleBinding>()?,
        KindEntry::of::<CertificateSigningRequest>()?,
        KindEntry::of::<CustomResourceDefinition>()?.defines(custom_resource::DEFINES),
        KindEntry::of::<ValidatingAdmissionPolicy>()?,
        KindEntry::of::<ValidatingAdmissionPolicyBinding>()?,
        KindEntry::of::<Change>()?,
        KindEntry::of::<Plan>()?,
        KindEntry::of::<GitSync>()?,
        KindEntry::of::<Workload>()?.owns::<Workload, Pod>(),
    ])
}
