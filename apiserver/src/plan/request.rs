//! From the changes of a plan to the requests that make them.

use std::sync::Arc;

use bytes::Bytes;
use orch_api::plan::{PlanTarget, PlannedApply, PlannedChange, PlannedDelete, PlannedPatch};
use orch_api::{
    Body, FieldError, Kind, MediaType, Object as _, Params, Request, Status, StatusCause, Target, Verb,
};
use serde_json::{Value, json};

use super::rollback;
use super::stage::{Asker, Stage};
use crate::kinds::{Kinds, Served};

/// The requests that make a change, but for one that undoes others or drains a node, which is made object by object.
///
/// # Errors
/// 422 for a kind that is not served and for what cannot be planned.
pub(super) async fn requests(
    stage: &Stage,
    asker: &Asker<'_>,
    change: &PlannedChange,
) -> Result<Vec<Request>, Status> {
    let kinds = stage.registry.kinds.now();
    if let Some(apply) = &change.apply {
        return Ok(vec![of_apply(&kinds, apply)?]);
    }
    if let Some(patch) = &change.patch {
        return Ok(vec![of_patch(&kinds, patch)?]);
    }
    if let Some(delete) = &change.delete {
        return Ok(vec![of_delete(&kinds, delete)?]);
    }
    if let Some(rollback) = &change.rollback {
        return rollback::requests(stage, asker, rollback).await;
    }
    Err(invalid(&FieldError::required("", "a change says what is to be changed")))
}

/// The field of a change that what is wrong with its object is to be told below.
pub(super) fn place(change: &PlannedChange) -> &'static str {
    if change.apply.is_some() { ".apply.manifest" } else { "" }
}

/// A refusal about one field of a change; where the change stands is told later.
pub(super) fn invalid(error: &FieldError) -> Status {
    const CHANGE: Kind = Kind::cluster("orch.dev", "v1", "PlannedChange", "", "");
    Status::invalid(&CHANGE, "", std::slice::from_ref(error))
}

fn of_apply(kinds: &Kinds, apply: &PlannedApply) -> Result<Request, Status> {
    let manifest = &apply.manifest.0;
    let (api_version, kind) = (manifest.api_version(), manifest.kind());
    let kind = served(kinds, api_version, kind, "kind")?;
    let target = placed(&kind, manifest.namespace(), manifest.name(), "metadata")?;
    let field_manager = Some(&apply.field_manager).filter(|manager| !manager.is_empty()).cloned();
    let params = Params { field_manager, force: apply.force, ..Params::default() };
    let body = Body { media_type: MediaType::Apply, bytes: written(manifest) };
    Ok(Request { verb: Verb::Patch, target, params, body: Some(body) })
}

fn of_patch(kinds: &Kinds, patch: &PlannedPatch) -> Result<Request, Status> {
    let target = self::target(kinds, &patch.target, "patch.target")?;
    let media_type = match patch.patch_type.as_str() {
        "json" => MediaType::JsonPatch,
        "strategic" => MediaType::StrategicMergePatch,
        _ => MediaType::MergePatch,
    };
    let field_manager = Some(&patch.field_manager).filter(|manager| !manager.is_empty()).cloned();
    let params = Params { field_manager, ..Params::default() };
    let body = Body { media_type, bytes: written(&patch.patch.0) };
    Ok(Request { verb: Verb::Patch, target, params, body: Some(body) })
}

fn of_delete(kinds: &Kinds, delete: &PlannedDelete) -> Result<Request, Status> {
    let target = self::target(kinds, &delete.target, "delete.target")?;
    let body = deletion(&delete.uid, &delete.propagation);
    Ok(Request { verb: Verb::Delete, target, params: Params::default(), body: Some(body) })
}

/// How an object is deleted: only the one of a uid, and what it owns along, if that is said.
pub(super) fn deletion(uid: &str, propagation: &str) -> Body {
    let mut options = json!({"apiVersion": "v1", "kind": "DeleteOptions"});
    if !propagation.is_empty() {
        options["propagationPolicy"] = propagation.into();
    }
    if !uid.is_empty() {
        options["preconditions"] = json!({"uid": uid});
    }
    Body { media_type: MediaType::Json, bytes: written(&options) }
}

fn target(kinds: &Kinds, target: &PlanTarget, path: &str) -> Result<Target, Status> {
    let kind = served(kinds, &target.api_version, &target.kind, &format!("{path}.kind"))?;
    let place = placed(&kind, &target.namespace, &target.name, path)?;
    match target.subresource.as_str() {
        "" => Ok(place),
        subresource => Ok(place.subresource(subresource.to_owned())),
    }
}

pub(super) fn served(
    kinds: &Kinds,
    api_version: &str,
    kind: &str,
    path: &str,
) -> Result<Arc<Served>, Status> {
    kinds.named(api_version, kind).cloned().ok_or_else(|| {
        let why = format!("no kind of this name is served in {api_version:?}");
        invalid(&FieldError::invalid(path, kind, why))
    })
}

pub(super) fn placed(kind: &Served, namespace: &str, name: &str, path: &str) -> Result<Target, Status> {
    if name.is_empty() {
        let why = "a plan says what its objects are called";
        return Err(invalid(&FieldError::required(format!("{path}.name"), why)));
    }
    let target = match (kind.kind().is_namespaced(), namespace) {
        (true, "") => {
            let why = format!("every {} is in a namespace", kind.kind().name);
            return Err(invalid(&FieldError::required(format!("{path}.namespace"), why)));
        }
        (true, namespace) => Target::in_namespace(kind.kind(), namespace),
        (false, _) => Target::all(kind.kind()),
    };
    Ok(target.named(name))
}

pub(super) fn written(value: &Value) -> Bytes {
    value.to_string().into()
}

/// What is wrong with a plan's change, from the refusal of a request that it makes.
///
/// # Errors
/// The refusal itself, if it is not the change that is at fault.
pub(super) fn causes(path: &str, place: &str, refusal: Status) -> Result<Vec<StatusCause>, Status> {
    if refusal.code >= 500 || refusal.code == 429 {
        return Err(refusal);
    }
    let below = |field: &str| match field {
        "" | "<nil>" => path.to_owned(),
        field => format!("{path}{place}.{}", field.trim_start_matches('.')),
    };
    let told = refusal.details.as_ref().map(|details| details.causes.clone()).unwrap_or_default();
    if told.is_empty() {
        let reason = refusal.reason.as_ref().and_then(|reason| serde_json::to_value(reason).ok());
        let reason = reason.as_ref().and_then(Value::as_str).unwrap_or_default().to_owned();
        return Ok(vec![StatusCause { reason, message: refusal.message, field: path.to_owned() }]);
    }
    let place_it = |cause: StatusCause| StatusCause { field: below(&cause.field), ..cause };
    Ok(told.into_iter().map(place_it).collect())
}
