//! Making an object conform where the schema says how: drop what it does not know, fill what it defaults.

use serde_json::{Map, Value};

use super::{Schema, Type, Types};

impl Schema {
    /// Drops the fields that the schema does not have, and `null`s that only say "absent". What
    /// [`Schema::unknown_fields`] reports is what goes; below a field that preserves unknown fields,
    /// everything stays.
    pub fn prune(&self, object: &mut Value) {
        prune(self.root(), object);
    }

    /// Drops `null`s under named fields that are not `nullable`, where `null` only says "absent".
    pub fn drop_nulls(&self, object: &mut Value) {
        drop_nulls(self.root(), object);
    }

    /// Makes `null`s in maps of strings the empty string: what Kubernetes' decoder makes of them for compiled types.
    pub fn empty_nulls(&self, object: &mut Value) {
        empty_nulls(self.root(), object);
    }

    /// Fills absent fields from their `default`s, as Kubernetes does for user-defined kinds: only below
    /// objects that are there (or defaulted themselves).
    pub fn apply_defaults(&self, object: &mut Value) {
        apply_defaults(self.root(), object);
    }
}

pub(super) fn prune(ty: Type<'_>, value: &mut Value) {
    if let Value::Object(object) = value
        && !ty.accepts_any_field()
        && !ty.is_any()
    {
        object.retain(|name, _| ty.property(name).is_some());
    }
    retain_values(ty, value);
    each_child(ty, value, &mut prune);
}

fn drop_nulls(ty: Type<'_>, value: &mut Value) {
    retain_values(ty, value);
    each_child(ty, value, &mut drop_nulls);
}

fn empty_nulls(ty: Type<'_>, value: &mut Value) {
    if let (Value::Object(object), Some(entries)) = (&mut *value, ty.entries())
        && entries.types == Types::STRING
        && !entries.nullable
    {
        let entries =
            object.iter_mut().filter(|(name, value)| value.is_null() && ty.property(name).is_none());
        entries.for_each(|(_, value)| *value = Value::String(String::new()));
    }
    each_child(ty, value, &mut empty_nulls);
}

fn retain_values(ty: Type<'_>, value: &mut Value) {
    if let Value::Object(object) = value {
        object.retain(|name, v| !v.is_null() || ty.property(name).is_none_or(|p| p.nullable || p.is_any()));
    }
}

pub(super) fn apply_defaults(ty: Type<'_>, value: &mut Value) {
    if let Value::Object(object) = value {
        fill(ty, object);
    }
    each_child(ty, value, &mut apply_defaults);
}

fn fill(ty: Type<'_>, object: &mut Map<String, Value>) {
    for (name, property) in ty.properties() {
        let Some(default) = &property.node().default else { continue };
        let absent = object.get(name).is_none_or(|v| v.is_null() && !property.nullable);
        if absent {
            object.insert(name.to_owned(), default.clone());
        }
    }
}

fn each_child(ty: Type<'_>, value: &mut Value, visit: &mut dyn FnMut(Type<'_>, &mut Value)) {
    match value {
        Value::Object(object) => {
            for (name, child) in object {
                if let Some(ty) = ty.field(name) {
                    visit(ty, child);
                }
            }
        }
        Value::Array(items) => {
            if let Some(ty) = ty.items() {
                items.iter_mut().for_each(|item| visit(ty, item));
            }
        }
        _ => {}
    }
}
