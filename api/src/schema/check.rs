//! Checking an object against its schema; every error is collected.

use serde_json::{Map, Value};

use super::{Additional, Dialect, ListType, Node, Rule, Schema, Type, Types, suggest};
use crate::field_error::{FieldError, FieldPath};

impl Schema {
    /// Everything wrong with an object, in the order of its fields: unknown fields, wrong types, missing
    /// fields, values out of their list or range, duplicates. Empty if the object conforms.
    ///
    /// `null` under a named field counts as absent. Cost: linear in the object when it conforms.
    pub fn check(&self, object: &Value) -> Vec<FieldError> {
        self.run(object, Mode { unknown: true, values: true, required: true, strictly_closed: false })
    }

    /// As [`check`](Self::check) but without unknown fields, for objects that were pruned.
    pub fn check_values(&self, object: &Value) -> Vec<FieldError> {
        self.run(object, Mode { unknown: false, values: true, required: true, strictly_closed: false })
    }

    /// As [`check_values`](Self::check_values) but of a change: what has not changed is not asked again, so that a schema that
    /// has become stricter does not bar old objects from being written. Items of lists are compared with those that have
    /// the same keys, if the list has keys.
    pub fn check_change(&self, object: &Value, old: &Value) -> Vec<FieldError> {
        let mode = Mode { unknown: false, values: true, required: true, strictly_closed: false };
        self.root().run(object, Some(old), mode)
    }

    /// As [`check_values`](Self::check_values) but without missing fields: for a partial object, as
    /// server-side apply sends it. Items of map lists must still have a key.
    pub fn check_partial(&self, object: &Value) -> Vec<FieldError> {
        self.run(object, Mode { unknown: false, values: true, required: false, strictly_closed: false })
    }

    /// Only the unknown fields, each with a suggestion if a known field was probably meant. Kubernetes
    /// answers these as `400 strict decoding error: unknown field "spec.foo"` under strict validation.
    pub fn unknown_fields(&self, object: &Value) -> Vec<FieldError> {
        self.run(object, Mode { unknown: true, values: false, required: false, strictly_closed: false })
    }

    fn run(&self, object: &Value, mode: Mode) -> Vec<FieldError> {
        self.root().run(object, None, mode)
    }
}

impl Type<'_> {
    /// Everything wrong with a value for this place, unknown fields included.
    pub(super) fn check(self, value: &Value) -> Vec<FieldError> {
        let mode = Mode { unknown: true, values: true, required: true, strictly_closed: false };
        self.run(value, None, mode)
    }

    fn run(self, value: &Value, old: Option<&Value>, mode: Mode) -> Vec<FieldError> {
        let mut checker = Checker {
            mode,
            dialect: self.schema.dialect,
            path: Vec::new(),
            above: Vec::new(),
            errors: Vec::new(),
        };
        checker.value(self, value, old);
        checker.errors
    }
}

#[derive(Debug, Clone, Copy)]
struct Mode {
    unknown: bool,
    values: bool,
    required: bool,
    /// Inside an alternative: only `additionalProperties: false` closes an object.
    strictly_closed: bool,
}

enum Step<'a> {
    Field(&'a str),
    Entry(&'a str),
    Item(usize),
}

pub(super) struct Checker<'a> {
    mode: Mode,
    pub(super) dialect: Dialect,
    path: Vec<Step<'a>>,
    /// The types above the current one; as many as there are steps.
    above: Vec<Type<'a>>,
    pub(super) errors: Vec<FieldError>,
}

impl<'a> Checker<'a> {
    fn value(&mut self, ty: Type<'a>, value: &'a Value, old: Option<&'a Value>) {
        if old == Some(value) {
            return;
        }
        let Some(actual) = Types::of(value) else {
            if self.mode.values && !ty.nullable && !ty.is_any() {
                self.wrong_type(&ty, value);
            }
            return;
        };
        if !ty.types.contains(actual) {
            if self.mode.values {
                self.wrong_type(&ty, value);
            }
            return;
        }
        let before = self.errors.len();
        match value {
            Value::Object(object) => self.object(ty, object, old),
            Value::Array(items) => self.array(ty, items, old),
            _ => {}
        }
        if self.mode.values {
            self.limits(&ty, value);
            if self.errors.len() == before {
                self.branches(ty, value);
            }
        }
    }

    fn object(&mut self, ty: Type<'a>, object: &'a Map<String, Value>, old: Option<&'a Value>) {
        for (name, value) in object {
            let old = old.and_then(|old| old.get(name));
            if let Some(property) = ty.property(name) {
                if !value.is_null() || property.nullable {
                    self.descend(Step::Field(name), ty, property, (value, old));
                }
            } else if let Some(entries) = ty.entries() {
                self.descend(Step::Entry(name), ty, entries, (value, old));
            } else if self.mode.unknown && self.is_closed(&ty) {
                let error = self.unknown(ty, name);
                self.errors.push(error);
            }
        }
        if self.mode.required {
            for name in &ty.node().required {
                let absent = match object.get(name) {
                    None => true,
                    Some(value) => value.is_null() && ty.property(name).is_none_or(|p| !p.nullable),
                };
                if absent && ty.property(name).is_none_or(|p| p.default.is_none()) {
                    self.errors.push(FieldError::required(self.here().child(name), ""));
                }
            }
        }
    }

