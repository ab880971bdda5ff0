//! Server-side apply: who owns which field, and merging by owner.
//!
//! [`apply`] merges what a manager wants into an object: what it says is set and becomes its own, what it
//! said before and no longer says goes (unless others own it), all else stays. Where another manager owns a
//! field with another value there is a conflict, unless forced. [`update`] keeps the record for every
//! other kind of write: what changed becomes the writer's.
//!
//! The record is `metadata.managedFields`. Both are pure functions of object, schema and [`Writer`], and
//! behave as Kubernetes' structured-merge-diff, including what it says about conflicts. Not here: optimistic
//! concurrency, defaulting and validation, which the server does on the result.
//!
//! Start with [`apply`]; `merge.rs`, `compare.rs` and `to_set.rs` are the three walks it is made of.

mod compare;
mod conflict;
mod field_set;
mod give_back;
mod last_applied;
mod managers;
mod merge;
mod path;
mod prune;
mod shape;
mod to_set;

use serde_json::{Value, json};

use crate::schema::{Schema, Type};
use crate::{FieldError, Time};

pub use conflict::{ApplyConflict, Conflict};
pub use field_set::FieldSet;
pub use give_back::give_back;
pub use managers::{Manager, Operation};
use managers::{Managers, Owned, set_managed_fields};
pub use path::{Path, PathElement, Scalar};

/// Owns what was there when an object without a record is applied to for the first time.
const BEFORE_FIRST_APPLY: &str = "before-first-apply";

/// Who writes, where, and when.
#[derive(Debug, Clone, Copy)]
pub struct Writer<'a> {
    /// The `fieldManager`; empty is recorded as `unknown`.
    pub manager: &'a str,
    /// The `apiVersion` of the request.
    pub api_version: &'a str,
    /// The subresource written to, or empty.
    pub subresource: &'a str,
    /// The present moment.
    pub now: Time,
    /// What a write to this resource or subresource never changes, with everything below: `.status` for a
    /// kind with a status subresource, `.spec` for its status. It is neither merged nor owned.
    pub reset: &'a FieldSet,
}

/// The outcome of an [`apply`].
#[derive(Debug, Clone, PartialEq)]
pub struct Applied {
    /// The merged object with its new `metadata.managedFields`.
    pub object: Value,
    /// Whether anything but a time differs from the live object; if not, `object` is the live object.
    pub changed: bool,
}

/// Why an apply failed. Nothing has been changed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ApplyError {
    /// Others own fields with other values: `409`; forcing takes them over.
    #[error("{0}")]
    Conflict(ApplyConflict),
    /// The configuration is malformed: wrong types, list items without key or with the same: `422`.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))]
    Invalid(Vec<FieldError>),
    /// Not a configuration that can be applied here: `400`.
    #[error("{0}")]
    BadRequest(String),
    /// The live object does not fit its schema where the two meet: `422`.
    #[error("failed to merge: {0}")]
    Unmergeable(String),
}

impl ApplyError {
    /// The HTTP status code that Kubernetes answers.
    pub fn code(&self) -> u16 {
        match self {
            Self::Conflict(_) => 409,
            Self::Invalid(_) | Self::Unmergeable(_) => 422,
            Self::BadRequest(_) => 400,
        }
    }
}

/// Applies a configuration to an object (`None`: it will be created).
///
/// `null` in a configuration says that the field has no value, and owns that. Cost: linear in the objects
/// and the record.
pub fn apply(
    schema: &Schema,
    live: Option<&Value>,
    applied: &Value,
    by: &Writer<'_>,
    force: bool,
) -> Result<Applied, ApplyError> {
    check_request(schema, applied, by)?;
    let blank = blank(applied);
    let old = live.unwrap_or(&blank);
    let unmergeable = ApplyError::Unmergeable;
    let mut managers = Managers::decode(old).map_err(unmergeable)?;
    if managers.is_empty() && live.is_some() {
        let before = Writer { manager: BEFORE_FIRST_APPLY, ..*by };
        track(schema, &mut managers, &blank, old, &before).map_err(unmergeable)?;
    }
    let merging = Merging { schema, old, applied, by };
    let outcome = match merging.run(managers.clone(), force) {
        Err(ApplyError::Conflict(conflict)) => {
            last_applied::resolve(schema, old, by, conflict)?;
            merging.run(managers, true)
        }
        outcome => outcome,
    };
    let (mut object, managers) = outcome?;
    last_applied::refresh(&mut object, applied, by);
    finish(schema, live, object, managers, by)
}

