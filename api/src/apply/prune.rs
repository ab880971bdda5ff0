//! Taking away what a manager applied before and no longer applies.

use serde_json::{Value, json};

use super::field_set::FieldSet;
use super::managers::Managers;
use super::{merge, to_set};
use crate::schema::Type;

/// `merged` without what is in `last` (what the manager applied last time) and is owned by nobody now.
///
/// What `last` never held stays, and keeps what it is in; what others own stays, empty if need be.
pub(super) fn prune(
    ty: Type<'_>,
    merged: Value,
    managers: &Managers,
    last: &FieldSet,
) -> Result<Value, String> {
    if last.is_empty() {
        return Ok(merged);
    }
    let top = Some(ty);
    let named = |object: &Value| Ok::<_, String>(to_set::field_set(ty, object)?.with_named_fields(top));
    let left = |fields: &FieldSet, keep: &FieldSet| {
        merge::without(top, &merged, fields, keep).unwrap_or_else(|| json!({}))
    };
    let nothing = FieldSet::default();
    let last = last.with_named_fields(top);
    let everything = named(&merged)?;
    let recorded = managers.0.values().fold(FieldSet::default(), |all, owned| all.union(&owned.fields));
    let owned = recorded.with_named_fields(top);

    let without_last = named(&left(&last, &nothing))?;
    let with_owned = left(&everything.difference(&without_last.union(&owned)), &recorded);
    let gone = everything.difference(&named(&with_owned)?.union(&recorded)).intersection(&last);
    Ok(left(&gone, &recorded))
}
