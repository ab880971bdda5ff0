//! Who owns which field: `orch_api::apply`, told what each part of a kind may change.

use orch_api::apply::{self, Applied, ApplyError, FieldSet, Path, Writer};
use orch_api::{Reason, Status, StatusDetails, Time};
use serde_json::Value;

use crate::kinds::Served;

/// What writes to the object itself, and to its status, never change.
#[derive(Clone)]
pub(crate) struct Reset {
    main: FieldSet,
    status: FieldSet,
}

impl Reset {
    pub(crate) fn new(entry: &orch_api::KindEntry) -> Self {
        let main = entry.kind.has_status.then(|| Path::fields(["status"]));
        let names = entry.schema.root().properties().map(|(name, _)| name);
        let others = names.filter(|name| !matches!(*name, "status" | "apiVersion" | "kind"));
        Self { main: FieldSet::of(main), status: FieldSet::of(others.map(|name| Path::fields([name]))) }
    }

    fn of(&self, subresource: &str) -> &FieldSet {
        if subresource == "status" { &self.status } else { &self.main }
    }
}

/// All fields of a new object are its creator's.
pub(crate) fn record_create(kind: &Served, new: &mut Value, manager: &str, now: Time) -> Result<(), Status> {
    let by = writer(kind, manager, "", now);
    *new = apply::update(&kind.entry.schema, None, new.take(), &by);
    Ok(())
}

/// What an update changed is its writer's.
pub(crate) fn record_update(
    kind: &Served,
    old: &Value,
    new: &mut Value,
    manager: &str,
    subresource: &str,
    now: Time,
) -> Result<(), Status> {
    let by = writer(kind, manager, subresource, now);
    *new = apply::update(&kind.entry.schema, Some(old), new.take(), &by);
    Ok(())
}

/// The object that server-side apply makes of `live`.
pub(crate) fn merge(
    kind: &Served,
    live: Option<&Value>,
    config: &Value,
    by: (&str, &str),
    force: bool,
    now: Time,
) -> Result<Applied, Status> {
    let (manager, subresource) = by;
    let by = writer(kind, manager, subresource, now);
    apply::apply(&kind.entry.schema, live, config, &by, force)
        .map_err(|error| failed(kind, config["metadata"]["name"].as_str().unwrap_or_default(), error))
}

fn writer<'a>(kind: &'a Served, manager: &'a str, subresource: &'a str, now: Time) -> Writer<'a> {
    Writer { manager, api_version: &kind.api_version, subresource, now, reset: kind.reset.of(subresource) }
}

fn failed(kind: &Served, name: &str, error: ApplyError) -> Status {
    match error {
        ApplyError::Conflict(conflict) => {
            let details = StatusDetails { causes: conflict.causes(), ..StatusDetails::default() };
            Status::failure(Reason::Conflict, conflict.to_string()).about(details)
        }
        ApplyError::Invalid(errors) => Status::invalid(kind.kind(), name, &errors),
        ApplyError::Unmergeable(_) => {
            let error = orch_api::FieldError::invalid("", Value::Null, error.to_string());
            Status::invalid(kind.kind(), name, &[error])
        }
        ApplyError::BadRequest(message) => Status::bad_request(message),
    }
}