fn check_request(schema: &Schema, applied: &Value, by: &Writer<'_>) -> Result<(), ApplyError> {
    let bad = |message: String| Err(ApplyError::BadRequest(message));
    if !applied.is_object() {
        return bad("an applied configuration must be an object".to_owned());
    }
    let version = applied["apiVersion"].as_str().unwrap_or_default();
    if version != by.api_version {
        return bad(format!(
            "Incorrect version specified in apply patch. Specified patch version: {version}, expected: {}",
            by.api_version
        ));
    }
    if applied.pointer("/metadata/managedFields").is_some_and(|m| !m.is_null()) {
        return bad("metadata.managedFields must be nil".to_owned());
    }
    match schema.check_partial(applied) {
        errors if errors.is_empty() => Ok(()),
        errors => Err(ApplyError::Invalid(errors)),
    }
}

/// The empty object of a kind.
fn blank(object: &Value) -> Value {
    json!({"apiVersion": object["apiVersion"], "kind": object["kind"]})
}

struct Merging<'a> {
    schema: &'a Schema,
    old: &'a Value,
    applied: &'a Value,
    by: &'a Writer<'a>,
}

impl Merging<'_> {
    /// The merged object and who owns what in it.
    fn run(&self, mut managers: Managers, force: bool) -> Result<(Value, Managers), ApplyError> {
        let ty = self.schema.root();
        under_schema(&mut managers, ty);
        let applied = merge::without(Some(ty), self.applied, self.by.reset, &FieldSet::default())
            .unwrap_or_else(|| json!({}));
        let me = manager(self.by, Operation::Apply);
        let fields = to_set::field_set(ty, &applied).map_err(ApplyError::Unmergeable)?;
        let merged = merge::merge(ty, self.old, &applied).map_err(ApplyError::Unmergeable)?;
        let last = managers.0.remove(&me);
        let time = last.as_ref().and_then(|owned| owned.time);
        managers.0.insert(me.clone(), Owned { fields, api_version: self.by.api_version.to_owned(), time });
        let last = last.map(|owned| owned.fields).unwrap_or_default();
        let new = prune::prune(ty, merged, &managers, &last).map_err(ApplyError::Unmergeable)?;
        self.settle(&mut managers, &me, &new, force)?;
        managers.strip(&me);
        Ok((new, managers))
    }

    /// Takes what changes from those who own it, if they may be overruled, and what goes from everybody.
    fn settle(
        &self,
        managers: &mut Managers,
        me: &Manager,
        new: &Value,
        force: bool,
    ) -> Result<(), ApplyError> {
        let comparison = compare::compare(self.schema.root(), self.old, new)
            .map_err(ApplyError::Unmergeable)?
            .without(self.by.reset);
        let changed = comparison.changed();
        let others = managers.0.iter().filter(|(manager, _)| *manager != me);
        let conflicts: Vec<Conflict> = others
            .flat_map(|(manager, owned)| {
                let paths = owned.fields.intersection(&changed).paths();
                paths.into_iter().map(|path| Conflict { manager: manager.clone(), path })
            })
            .collect();
        if !force && !conflicts.is_empty() {
            return Err(ApplyError::Conflict(ApplyConflict { conflicts }));
        }
        let others: Vec<Manager> = managers.0.keys().filter(|manager| *manager != me).cloned().collect();
        for other in &others {
            managers.take(other, &changed);
            managers.take(other, &comparison.removed);
        }
        Ok(())
    }
}

