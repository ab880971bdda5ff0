//! What `get csr` prints: Kubernetes' columns.

use std::time::Duration;

use orch_api::{Column, human_duration};
use serde::Deserialize as _;
use serde_json::Value;

use super::CertificateSigningRequest;

pub(super) fn columns() -> Vec<Column> {
    let duration = Column::new(
        "RequestedDuration",
        "For how long the certificate is to be valid; the signer decides unless given.",
        |object, _| duration(object.pointer("/spec/expirationSeconds").and_then(Value::as_i64)).into(),
    );
    let condition = Column::new("Condition", "What has been decided.", |object, _| condition(object).into());
    vec![
        Column::object_name(),
        Column::age(),
        Column::at("SignerName", "Who is to sign.", "/spec/signerName"),
        Column::at("Requestor", "Who asks.", "/spec/username"),
        duration,
        condition,
    ]
}

fn duration(seconds: Option<i64>) -> String {
    let given = seconds.and_then(|seconds| u64::try_from(seconds).ok());
    given.map_or_else(|| "<none>".to_owned(), |seconds| human_duration(Duration::from_secs(seconds)))
}

/// `Approved,Issued`, `Denied`, `Approved,Failed`, or `Pending` before anything has been decided.
fn condition(object: &Value) -> String {
    let Ok(request) = CertificateSigningRequest::deserialize(object) else { return "Unknown".to_owned() };
    let has_certificate = request.status.certificate.as_ref().is_some_and(|pem| !pem.is_empty());
    let words = [
        ("Approved", request.is(CertificateSigningRequest::APPROVED)),
        ("Denied", request.is(CertificateSigningRequest::DENIED)),
        ("Failed", request.is(CertificateSigningRequest::FAILED)),
    ];
    let mut words: Vec<&str> = words.iter().filter(|(_, is_so)| *is_so).map(|(word, _)| *word).collect();
    if words.is_empty() {
        words.push("Pending");
    }
    if has_certificate {
        words.push("Issued");
    }
    words.join(",")
}
