//! `approval`: the decision that a request is to be signed, or is not.

use jiff::Timestamp;
use orch_api::{Resource as _, Status, Time};
use serde::Deserialize as _;
use serde_json::Value;

use super::CertificateSigningRequest;

/// Takes over the conditions of the body, and nothing else.
pub(super) fn decide(object: &Value, body: &Value, now: Timestamp) -> Result<Value, Status> {
    let old = CertificateSigningRequest::deserialize(object).map_err(Status::internal)?;
    let asked = CertificateSigningRequest::deserialize(body);
    let asked = asked.map_err(|error| Status::bad_request(error.to_string()))?;
    if asked.metadata.name != old.metadata.name {
        return Err(Status::bad_request("the name of the object does not match the name on the URL"));
    }
    let mut new = old.clone();
    new.status.conditions = asked.status.conditions;
    for condition in &mut new.status.conditions {
        let before = old.status.conditions.iter().find(|own| own.condition_type == condition.condition_type);
        let since =
            before.filter(|own| own.status == condition.status).and_then(|own| own.last_transition_time);
        condition.last_update_time.get_or_insert(Time::new(now));
        condition.last_transition_time = Some(since.unwrap_or(Time::new(now)));
    }
    let problems = new.problems(Some(&old));
    if !problems.is_empty() {
        return Err(Status::invalid(&CertificateSigningRequest::KIND, &old.metadata.name, &problems));
    }
    serde_json::to_value(&new).map_err(Status::internal)
}
