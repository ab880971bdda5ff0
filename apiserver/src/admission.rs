//! What every object must pass before it is stored: a list of pure checks, and a look at the namespace and at what else must
//! be there.

use orch_api::{
    FieldError, FieldErrorKind, FieldValidation, Kind, MAX_DEPTH, Object as _, Schema, Status, StatusCause,
    StatusDetails, is_deeper,
};
use serde_json::Value;
use tokio::time::timeout;

use crate::kinds::Served;
use crate::metadata;
use crate::registry::{Call, Registry};

/// The collection whose objects are the places that other objects live in: part of the grammar of paths.
const NAMESPACES: &str = "namespaces";
/// How much deeper than the object its metadata may be: who owns a field is told in as many levels as lead to it, and these.
const OWNERSHIP_DEPTH: usize = 5;

/// Completes and checks an object; `old` is the object as stored. In order: the defaults of a schema that
/// a user has written, metadata, shape (of what has changed, where a user may have changed the schema since), then what the
/// kind itself says (defaults, validation).
///
/// # Errors
/// 422 with everything that is wrong; 400 if a value is of the wrong type.
pub(crate) fn admit(kind: &Served, object: &mut Value, old: Option<&Value>) -> Result<(), Status> {
    let name = object.name().to_owned();
    if let Some(error) = too_deep(object, old) {
        return Err(Status::invalid(kind.kind(), &name, &[error]));
    }
    kind.entry.schema.drop_nulls(object);
    match kind.entry.custom {
        Some(_) => kind.entry.schema.apply_defaults(object),
        None => kind.entry.schema.empty_nulls(object),
    }
    let shape = match old.filter(|_| kind.entry.custom.is_some()) {
        Some(old) => kind.entry.schema.check_change(object, old),
        None => kind.entry.schema.check_values(object),
    };
    wrong_types(kind, &shape)?;
    let mut errors = metadata::validate(kind, object, old);
    errors.extend(shape);
    if errors.is_empty() {
        errors = (kind.entry.admit)(object, old).err().unwrap_or_default();
    }
    if errors.is_empty() { Ok(()) } else { Err(Status::invalid(kind.kind(), &name, &errors)) }
}

/// What nests too deep to be read within a list or an event of a watch. What is stored like that already can be changed
/// nevertheless, so that it can be mended.
fn too_deep(object: &Value, old: Option<&Value>) -> Option<FieldError> {
    let deep_field = |object: &Value| {
        let is_deep = |(name, value): &(&String, &Value)| {
            let more = if *name == "metadata" { OWNERSHIP_DEPTH } else { 0 };
            is_deeper(value, MAX_DEPTH - 1 + more)
        };
        object.as_object()?.iter().find(is_deep).map(|(name, _)| name.clone())
    };
    let field = deep_field(object)?;
    if old.and_then(deep_field).is_some() {
        return None;
    }
    let detail = format!("may not nest deeper than {MAX_DEPTH} levels, of which the object is the first");
    Some(FieldError::forbidden(field, detail))
}

/// What a compiled type cannot even hold is malformed rather than not valid, as in Kubernetes.
///
/// # Errors
/// 400 with every field of the wrong type.
fn wrong_types(kind: &Served, errors: &[FieldError]) -> Result<(), Status> {
    let is_wrong = |error: &FieldError| error.kind == FieldErrorKind::TypeInvalid;
    if kind.entry.custom.is_some() || !errors.iter().any(is_wrong) {
        return Ok(());
    }
    let is_told = |error: &&FieldError| is_wrong(error) || error.kind == FieldErrorKind::Omitted;
    let wrong: Vec<&FieldError> = errors.iter().filter(is_told).collect();
    let (name, version) = (kind.kind().name, kind.kind().version);
    let list: Vec<String> = wrong.iter().map(ToString::to_string).collect();
    let message = format!("{name} in version {version:?} cannot be handled as a {name}: {}", list.join(", "));
    let causes = wrong.into_iter().map(StatusCause::from).collect();
    Err(Status::bad_request(message).about(StatusDetails { causes, ..StatusDetails::default() }))
}

