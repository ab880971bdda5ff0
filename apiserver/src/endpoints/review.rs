//! What callers may ask about themselves: who they are, and whether they may do something.

use axum::body::Body;
use http::request::Parts;
use http::{Method, Response};
use orch_api::{Object as _, Status, Target};
use serde_json::{Value, json};

use crate::authn::Identity;
use crate::respond::json_response;
use crate::{decode, incoming};

/// Each review: its group, plural and kind.
const REVIEWS: [(&str, &str, &str); 3] = [
    ("authorization.k8s.io", "selfsubjectaccessreviews", "SelfSubjectAccessReview"),
    ("authorization.k8s.io", "selfsubjectrulesreviews", "SelfSubjectRulesReview"),
    ("authentication.k8s.io", "selfsubjectreviews", "SelfSubjectReview"),
];

fn find(target: &Target) -> Option<(&'static str, &'static str)> {
    let known =
        REVIEWS.iter().find(|(group, plural, _)| target.group == *group && target.plural == *plural)?;
    (target.version == "v1" && target.name.is_none() && target.namespace.is_none())
        .then_some((known.0, known.2))
}

/// Whether a path is that of a review.
pub(crate) fn is_review(target: &Target) -> bool {
    find(target).is_some()
}

/// Answers a review with its status filled in.
///
/// # Errors
/// 405 for anything but `POST`, 400 for a malformed body.
pub(crate) async fn review(
    identity: &Identity,
    target: &Target,
    parts: &Parts,
    body: Body,
) -> Result<Response<Body>, Status> {
    let (group, kind) = find(target).ok_or_else(Status::no_such_path)?;
    if parts.method != Method::POST {
        return Err(Status::method_not_allowed());
    }
    let body = incoming::body(&parts.headers, body).await?;
    let mut review = decode::object(body.as_ref())?;
    if !review.kind().is_empty() && review.kind() != kind {
        return Err(Status::bad_request(format!(
            "the kind in the data ({}) does not match the expected kind ({kind})",
            review.kind()
        )));
    }
    review["apiVersion"] = format!("{group}/v1").into();
    review["kind"] = kind.into();
    review["status"] = status(identity, kind);
    Ok(json_response(201, "application/json", review.to_string().into()))
}

/// What authorization, as `pipeline.rs` has it, says of a known caller: everything is allowed.
fn status(identity: &Identity, kind: &str) -> Value {
    match kind {
        "SelfSubjectReview" => json!({"userInfo": identity.user_info()}),
        "SelfSubjectRulesReview" => json!({
            "incomplete": false,
            "resourceRules": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}],
            "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
        }),
        _ => json!({"allowed": true, "reason": "every authenticated caller may do everything"}),
    }
}