fn finish(
    schema: &Schema,
    live: Option<&Value>,
    mut object: Value,
    mut managers: Managers,
    by: &Writer<'_>,
) -> Result<Applied, ApplyError> {
    schema.drop_nulls(&mut object);
    let me = manager(by, Operation::Apply);
    let before = live.and_then(|live| Managers::decode(live).ok()).unwrap_or_default();
    let owned_the_same = before.0.len() == managers.0.len()
        && before.0.iter().all(|(m, b)| {
            managers.0.get(m).is_some_and(|now| now.fields == b.fields && now.api_version == b.api_version)
        });
    match live {
        Some(live) if *live == object && owned_the_same => {
            return Ok(Applied { object, changed: false });
        }
        _ => {}
    }
    if let Some(owned) = managers.0.get_mut(&me) {
        owned.time = Some(by.now);
    }
    set_managed_fields(&mut object, &managers).map_err(ApplyError::Unmergeable)?;
    Ok(Applied { object, changed: true })
}

/// Records who changed what when `live` (`None`: created) became `new` by anything but server-side apply,
/// and returns `new` with the record.
///
/// The record is that of the live object, or of `new` where a writer to the object itself sends one; an
/// empty list there (or one empty entry) ends the tracking. An object that has no record gets one when it is
/// created or applied to, not by an update. Where the objects cannot be compared the live record stays.
pub fn update(schema: &Schema, live: Option<&Value>, mut new: Value, by: &Writer<'_>) -> Value {
    let blank = blank(&new);
    let managers = match record(live, &new, by) {
        managers if managers.is_empty() && live.is_some() => managers,
        mut managers => {
            let known = managers.clone();
            under_schema(&mut managers, schema.root());
            match track(schema, &mut managers, live.unwrap_or(&blank), &new, by) {
                Ok(()) => managers,
                Err(_) => known,
            }
        }
    };
    // Fails only on what is no object, which no server stores.
    let _ = set_managed_fields(&mut new, &managers);
    new
}

/// The record that an update starts from.
fn record(live: Option<&Value>, new: &Value, by: &Writer<'_>) -> Managers {
    let of_live = || live.and_then(|live| Managers::decode(live).ok()).unwrap_or_default();
    if !by.subresource.is_empty() {
        return of_live();
    }
    let sent = new.pointer("/metadata/managedFields");
    if sent.is_some_and(|sent| *sent == json!([]) || *sent == json!([{}])) {
        return Managers::default();
    }
    match Managers::decode(new) {
        Ok(managers) if !managers.is_empty() => managers,
        _ => of_live(),
    }
}

/// Gives what differs between two objects to the writer.
fn track(
    schema: &Schema,
    managers: &mut Managers,
    old: &Value,
    new: &Value,
    by: &Writer<'_>,
) -> Result<(), String> {
    let comparison = compare::compare(schema.root(), old, new)?.without(by.reset);
    let changed = comparison.changed();
    let all: Vec<Manager> = managers.0.keys().cloned().collect();
    for manager in &all {
        managers.take(manager, &changed);
        managers.take(manager, &comparison.removed);
    }
    let me = manager(by, Operation::Update);
    let mut gained = Managers::default();
    let api_version = by.api_version.to_owned();
    gained.0.insert(me.clone(), Owned { fields: changed, api_version, time: Some(by.now) });
    gained.strip(&me);
    if let Some(mut owned) = gained.0.remove(&me)
        && !owned.fields.is_empty()
    {
        if let Some(before) = managers.0.get(&me) {
            owned.fields = owned.fields.union(&before.fields);
        }
        managers.0.insert(me, owned);
    }
    managers.cap_updates();
    Ok(())
}

fn manager(by: &Writer<'_>, operation: Operation) -> Manager {
    Manager {
        name: if by.manager.is_empty() { "unknown" } else { by.manager }.to_owned(),
        operation,
        api_version: match operation {
            Operation::Apply => String::new(),
            Operation::Update => by.api_version.to_owned(),
        },
        subresource: by.subresource.to_owned(),
    }
}

fn under_schema(managers: &mut Managers, ty: Type<'_>) {
    managers.0.values_mut().for_each(|owned| owned.fields = owned.fields.under_schema(Some(ty)));
}

#[cfg(test)]
mod tests;
