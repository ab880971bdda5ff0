//! `TokenRequest`: a token for whoever is to act as an object.

use std::collections::BTreeMap;

use orch_api::{FieldError, Kind, Object as _, Reason, Status, Time, TokenBinding, split_api_version};
use serde_json::{Value, json};

use super::{Answer, Call, Registry, Written};
use crate::authn::{Grant, ObjectId};
use crate::kinds::Served;

const DEFAULT_SECONDS: i64 = 3_600;
const SHORTEST_SECONDS: i64 = 600;
const LONGEST_SECONDS: i64 = 1 << 32;

/// Issues a token for the object of the path, bound to what the body says. Nothing is stored; on a dry run nothing is signed
/// either.
pub(super) async fn issue(
    registry: &Registry,
    call: &Call,
    bindings: &'static [TokenBinding],
) -> Result<Answer, Status> {
    let mut request = super::subresource::body(call)?;
    let accounts = registry.accounts.as_ref();
    let accounts = accounts.ok_or_else(|| Status::unavailable("this server does not issue tokens"))?;
    registry.cache.catch_up().await?;
    let account = find(&call.kind, call.namespace(), call.name())?;
    call.may_change(Some(&request), Some(&account))?;
    if let Some(subresource) = call.action() {
        call.policies.command(call, &subresource.kind, &request)?;
    }
    let seconds = seconds(&request)?;
    let mut audiences = strings(&request, "/spec/audiences")?;
    if audiences.is_empty() {
        audiences.push(accounts.issuer().to_owned());
    }
    let bound = bound(registry, call, &request, bindings)?;
    let now = registry.clock.now();
    let expires =
        Time::new(now.saturating_add(jiff::SignedDuration::from_secs(seconds)).map_err(Status::internal)?);
    let grant = Grant {
        namespace: call.namespace().unwrap_or_default().to_owned(),
        account: id(&account),
        bound,
        audiences: audiences.clone(),
        seconds,
    };
    let token = if call.params().dry_run { String::new() } else { accounts.issue(grant, now) };
    request["apiVersion"] = "authentication.k8s.io/v1".into();
    request["kind"] = "TokenRequest".into();
    request["metadata"] = json!({
        "name": call.name(), "namespace": call.namespace(), "creationTimestamp": Time::new(now).to_string(),
    });
    request["spec"]["audiences"] = json!(audiences);
    request["spec"]["expirationSeconds"] = seconds.into();
    request["status"] = json!({"token": token, "expirationTimestamp": expires.to_string()});
    let bytes = serde_json::to_vec(&request).map_err(Status::internal)?.into();
    Ok(Answer::Object(Written { code: 201, bytes, warnings: Vec::new() }))
}

fn seconds(request: &Value) -> Result<i64, Status> {
    let path = "spec.expirationSeconds";
    let refused = |value: &Value, why: &str| invalid(&FieldError::invalid(path, value.clone(), why));
    let value = request.pointer("/spec/expirationSeconds").filter(|value| !value.is_null());
    let Some(value) = value else { return Ok(DEFAULT_SECONDS) };
    match value.as_i64() {
        None => Err(refused(value, "must be a whole number of seconds")),
        Some(..SHORTEST_SECONDS) => Err(refused(value, "may not specify a duration less than 10 minutes")),
        Some(seconds) if seconds > LONGEST_SECONDS => {
            Err(refused(value, "may not specify a duration larger than 2^32 seconds"))
        }
        Some(seconds) => Ok(seconds),
    }
}

fn strings(request: &Value, pointer: &str) -> Result<Vec<String>, Status> {
    let value = request.pointer(pointer).filter(|value| !value.is_null());
    let strings = value.map(|value| serde_json::from_value(value.clone())).transpose();
    let malformed = |_| Status::bad_request(format!("{}: must be a list of strings", &pointer[1..]));
    Ok(strings.map_err(malformed)?.unwrap_or_default())
}

/// What the token is bound to, and what it tells of besides, by the singulars of the kinds.
fn bound(
    registry: &Registry,
    call: &Call,
    request: &Value,
    bindings: &[TokenBinding],
) -> Result<BTreeMap<String, ObjectId>, Status> {
    let mut bound = BTreeMap::new();
    let Some(reference) = request.pointer("/spec/boundObjectRef").filter(|value| !value.is_null()) else {
        return Ok(bound);
    };
    let binding = binding(reference, bindings)?;
    let found = find_in(registry, &binding.kind, call.namespace(), reference.text(&["name"]))?;
    let account = binding.account.map(|account| text_at(&found, account));
    if account.is_some_and(|account| account != call.name()) {
        let (kind, account) = (binding.kind.singular, call.name());
        return Err(Status::bad_request(format!(
            "cannot bind token for serviceaccount {account:?} to {kind} running with different serviceaccount name."
        )));
    }
    let (asked, object) = (reference.text(&["uid"]), id(&found));
    if !asked.is_empty() && asked != object.uid {
        let why = format!(
            "the UID in the bound object reference ({asked}) does not match the UID in record. The object might have been \
             deleted and then recreated"
        );
        return Err(Status::conflict(&binding.kind, &object.name, why));
    }
    if let Some((pointer, kind)) = binding.host
        && let name = text_at(&found, pointer)
        && !name.is_empty()
    {
        match find_in(registry, &kind, None, name) {
            Ok(host) => drop(bound.insert(kind.singular.to_owned(), id(&host))),
            // It may be gone already; the token is not bound to it.
            Err(status) if status.is(&Reason::NotFound) => {}
            Err(status) => return Err(status),
        }
    }
    bound.insert(binding.kind.singular.to_owned(), object);
    Ok(bound)
}

fn binding<'b>(reference: &Value, bindings: &'b [TokenBinding]) -> Result<&'b TokenBinding, Status> {
    if reference.text(&["name"]).is_empty() {
        return Err(invalid(&FieldError::required("spec.boundObjectRef.name", "")));
    }
    let (group, version) = split_api_version(reference.api_version());
    let fits = |binding: &&TokenBinding| {
        binding.kind.name == reference.kind()
            && (binding.kind.group, binding.kind.version) == (group, version)
    };
    bindings.iter().find(fits).ok_or_else(|| {
        let kind = reference.kind();
        Status::bad_request(format!("cannot bind token to object of type {group}/{version}, Kind={kind}"))
    })
}

fn find_in(registry: &Registry, kind: &Kind, namespace: Option<&str>, name: &str) -> Result<Value, Status> {
    let kinds = registry.kinds.now();
    let kind = kinds.of(kind).ok_or_else(|| Status::not_found(kind, name))?;
    find(kind, namespace.filter(|_| kind.kind().is_namespaced()), name)
}

/// An object as cached.
fn find(kind: &Served, namespace: Option<&str>, name: &str) -> Result<Value, Status> {
    let found = kind.window.get(&kind.key(namespace, name)?);
    let found = found.ok_or_else(|| Status::not_found(kind.kind(), name))?;
    found.value().map_err(Status::internal)
}

fn id(object: &Value) -> ObjectId {
    ObjectId { name: object.name().to_owned(), uid: object.uid().to_owned() }
}

fn text_at<'v>(object: &'v Value, pointer: &str) -> &'v str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn invalid(error: &FieldError) -> Status {
    let kind = Kind::cluster("authentication.k8s.io", "v1", "TokenRequest", "tokenrequests", "tokenrequest");
    Status::invalid(&kind, "", std::slice::from_ref(error))
}