    fn is_closed(&self, ty: &Node) -> bool {
        !ty.accepts_any_field()
            && !ty.is_any()
            && (!self.mode.strictly_closed || ty.additional == Additional::Forbidden)
    }

    fn array(&mut self, ty: Type<'a>, items: &'a [Value], old: Option<&'a Value>) {
        if let Some(item_type) = ty.items() {
            for (index, item) in items.iter().enumerate() {
                let old = counterpart(&ty.node().list, item, old);
                self.descend(Step::Item(index), ty, item_type, (item, old));
            }
        }
        if self.mode.values {
            match &ty.node().list {
                ListType::Atomic => {}
                ListType::Set => self.duplicate_values(items),
                ListType::Map(keys) => self.duplicate_keys(ty, keys, items),
            }
        }
    }

    fn duplicate_values(&mut self, items: &[Value]) {
        for (index, item) in items.iter().enumerate() {
            if items[..index].contains(item) {
                self.errors.push(FieldError::duplicate(self.here().index(index), item.clone()));
            }
        }
    }

    fn duplicate_keys(&mut self, ty: Type<'a>, keys: &[String], items: &[Value]) {
        let mut seen: Vec<Vec<Option<&Value>>> = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            if !item.is_object() {
                continue;
            }
            let default = |key: &str| ty.items()?.property(key)?.node().default.as_ref();
            let found: Vec<Option<&Value>> =
                keys.iter().map(|key| item.get(key).or_else(|| default(key))).collect();
            if found.iter().all(Option::is_none) {
                let missing = FieldError::required(self.here().index(index).child(&keys[0]), "");
                if !self.errors.contains(&missing) {
                    self.errors.push(missing);
                }
            } else if seen.contains(&found) {
                let error = match found.as_slice() {
                    [Some(value)] => {
                        FieldError::duplicate(self.here().index(index).child(&keys[0]), Value::clone(value))
                    }
                    _ => {
                        let shown =
                            keys.iter().zip(&found).filter_map(|(k, v)| Some((k.clone(), v.cloned()?)));
                        FieldError::duplicate(self.here().index(index), shown.collect::<Map<_, _>>())
                    }
                };
                self.errors.push(error);
            }
            seen.push(found);
        }
    }

    fn branches(&mut self, ty: Type<'a>, value: &'a Value) {
        for group in &ty.node().branches {
            let mode = Mode { strictly_closed: true, ..self.mode };
            if group.rule == Rule::AllOf {
                let outer = std::mem::replace(&mut self.mode, mode);
                group.of.iter().for_each(|&id| self.value(ty.schema.node(id), value, None));
                self.mode = outer;
                continue;
            }
            let fits = |ty: Type<'a>| ty.run(value, None, mode).is_empty();
            let valid = group.of.iter().filter(|&&id| fits(ty.schema.node(id))).count();
            let problem = match group.rule {
                Rule::AnyOf if valid == 0 => "must validate at least one schema (anyOf)".to_owned(),
                Rule::OneOf if valid == 0 => {
                    "must validate one and only one schema (oneOf). Found none valid".to_owned()
                }
                Rule::OneOf if valid > 1 => {
                    format!("must validate one and only one schema (oneOf). Found {valid} valid alternatives")
                }
                Rule::Not if valid > 0 => "must not validate the schema (not)".to_owned(),
                _ => continue,
            };
            let detail = format!("\"{}\" {problem}", self.here().as_str());
            self.errors.push(FieldError::invalid(self.here(), value.clone(), detail));
        }
    }

    fn descend(
        &mut self,
        step: Step<'a>,
        parent: Type<'a>,
        ty: Type<'a>,
        (value, old): (&'a Value, Option<&'a Value>),
    ) {
        self.path.push(step);
        self.above.push(parent);
        self.value(ty, value, old);
        self.above.pop();
        self.path.pop();
    }

    fn unknown(&self, ty: Type<'a>, name: &str) -> FieldError {
        let here = self.here();
        let ancestors =
            self.above.iter().enumerate().map(|(n, &ty)| (self.path_of(n).as_str().to_owned(), ty));
        let suggestion = suggest::field(name, (here.as_str().to_owned(), ty), ancestors);
        FieldError::unknown(here.child(name), suggestion)
    }

    fn wrong_type(&mut self, ty: &Node, value: &Value) {
        let actual = Types::of(value).map_or("null", Types::name);
        let here = self.here();
        let detail =
            format!("{} in body must be of type {}: \"{actual}\"", here.as_str(), ty.type_name_in_errors());
        self.errors.push(FieldError::type_invalid(here, actual, detail));
    }

    pub(super) fn here(&self) -> FieldPath {
        self.path_of(self.path.len())
    }

    fn path_of(&self, steps: usize) -> FieldPath {
        self.path[..steps].iter().fold(FieldPath::root(), |path, step| match step {
            Step::Field(name) => path.child(name),
            Step::Entry(key) => path.key(key),
            Step::Item(index) => path.index(*index),
        })
    }
}

/// The item as it was before, if the list's items can be told apart.
fn counterpart<'a>(list: &ListType, item: &Value, old: Option<&'a Value>) -> Option<&'a Value> {
    let ListType::Map(keys) = list else { return None };
    old?.as_array()?.iter().find(|old| keys.iter().all(|key| old.get(key) == item.get(key)))
}

impl Node {
    fn type_name_in_errors(&self) -> &'static str {
        if self.int_or_string { "integer or string" } else { self.types.name() }
    }
}
