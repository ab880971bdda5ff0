//! Placing a pod on a node: the `binding` subresource.

use jiff::Timestamp;
use orch_api::{Conditions, FieldError, Kind, Resource, Status, Time};
use serde::Deserialize;
use serde_json::Value;

use super::{Pod, PodCondition};
use crate::Binding;

const BINDING: Kind = Kind::namespaced("", "v1", "Binding", "pods/binding", "binding");

/// Sets the pod's node. Refused for a pod that has one, or that is being deleted; both are conflicts, because whoever
/// binds has seen an older state of the pod.
pub(super) fn bind(object: &Value, body: &Value, now: Timestamp) -> Result<Value, Status> {
    let mut pod = Pod::deserialize(object).map_err(Status::internal)?;
    let binding = Binding::deserialize(body).map_err(|error| Status::bad_request(error.to_string()))?;
    let name = pod.metadata.name.clone();
    check(&binding, &name)?;
    let conflict = |why: String| Err(Status::conflict(&BINDING, &name, why));
    let (asked, found) = (&binding.metadata.uid, &pod.metadata.uid);
    if !asked.is_empty() && asked != found {
        return conflict(format!(
            "Precondition failed: UID in precondition: {asked}, UID in object meta: {found}"
        ));
    }
    if pod.is_terminating() {
        return conflict(format!("pod {name} is being deleted, cannot be assigned to a host"));
    }
    if let Some(node) = pod.node_name() {
        return conflict(format!("pod {name} is already assigned to node {node:?}"));
    }
    pod.spec.node_name = binding.target.name.into();
    pod.metadata.annotations.extend(binding.metadata.annotations);
    pod.status.conditions.put(PodCondition::new(Pod::SCHEDULED, true, "", "", Time::new(now)));
    serde_json::to_value(&pod).map_err(Status::internal)
}

fn check(binding: &Binding, pod: &str) -> Result<(), Status> {
    if !binding.metadata.name.is_empty() && binding.metadata.name != pod {
        return Err(Status::bad_request("name in URL does not match name in Binding object"));
    }
    let mut errors = Vec::new();
    if !matches!(binding.target.kind.as_str(), "" | "Node") {
        let allowed = ["Node", "<empty>"];
        errors.push(FieldError::not_supported("target.kind", binding.target.kind.as_str(), &allowed));
    }
    if binding.target.name.is_empty() {
        errors.push(FieldError::required("target.name", ""));
    }
    if errors.is_empty() { Ok(()) } else { Err(Status::invalid(&Binding::KIND, pod, &errors)) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod() -> Value {
        json!({
            "metadata": {"name": "web", "uid": "1", "annotations": {"a": "1"}},
            "spec": {"containers": [{"name": "web", "image": "nginx:1"}]},
        })
    }

    fn now() -> Timestamp {
        "2026-01-31T12:00:00Z".parse().unwrap()
    }

    #[test]
    fn binding_sets_the_node_and_says_that_the_pod_is_scheduled() {
        let body = json!({"metadata": {"annotations": {"b": "2"}}, "target": {"kind": "Node", "name": "n1"}});
        let bound = Pod::deserialize(bind(&pod(), &body, now()).unwrap()).unwrap();
        assert_eq!(bound.node_name(), Some("n1"));
        assert_eq!(bound.metadata.annotations.len(), 2);
        let scheduled = bound.status.conditions.of_type(Pod::SCHEDULED).unwrap();
        assert_eq!(scheduled.last_transition_time, Some(Time::new(now())));
    }

    #[test]
    fn what_cannot_be_bound_is_refused() {
        let to_n1 = json!({"target": {"name": "n1"}});
        let bound = bind(&pod(), &to_n1, now()).unwrap();
        let mut terminating = pod();
        terminating["metadata"]["deletionTimestamp"] = "2026-01-31T12:00:00Z".into();
        let cases = [
            (
                bound,
                to_n1.clone(),
                409,
                "Operation cannot be fulfilled on pods/binding \"web\": pod web is already assigned to node \"n1\"",
            ),
            (
                terminating,
                to_n1,
                409,
                "Operation cannot be fulfilled on pods/binding \"web\": pod web is being deleted, cannot be assigned to a host",
            ),
            (
                pod(),
                json!({"metadata": {"uid": "2"}, "target": {"name": "n1"}}),
                409,
                "Operation cannot be fulfilled on pods/binding \"web\": Precondition failed: UID in precondition: 2, UID in object meta: 1",
            ),
            (
                pod(),
                json!({"target": {"kind": "Pod"}}),
                422,
                "Binding \"web\" is invalid: [target.kind: Unsupported value: \"Pod\": supported values: \"Node\", \"<empty>\", target.name: Required value]",
            ),
            (
                pod(),
                json!({"metadata": {"name": "other"}, "target": {"name": "n1"}}),
                400,
                "name in URL does not match name in Binding object",
            ),
        ];
        for (object, body, code, message) in cases {
            let status = bind(&object, &body, now()).unwrap_err();
            assert_eq!((status.code, status.message.as_str()), (code, message));
        }
    }
}
