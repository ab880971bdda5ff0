//! Server-side apply: the object becomes what its managers, taken together, say.

use orch_api::{Attributes, Body, Object as _, Reason, Status, StatusCause, StatusDetails, Time, Verb};
use serde_json::Value;

use super::change::{Part, Wanted, change};
use super::modify::Outcome;
use super::{Answer, Call, Registry, create};
use crate::decode::{self, Decoded};
use crate::ownership;

/// Applies the body's configuration; makes the object if there is none.
pub(super) async fn apply(registry: &Registry, call: &Call, body: &Body) -> Result<Answer, Status> {
    let Decoded { value: mut config, repeated } = decode::patch(body)?;
    if !config.is_object() {
        return Err(Status::bad_request("an applied configuration must be an object"));
    }
    call.check_kind(&mut config)?;
    call.check_place(&mut config)?;
    let warnings = call.check_fields(&mut config, &repeated)?;
    if call.kind.entry.custom.is_none() {
        call.kind.entry.schema.empty_nulls(&mut config);
    }
    configure(registry, call, config, warnings).await
}

/// Applies a configuration that has been checked.
pub(super) async fn configure(
    registry: &Registry,
    call: &Call,
    config: Value,
    warnings: Vec<String>,
) -> Result<Answer, Status> {
    let manager = call.params().field_manager.as_deref().ok_or_else(manager_required)?;
    let now = Time::new(registry.clock.now());
    let config = Config { value: config, manager, now };
    loop {
        let updated = update(registry, call, &config, &warnings).await;
        if !updated.as_ref().is_err_and(|status| status.is(&Reason::NotFound)) || call.subresource().is_some()
        {
            return updated;
        }
        match make(registry, call, &config, &warnings).await {
            // Somebody was faster: apply to what is there now.
            Err(status) if status.is(&Reason::AlreadyExists) => {}
            made => return made,
        }
    }
}

struct Config<'a> {
    value: Value,
    manager: &'a str,
    now: Time,
}

async fn update(
    registry: &Registry,
    call: &Call,
    config: &Config<'_>,
    warnings: &[String],
) -> Result<Answer, Status> {
    let by = (config.manager, call.subresource().unwrap_or_default());
    let done = registry
        .modify(call, |current| {
            let applied = ownership::merge(
                &call.kind,
                Some(&current.value),
                &config.value,
                by,
                call.params().force,
                config.now,
            )?;
            if !applied.changed {
                return Ok(Outcome::Keep);
            }
            // Of what is applied to the status, nothing but the status counts, and who owns it.
            let record = applied.object["metadata"].get("managedFields").cloned();
            let object = believing(applied.object, &config.value);
            let own = Box::new(move |_: &Value, new: &mut Value, _: Time| {
                put_record(new, record.clone());
                Ok(())
            });
            change(call, current, Wanted { object, part: Part::of(call), now: config.now, own })
        })
        .await?;
    done.answer(warnings.to_vec())
}

fn put_record(object: &mut Value, record: Option<Value>) {
    let Some(metadata) = object["metadata"].as_object_mut() else { return };
    match record {
        Some(record) => drop(metadata.insert("managedFields".into(), record)),
        None => drop(metadata.remove("managedFields")),
    }
}

/// The merged object with the revision that the configuration names: the caller's belief, if it has one.
fn believing(mut object: Value, config: &Value) -> Value {
    object["metadata"]["resourceVersion"] = config.resource_version().into();
    object
}

async fn make(
    registry: &Registry,
    call: &Call,
    config: &Config<'_>,
    warnings: &[String],
) -> Result<Answer, Status> {
    if !config.value.uid().is_empty() {
        let why = format!(
            "uid mismatch: the provided object specified uid {}, and no existing object was found",
            config.value.uid()
        );
        return Err(Status::conflict(call.kind.kind(), call.name(), why));
    }
    // Applying is patching; making something needs the right to make it.
    let target = &call.request.target;
    let create = Attributes::on(call.identity.subject(), Verb::Create.as_str(), target, &call.request);
    registry.gate.check(&create).await?;
    let by = (config.manager, "");
    let mut object =
        ownership::merge(&call.kind, None, &config.value, by, call.params().force, config.now)?.object;
    // A configuration of nothing but a name owns nothing: then there is no record.
    let record = object["metadata"].as_object_mut().and_then(|metadata| metadata.remove("managedFields"));
    create::insert(registry, call, object, warnings.to_vec(), |object, _| {
        if let Some(record) = &record {
            object["metadata"]["managedFields"] = record.clone();
        }
        Ok(())
    })
    .await
}

fn manager_required() -> Status {
    let message =
        "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is required for apply patch";
    let cause = StatusCause {
        reason: "FieldValueRequired".into(),
        message: "Required value: is required for apply patch".into(),
        field: "fieldManager".into(),
    };
    let details = StatusDetails {
        group: "meta.k8s.io".into(),
        kind: "PatchOptions".into(),
        causes: vec![cause],
        ..StatusDetails::default()
    };
    Status::failure(Reason::Invalid, message).about(details)
}
