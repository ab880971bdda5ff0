//! [`CertificateSigningRequest`]: asking the cluster's authority, or another signer, for a certificate.

mod approval;
mod columns;
mod pkcs10;
mod validate;

use std::collections::BTreeMap;

use orch_api::{
    Action, ApiVersion, Column, ConditionStatus, FieldError, Kind, KindName, Metadata, Resource, Subresource,
    Time,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ByteString;

pub use pkcs10::{CertificateRequest, CertificateRequestError};

/// The API group of certificates.
pub const CERTIFICATES_GROUP: &str = "certificates.k8s.io";

/// Asks a signer for a certificate. Somebody approves or denies the request; one that is approved is signed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CertificateSigningRequest {
    /// Always `certificates.k8s.io/v1`.
    #[serde(default)]
    pub api_version: ApiVersion<Self>,
    /// Always `CertificateSigningRequest`.
    #[serde(default)]
    pub kind: KindName<Self>,
    /// Name, labels, annotations, owners.
    #[serde(default)]
    pub metadata: Metadata,
    /// What is asked for, and by whom. Cannot be changed.
    pub spec: CertificateSigningRequestSpec,
    /// Whether the request has been approved, and the certificate.
    #[serde(default)]
    pub status: CertificateSigningRequestStatus,
}

/// What is asked for, and by whom.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CertificateSigningRequestSpec {
    /// A PKCS#10 request in PEM (`CERTIFICATE REQUEST`), as base64.
    pub request: ByteString,
    /// Who is to sign, as `example.com/name`. Orch signs for `kubernetes.io/kube-apiserver-client`,
    /// `kubernetes.io/kube-apiserver-client-kubelet` and `kubernetes.io/kubelet-serving`.
    pub signer_name: String,
    /// For how many seconds the certificate is to be valid, 600 at least. The signer may make it shorter; it decides unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expiration_seconds: Option<i32>,
    /// What the certificate's key is to be good for, such as `digital signature` and `client auth`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub usages: Vec<String>,
    /// Who asks. Set by the server.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub username: String,
    /// The unique id of who asks. Set by the server.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub uid: String,
    /// The groups of who asks. Set by the server.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub groups: Vec<String>,
    /// What else is known of who asks. Set by the server.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub extra: BTreeMap<String, Vec<String>>,
}

/// Whether the request has been approved, and the certificate.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CertificateSigningRequestStatus {
    /// `Approved` or `Denied`, and `Failed` if it cannot be signed. None is ever taken back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<CertificateSigningRequestCondition>,
    /// The certificate and its chain, leaf first, in PEM, as base64. Once set it cannot be changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub certificate: Option<ByteString>,
}

/// A decision about a request.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CertificateSigningRequestCondition {
    /// `Approved`, `Denied`, `Failed`, or a signer's own word.
    #[serde(rename = "type")]
    pub condition_type: String,
    /// `True` for `Approved`, `Denied` and `Failed`.
    pub status: ConditionStatus,
    /// Why, as a word for programs.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Why, as a sentence for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// When it was last written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_update_time: Option<Time>,
    /// When the status last changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_transition_time: Option<Time>,
}

impl Resource for CertificateSigningRequest {
    const KIND: Kind = Kind::cluster(
        CERTIFICATES_GROUP,
        "v1",
        "CertificateSigningRequest",
        "certificatesigningrequests",
        "certificatesigningrequest",
    )
    .short_names(&["csr"])
    .with_status();

    const SELECTABLE: &'static [&'static str] = &["spec.signerName"];

    const REQUESTER: Option<&'static str> = Some("/spec");

    fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    fn metadata_mut(&mut self) -> &mut Metadata {
        &mut self.metadata
    }

    /// What is asked for stays as it was; who may approve is asked at `approval` and nowhere else.
    fn prepare(&mut self, old: Option<&Self>) {
        match old {
            Some(old) => {
                self.spec.clone_from(&old.spec);
                self.status.keep_decisions(&old.status);
            }
            None => self.status = CertificateSigningRequestStatus::default(),
        }
    }

    fn validate(&self, old: Option<&Self>) -> Vec<FieldError> {
        self.problems(old)
    }

    fn columns() -> Vec<Column> {
        columns::columns()
    }

    fn subresources() -> Vec<Subresource> {
        let approve = Action::Transform(approval::decide);
        vec![Subresource { name: "approval", kind: Self::KIND, action: approve }]
    }
}

impl CertificateSigningRequest {
    /// The condition of requests that are to be signed.
    pub const APPROVED: &'static str = "Approved";
    /// The condition of requests that are never to be signed.
    pub const DENIED: &'static str = "Denied";
    /// The condition of requests that cannot be signed.
    pub const FAILED: &'static str = "Failed";

    /// The signer of clients' certificates: people and programs.
    pub const CLIENT_SIGNER: &'static str = "kubernetes.io/kube-apiserver-client";
    /// The signer of nodes' client certificates.
    pub const NODE_CLIENT_SIGNER: &'static str = "kubernetes.io/kube-apiserver-client-kubelet";
    /// The signer of nodes' serving certificates.
    pub const NODE_SERVING_SIGNER: &'static str = "kubernetes.io/kubelet-serving";

    /// Whether a condition of this type is true.
    pub fn is(&self, condition: &str) -> bool {
        self.status.is(condition)
    }
}

impl CertificateSigningRequestStatus {
    fn is(&self, condition: &str) -> bool {
        let is_true = |c: &CertificateSigningRequestCondition| c.status == ConditionStatus::True;
        self.conditions.iter().any(|own| own.condition_type == condition && is_true(own))
    }

    /// `Approved` and `Denied` as they were in `old`.
    fn keep_decisions(&mut self, old: &Self) {
        let is_decision = |condition: &&CertificateSigningRequestCondition| {
            let decisions = [CertificateSigningRequest::APPROVED, CertificateSigningRequest::DENIED];
            decisions.contains(&condition.condition_type.as_str())
        };
        let mut conditions: Vec<_> = old.conditions.iter().filter(is_decision).cloned().collect();
        conditions.extend(self.conditions.iter().filter(|own| !is_decision(own)).cloned());
        // Nothing is moved around that stays.
        let position = |of: &str| old.conditions.iter().position(|known| known.condition_type == of);
        conditions.sort_by_key(|own| position(&own.condition_type).unwrap_or(usize::MAX));
        self.conditions = conditions;
    }
}