/// Treats fields that the schema does not have, and those given more than once (`repeated`), as asked: refuses them, or
/// drops them with or without warnings.
///
/// # Errors
/// 400 under strict validation, the first fields with what was probably meant.
pub(crate) fn strange_fields(
    kind: &Kind,
    schema: &Schema,
    object: &mut Value,
    repeated: &[String],
    validation: FieldValidation,
) -> Result<Vec<String>, Status> {
    let errors = schema.unknown_fields(object);
    if errors.is_empty() && repeated.is_empty() {
        return Ok(Vec::new());
    }
    let twice = repeated.iter().map(|path| format!("duplicate field {path:?}"));
    let sentences = twice.chain(errors.iter().map(|error| match error.hint() {
        Some(hint) => format!("{error} ({hint})"),
        None => error.to_string(),
    }));
    match validation {
        FieldValidation::Strict => {
            let (name, sentences) = (kind.name, sentences.collect::<Vec<_>>().join(", "));
            let message = format!(
                "{name} in version {:?} cannot be handled as a {name}: strict decoding error: {sentences}",
                kind.version
            );
            let twice = repeated.iter().map(|path| StatusCause {
                reason: "FieldValueDuplicate".into(),
                message: format!("duplicate field {path:?}"),
                field: path.clone(),
            });
            let causes = errors.iter().map(|error| StatusCause {
                message: error.hint().map_or_else(|| error.to_string(), |hint| format!("{error} ({hint})")),
                ..StatusCause::from(error)
            });
            let details = StatusDetails { causes: twice.chain(causes).collect(), ..StatusDetails::default() };
            Err(Status::bad_request(message).about(details))
        }
        FieldValidation::Warn => {
            let warnings = sentences.collect();
            schema.prune(object);
            Ok(warnings)
        }
        FieldValidation::Ignore => {
            schema.prune(object);
            Ok(Vec::new())
        }
    }
}

/// Notes in a new object who makes it, where its kind says so, whatever the caller has written there.
pub(crate) fn note_requester(call: &Call, object: &mut Value) {
    let part = call.kind.entry.requester.and_then(|pointer| object.pointer_mut(pointer));
    let Some(part) = part.and_then(Value::as_object_mut) else { return };
    for field in ["username", "uid", "groups", "extra"] {
        part.remove(field);
    }
    if let Value::Object(info) = call.identity.user_info().into() {
        part.extend(info);
    }
}

/// Completes a new object from the one that must be there before it: a pod from its service account. That one may have been
/// asked for a moment ago (a new namespace gets its account from a controller), so it is waited for a little.
///
/// # Errors
/// 403 if it is not there.
pub(crate) async fn complete(registry: &Registry, call: &Call, object: &mut Value) -> Result<(), Status> {
    let Some(prerequisite) = &call.kind.entry.prerequisite else { return Ok(()) };
    let kinds = registry.kinds.now();
    let Some(kind) = kinds.of(&prerequisite.kind) else { return Ok(()) };
    let name = (prerequisite.name)(object);
    // A name that nothing can have is for validation to refuse.
    let Ok(key) = kind.key(call.namespace(), &name) else { return Ok(()) };
    let found = match kind.window.get(&key) {
        Some(found) => Some(found),
        None => timeout(registry.patience, registry.cache.until(|| kind.window.get(&key))).await.ok(),
    };
    let Some(found) = found else {
        let (singular, place) = (kind.kind().singular, call.namespace().unwrap_or_default());
        let why =
            format!("error looking up {} {place}/{name}: {singular} {name:?} not found", prerequisite.called);
        let own = match object.name() {
            "" => object.text(&["metadata", "generateName"]),
            own => own,
        };
        return Err(Status::forbidden(call.kind.kind(), own, why));
    };
    let found: Value = found.value().map_err(Status::internal)?;
    (prerequisite.complete)(object, &found);
    Ok(())
}

/// Whether a new object may be made where the request wants it.
///
/// # Errors
/// 404 if there is no such namespace, 403 if it is being deleted.
pub(crate) async fn namespace_accepts(registry: &Registry, call: &Call, object: &str) -> Result<(), Status> {
    let kinds = registry.kinds.now();
    let (Some(name), Some(namespaces)) = (call.namespace(), kinds.core(NAMESPACES)) else {
        return Ok(());
    };
    let key = namespaces.key(None, name)?;
    if namespaces.window.get(&key).is_none() {
        // It may have been made a moment ago.
        registry.cache.catch_up().await?;
    }
    let namespace = namespaces.window.get(&key).ok_or_else(|| Status::not_found(namespaces.kind(), name))?;
    if !namespace.is_terminating {
        return Ok(());
    }
    let why = format!("unable to create new content in namespace {name} because it is being terminated");
    let mut status = Status::forbidden(call.kind.kind(), object, &why);
    if let Some(details) = &mut status.details {
        details.causes.push(StatusCause {
            reason: "NamespaceTerminating".into(),
            message: format!("namespace {name} is being terminated"),
            field: "metadata.namespace".into(),
        });
    }
    Err(status)
}
