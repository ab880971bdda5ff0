//! What each controller may do, and no more: its own rules beside [`all`](crate::all)'s list.
//!
//! What controllers share – reading everything into caches, and writing events – is [`shared`].

use orch_ontology::{CERTIFICATES_GROUP, CertificateSigningRequest, PolicyRule};

const RBAC: &str = "rbac.authorization.k8s.io";

fn on(verbs: &[&str], group: &str, resources: &[&str]) -> PolicyRule {
    PolicyRule::on(verbs, &[group], resources)
}

/// Caches hold every kind, some as metadata only; all controllers tell what they do by events.
pub(crate) fn shared() -> Vec<PolicyRule> {
    vec![on(&["get", "list", "watch"], "*", &["*"]), on(&["create", "patch"], "", &["events"])]
}

/// Keeps the lease of whoever runs the controllers, and no other.
pub(crate) fn election() -> Vec<PolicyRule> {
    let leases = |verbs: &[&str]| on(verbs, "coordination.k8s.io", &["leases"]);
    // A watch of one name is one of that name only; an object that is yet to be made has no name to go by.
    vec![leases(&["create"]), leases(&["get", "list", "update", "watch"]).named(&[crate::ELECTION_LEASE])]
}

/// Makes the system's namespaces; empties those that are deleted, of whatever kinds there are.
pub(crate) fn namespace() -> Vec<PolicyRule> {
    vec![
        on(&["create", "update"], "", &["namespaces"]),
        on(&["patch", "update"], "", &["namespaces/finalize", "namespaces/status"]),
        on(&["delete", "deletecollection", "get", "list", "watch"], "*", &["*"]),
    ]
}

pub(crate) fn service_account() -> Vec<PolicyRule> {
    vec![on(&["create"], "", &["serviceaccounts"])]
}

pub(crate) fn root_authority() -> Vec<PolicyRule> {
    vec![on(&["create", "get", "list", "patch", "watch"], "", &["configmaps"])]
}

/// Approves for a signer, on behalf of those who have a right that it asks about.
pub(crate) fn certificate_approving() -> Vec<PolicyRule> {
    vec![
        on(&["update"], CERTIFICATES_GROUP, &["certificatesigningrequests/approval"]),
        on(&["create"], "authorization.k8s.io", &["subjectaccessreviews"]),
        on(&["approve"], CERTIFICATES_GROUP, &["signers"])
            .named(&[CertificateSigningRequest::NODE_CLIENT_SIGNER]),
    ]
}

pub(crate) fn certificate_signing() -> Vec<PolicyRule> {
    let signers = [
        CertificateSigningRequest::CLIENT_SIGNER,
        CertificateSigningRequest::NODE_CLIENT_SIGNER,
        CertificateSigningRequest::NODE_SERVING_SIGNER,
    ];
    vec![
        on(&["patch", "update"], CERTIFICATES_GROUP, &["certificatesigningrequests/status"]),
        on(&["sign"], CERTIFICATES_GROUP, &["signers"]).named(&signers),
    ]
}

pub(crate) fn certificate_cleaning() -> Vec<PolicyRule> {
    vec![on(&["delete"], CERTIFICATES_GROUP, &["certificatesigningrequests"])]
}

pub(crate) fn workload() -> Vec<PolicyRule> {
    vec![
        on(&["patch"], "orch.dev", &["workloads", "workloads/status"]),
        on(&["create", "delete"], "", &["pods"]),
    ]
}

pub(crate) fn endpoint_slice() -> Vec<PolicyRule> {
    vec![on(&["create", "delete", "update"], "discovery.k8s.io", &["endpointslices"])]
}

pub(crate) fn scheduler() -> Vec<PolicyRule> {
    vec![on(&["create"], "", &["pods/binding"]), on(&["patch"], "", &["pods/status"])]
}

pub(crate) fn node_lifecycle() -> Vec<PolicyRule> {
    vec![on(&["patch"], "", &["nodes", "nodes/status", "pods/status"]), on(&["delete"], "", &["pods"])]
}

pub(crate) fn pod_gc() -> Vec<PolicyRule> {
    vec![on(&["get"], "", &["nodes"]), on(&["delete"], "", &["pods"])]
}

/// Whatever is owned goes with its owners, of whatever kind.
pub(crate) fn garbage() -> Vec<PolicyRule> {
    vec![on(&["delete", "get", "list", "patch", "watch"], "*", &["*"])]
}

/// Accepts the names of kinds that users define, and empties those that go: whatever they are called.
pub(crate) fn custom_resource() -> Vec<PolicyRule> {
    let definitions = ["customresourcedefinitions", "customresourcedefinitions/status"];
    vec![on(&["patch"], "apiextensions.k8s.io", &definitions), on(&["deletecollection", "list"], "*", &["*"])]
}

/// Gathers rules that it does not have.
pub(crate) fn role_aggregation() -> Vec<PolicyRule> {
    vec![on(&["escalate", "patch"], RBAC, &["clusterroles"])]
}

/// Reads what repositories are read with, and how what was applied is; changes it only in the name of service accounts.
pub(crate) fn git_sync() -> Vec<PolicyRule> {
    vec![
        on(&["get", "list", "watch"], "*", &["*"]),
        on(&["impersonate"], "", &["serviceaccounts"]),
        on(&["patch"], "orch.dev", &["gitsyncs"]),
        on(&["update"], "orch.dev", &["gitsyncs/status"]),
    ]
}

/// Tells whether rules fit the kinds that they are about.
pub(crate) fn admission_policy() -> Vec<PolicyRule> {
    vec![on(&["patch"], "admissionregistration.k8s.io", &["validatingadmissionpolicies/status"])]
}
